"""One series of DICOM files, or one NIfTI volume: cleaned, its face removed, and written; all of it or none where
faces are."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scanprior.privacy import instance as dicom
from scanprior.privacy.audit import Line
from scanprior.privacy.encode import Elements
from scanprior.privacy.header import Names
from scanprior.privacy.instance import Choice, Instance
from scanprior.privacy.nifti import Stored, encode_nifti, read_nifti, scaled
from scanprior.privacy.pixels import number
from scanprior.privacy.pseudonyms import file_pseudonym
from scanprior.privacy.refused import Refused
from scanprior.privacy.rules import Profile
from scanprior.privacy.vocabulary import BODY_PARTS_OTHER

_FACES = ("MR", "CT")
_DEFACED = "clean_recognizable_visual_features"


class Grid(NamedTuple):
    """A series as a volume: array[i, j, k] = pixel (row j, column i) of the data set order[k]; affine to RAS+ mm."""

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    order: tuple[int, ...]


Assemble = Callable[[Sequence[Dataset]], Grid | None]


@dataclass(frozen=True)
class Settings:
    """What to do: profile, faces and text, the key, and how a series becomes a volume (None: it does not)."""

    key: bytes = field(repr=False)
    profile: Profile
    faces: Choice
    text: Choice
    assemble: Assemble


@dataclass
class Outcome:
    """What became of a series: audit lines, files written (relative), and what the face stage saw and removed."""

    lines: list[Line] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    face: str = "kept"
    information: float = 0.0  # nats of the fit
    grid: Grid | None = None
    removed: NDArray[np.bool_] | None = None


class _Cleaned(NamedTuple):
    """An image that waits to be written: its pseudonym in the audit, and its file's digest on demand."""

    label: str
    instance: Instance
    digest: Callable[[], str]


def deidentify_series(files: Sequence[tuple[Path, str]], *, names: Names, settings: Settings, folder: Path) -> Outcome:
    """De-identify the DICOM files (path, name relative to the source) of one series into
    `folder`/study/series/instance.dcm."""
    outcome = Outcome()
    good: list[_Cleaned] = []
    taken: set[Path] = set()
    for path, relative in files:
        label = file_pseudonym(settings.key, relative)
        digest = cache(partial(_digest, path, names.key))  # rarely asked for
        try:
            instance = dicom.clean_instance(
                dicom.read(path), profile=settings.profile, names=names, text=settings.text, digest=digest
            )
        except Refused as refused:
            outcome.lines.append(_refused(label, names.patient, refused))
            continue
        except Exception as error:  # noqa: BLE001  one file's fault in any library must not stop the others, nor be quoted
            fault = Refused(
                "unexpected", f"an unforeseen {type(error).__name__} while the file was cleaned; please report it"
            )
            outcome.lines.append(_refused(label, names.patient, fault))
            continue
        if settings.faces == "keep":  # no image waits for the others
            _write_instance(_Cleaned(label, instance, digest), names, folder, taken, outcome)
        else:
            good.append(_Cleaned(label, instance, digest))
    if good:
        try:
            _remove_face([one.instance for one in good], outcome, settings)
        except Refused as refused:
            outcome.lines += [_refused(one.label, names.patient, refused) for one in good]
            outcome.face = "quarantined"
            good = []
    elif not taken:
        outcome.face = "nothing-written"
    for one in good:
        _write_instance(one, names, folder, taken, outcome)
    return outcome


def deidentify_volume(
    path: Path, relative: str, *, names: Names, settings: Settings, target: Path, label_map: bool = False
) -> Outcome:
    """De-identify one NIfTI file into `target`; a label map has no face to look for."""
    outcome = Outcome()
    label = file_pseudonym(settings.key, relative)
    try:
        stored = read_nifti(path)
        actions = Counter({"text-fields": stored.removed} if stored.removed else {})
        if settings.faces != "keep" and not label_map:
            stored = _deface_volume(stored, outcome, actions)
        write(target, encode_nifti(stored, compress=target.name.endswith(".gz")))
    except Refused as refused:
        outcome.lines.append(_refused(label, names.patient, refused))
        outcome.face = "quarantined" if refused.code == "face-doubt" else outcome.face
        return outcome
    codes = settings.profile.codes(*([_DEFACED] if outcome.removed is not None else []))
    outcome.written.append(target.name)
    outcome.lines.append(
        Line(label, names.patient, "written", "", "", dict(actions), tuple(sorted(codes)), target.name)
    )
    return outcome


