"""Find every scan below a folder, whatever the tree: one Source per DICOM series or NIfTI file, or why it is none."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.scans.bids import facts_of, read_participants
from scanprior.scans.headers import VOLUME_CLASSES, Header, quiet, read_header, read_images
from scanprior.scans.nifti import read_grid, read_nifti, stem
from scanprior.scans.refused import Refused
from scanprior.scans.series import assemble
from scanprior.scans.slices import geometry
from scanprior.scans.volume import Volume, spacing_of, voxel_digest
from scanprior.scans.walk import Delivery, Rejected, walk

# Fewer voxels than this along an axis (a scout, a single slice) hold no three-dimensional patch.
FEWEST_VOXELS = 3


@dataclass(frozen=True, repr=False)
class Source:
    """One scan as delivered. All of it is private until `cohort` has coded it.

    `names` are what a label map or a row of the patient table may call the scan (file stem; for DICOM folder, series
    UID or patient id). `digest` (sha256 of the voxels in RAS order) and `shape` are None where `problem` says why the
    scan can't be used.
    """

    kind: str
    key: str
    names: tuple[str, ...]
    files: tuple[Path, ...]
    patient_id: str
    patient_name: str
    birth_date: str
    study_uid: str
    description: str
    modality: str
    study_date: str
    scanner: str
    sex: str
    age: int | None
    shape: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    affine: tuple[float, ...] | None = None
    digest: str | None = None
    problem: Refused | None = None


class Found(NamedTuple):
    """All sources, sorted by key, and all files that belong to none."""

    sources: list[Source]
    rejected: list[Rejected]


def discover(
    root: Path,
    *,
    skip: Set[Path] = frozenset(),
    voxels: bool = True,
    wanted: Callable[[Source], bool] = lambda _: True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Read every header once and every pixel once; `skip` holds resolved files and folders that are no scans.

    Without `voxels`, and for sources that are not `wanted`, only headers are read: no digest, and cut or undecodable
    pixels go unnoticed.
    Pixels are read by `workers` processes; the outcome is the same. `progress(done, total)` counts files, each of them
    twice (header and pixels).
    """
    with quiet():
        return _discover(
            root.resolve(),
            walk(root, skip=skip),
            lambda source: voxels and wanted(source),
            workers,
            progress or (lambda *_: None),
        )


def _discover(
    root: Path,
    delivery: Delivery,
    wanted: Callable[[Source], bool],
    workers: int,
    progress: Callable[[int, int], None],
) -> Found:
    rejected = list(delivery.rejected)
    total = 2 * (len(delivery.dicom) + len(delivery.nifti))
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    groups: dict[tuple[str, str, str], list[Header]] = defaultdict(list)
    for path in delivery.dicom:
        try:
            header = read_header(path)
        except Refused as refused:
            rejected.append(Rejected(path, refused.reason, refused.sentence))
        else:
            groups[_owner(header), header.study, header.series].append(header)
        step(1)
    sources: list[Source] = []
    for _, headers in sorted(groups.items()):
        headers, copies = _without_copies(headers)
        rejected += copies
        sources.append(_from_dicom(headers, root))
        step(len(copies))
    participants = read_participants(root)
    sources += [_from_nifti(path, root, participants) for path in delivery.nifti]
    step(len(delivery.nifti))
    todo = [(source, wanted(source)) for source in sources]
    sources = []
    for source in _side_by_side(_read, todo, workers):
        sources.append(source)
        step(len(source.files))
    return Found(sorted(sources, key=lambda source: source.key), sorted(rejected, key=lambda item: item.path))


def _owner(header: Header) -> str:
    return header.patient_id or f"{header.patient_name}|{header.birth_date}"


def _without_copies(headers: Sequence[Header]) -> tuple[list[Header], list[Rejected]]:
    """Drop files that repeat another of the series byte for byte; copies that differ stay, and are refused later."""
    kept: dict[str, list[Header]] = defaultdict(list)
    copies: list[Rejected] = []
    for header in headers:
        alike = kept[header.instance]
        if header.instance and any(filecmp.cmp(header.path, other.path, shallow=False) for other in alike):
            copies.append(
                Rejected(header.path, "duplicate-file", "repeats another file of the same series byte for byte")
            )
        else:
            alike.append(header)
    return [header for group in kept.values() for header in group], copies


def _from_dicom(headers: Sequence[Header], root: Path) -> Source:
    headers = sorted(headers, key=lambda header: (header.slice.position or (), header.instance, header.path))
    first = headers[0]
    folder = first.path.parent.name if first.path.parent != root else ""
    source = Source(
        kind="dicom",
        key=f"{first.study}/{first.series}/{_owner(first)}",
        names=tuple(dict.fromkeys(name for name in (first.series, folder, first.patient_id) if name)),
        files=tuple(header.path for header in headers),
        patient_id=first.patient_id,
        patient_name=first.patient_name,
        birth_date=first.birth_date,
        study_uid=first.study,
        description=first.description,
        modality=first.modality or "unknown",
        study_date=first.study_date,
        scanner=first.scanner,
        sex=first.sex,
        age=first.age,
    )
    try:
        cut = sum(not header.slice.rows for header in headers)
        if cut and any(header.slice.sop_class.startswith(VOLUME_CLASSES) for header in headers):
            raise Refused("truncated", f"{cut} of {len(headers)} files end inside their header")
        grid = geometry([header.slice for header in headers])
        _check_extent(grid.shape)
        return _with_grid(source, grid.shape, grid.affine)
    except Refused as refused:
        return replace(source, problem=refused)


def _from_nifti(path: Path, root: Path, participants: dict[str, dict[str, str | None]]) -> Source:
    facts = facts_of(path, root, participants)
    return Source(
        kind="nifti",
        key=path.relative_to(root).as_posix(),
        names=(stem(path),),
        files=(path,),
        patient_id=facts.patient,
        patient_name="",
        birth_date="",
        study_uid="",
        description=facts.description,
        modality=facts.modality,
        study_date=facts.study_date,
        scanner=facts.scanner,
        sex=facts.sex,
        age=facts.age,
    )


def _read(task: tuple[Source, bool]) -> Source:
    """The source with the digest of its voxels, or of a source that is not wanted with its grid alone."""
    source, wanted = task
    if source.problem is not None:
        return source
    with quiet():
        try:
            if source.kind == "dicom":
                return _with_voxels(source, assemble(read_images(source.files)).volume) if wanted else source
            if not wanted:
                shape, affine = read_grid(source.files[0])
                _check_extent(shape)
                return _with_grid(source, shape, affine)
            volume = read_nifti(source.files[0])
            _check_extent(volume.shape)
            return _with_voxels(source, volume)
        except Refused as refused:
            return replace(source, shape=None, spacing=None, affine=None, problem=refused)


def _side_by_side(
    read: Callable[[tuple[Source, bool]], Source], tasks: Sequence[tuple[Source, bool]], workers: int
) -> Iterator[Source]:
    """The results in the order of the tasks."""
    if workers <= 1:
        yield from map(read, tasks)
        return
    # Forked, because a spawned worker would read numpy and pydicom again; this process runs no threads here.
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(read, tasks)


def _with_voxels(source: Source, volume: Volume) -> Source:
    if volume.array.min() == volume.array.max():
        raise Refused("constant", "all voxels have one value")
    return replace(_with_grid(source, volume.shape, volume.affine), digest=voxel_digest(volume))


def _with_grid(source: Source, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> Source:
    flat = tuple(float(number) for number in np.ravel(affine))
    return replace(source, shape=shape, spacing=spacing_of(affine), affine=flat)


def _check_extent(shape: tuple[int, int, int]) -> None:
    if min(shape) < FEWEST_VOXELS:
        raise Refused("too-few-slices", f"{shape[0]} × {shape[1]} × {shape[2]} voxels are no volume (a scout?)")