def write(target: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:40]}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_instance(one: _Cleaned, names: Names, folder: Path, taken: set[Path], outcome: Outcome) -> None:
    instance = one.instance
    study, series, name = instance.path()
    content = instance.encode()
    target = folder / study / series / f"{name}.dcm"
    if target in taken and target.read_bytes() != content:
        # Another image under the same SOP Instance UID: both are kept.
        target = target.with_name(f"{name}-{one.digest()[:12]}.dcm")
    if target in taken:
        outcome.lines.append(
            Line(one.label, names.patient, "duplicate", "duplicate", "the same image as another file", {}, (), "")
        )
        return
    taken.add(target)
    write(target, content)
    relative = f"{study}/{series}/{target.name}"
    codes = tuple(sorted(instance.profile.codes(*instance.performed)))
    outcome.written.append(relative)
    outcome.lines.append(
        Line(one.label, names.patient, "written", "", "", dict(sorted(instance.actions.items())), codes, relative)
    )


def _remove_face(instances: list[Instance], outcome: Outcome, settings: Settings) -> None:
    """Blank the face in every slice of a head; raises Refused when a face may be left."""
    if any(_code(one.elements, 0x00080060) not in _FACES for one in instances):
        outcome.face = "not-looked-for"
        return
    grid = settings.assemble([one.original for one in instances])
    elsewhere = all(_code(one.elements, 0x00180015) in BODY_PARTS_OTHER for one in instances)
    if grid is None:
        if elsewhere or sum(_volume_of(one.elements) for one in instances) < _smallest():
            outcome.face = "no-head"
            return
        raise Refused("face-doubt", "the series does not make one volume, so that its faces cannot be removed")
    from scanprior.privacy.face import look  # registration: imported only where there is a volume

    outcome.grid = grid
    found = look(grid.array, grid.affine, elsewhere=elsewhere)
    outcome.face, outcome.information = found.verdict, found.information
    if found.removed is None:
        return
    outcome.removed = found.removed
    floor = float(grid.array.min())
    for k, index in enumerate(grid.order):
        instance = instances[index]
        where = found.removed[:, :, k].T
        if where.any():
            instance.blank(where, _stored_value(instance.original, floor))
        instance.performed += (_DEFACED,)
    if len(grid.order) != len(instances):
        raise Refused("face-doubt", "some images of the series are not part of its volume")


def _deface_volume(stored: Stored, outcome: Outcome, actions: Counter[str]) -> Stored:
    from scanprior.privacy.face import look

    values = scaled(stored)
    volume = (
        values
        if values.ndim == 3
        else values.reshape(*values.shape[:3], -1)[..., 0]
        if values.ndim > 3
        else values.reshape((*values.shape, 1, 1)[:3])
    )
    volume = np.nan_to_num(volume, nan=0.0, posinf=0.0, neginf=0.0)
    outcome.grid = Grid(volume, stored.affine, ())
    found = look(volume, stored.affine)
    outcome.face, outcome.information = found.verdict, found.information
    if found.removed is None:
        return stored
    outcome.removed = found.removed
    voxels = stored.voxels.copy()
    voxels[found.removed] = np.nanmin(voxels)
    actions["blanked"] += 1
    return stored._replace(voxels=voxels)


def _stored_value(original: Dataset, value: float) -> int:
    """The stored number that stands for the lowest intensity of the volume, inside what BitsStored can hold."""
    slope, intercept = float(original.get("RescaleSlope", 1) or 1), float(original.get("RescaleIntercept", 0) or 0)
    bits, signed = int(original.BitsStored), int(original.PixelRepresentation) == 1
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return int(np.clip(round((value - intercept) / slope), low, high))


def _volume_of(elements: Elements) -> float:
    """Cubic millimetres that an image covers; 1 mm pixels and 5 mm slices where the header does not say."""
    measures = elements
    for shared in (0x52009229, 0x00289110):  # enhanced images: shared functional groups, pixel measures
        inner = measures.get(shared)
        measures = inner.value[0] if inner is not None and isinstance(inner.value, list) and inner.value else measures
    spacing = _decimals(measures, 0x00280030) or [1.0, 1.0]
    thickness = _decimals(measures, 0x00180050) or [5.0]
    pixels = number(elements, 0x00280010) * number(elements, 0x00280011) * number(elements, 0x00280008, 1)
    return pixels * spacing[0] * spacing[-1] * max(thickness[0], 1.0)


def _decimals(elements: Elements, tag: int) -> list[float]:
    text = _code(elements, tag)
    return [float(part) for part in text.split("\\")] if text else []


def _code(elements: Elements, tag: int) -> str:
    element = elements.get(tag)
    return element.value.decode("ascii") if element is not None and isinstance(element.value, bytes) else ""


def _smallest() -> float:
    from scanprior.privacy.face import SMALLEST

    return SMALLEST


def _digest(path: Path, key: bytes) -> str:
    """Keyed, so that a missing UID's stand-in can't be recomputed from the image by someone without the key."""
    return hashlib.blake2b(path.read_bytes(), key=key, digest_size=16).hexdigest()


def _refused(label: str, patient: str | None, refused: Refused) -> Line:
    return Line(label, patient, "quarantined", refused.code, refused.sentence, {}, (), "")


def counts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many series had their face removed, had none, …"""
    return dict(sorted(Counter(outcome.face for outcome in outcomes).items()))
