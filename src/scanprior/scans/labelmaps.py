"""Label maps of the voxel task: paired with scans by name, checked for grid and values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.scans.discover import Source
from scanprior.scans.labels import Problem
from scanprior.scans.nifti import read_nifti, stem
from scanprior.scans.refused import Refused
from scanprior.scans.volume import Volume, on_grid_of
from scanprior.scans.walk import Rejected, walk


class Paired(NamedTuple):
    """Map of each source (by key), maps that can't be used, sources whose map was refused, and problems."""

    maps: dict[str, Path]
    rejected: list[Rejected]
    refused: dict[str, Refused]
    problems: list[Problem]


def pair(folder: Path, sources: Sequence[Source], classes: Mapping[int, str], *, voxels: bool = True) -> Paired:
    """Pair the NIfTI files below `folder` with usable sources of the same name (stem; for DICOM folder, UID or id).

    Without `voxels` the maps are not opened.
    """
    found = Paired({}, [], {}, [])
    by_name: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        for name in source.names:
            by_name[name].append(source)
    ambiguous: list[str] = []
    seen: set[int] = set()
    for path in walk(folder).nifti:
        if path.name.startswith("."):
            continue
        owners = by_name.get(stem(path), [])
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
            found.rejected.append(Rejected(path, "odd-name", "a label map whose file name is no valid text; rename it"))
        elif not owners:
            found.rejected.append(Rejected(path, "map-without-scan", "a label map without a usable scan of its name"))
        elif len(owners) > 1 or owners[0].key in found.maps:
            ambiguous.append(stem(path))
        else:
            try:
                seen |= _check(path, owners[0], classes) if voxels else set(classes)
                found.maps[owners[0].key] = path
            except Refused as refused:
                found.refused[owners[0].key] = refused
    if ambiguous:
        sentence = (
            f"cohort.label_maps: {len(ambiguous)} maps fit several scans each; choose a series with cohort.select"
        )
        found.problems.append(Problem(sentence, tuple(ambiguous)))
    if not found.maps:
        found.problems.append(Problem("cohort.label_maps: no label map has the name and grid of a usable scan"))
    elif absent := [name for value, name in classes.items() if value not in seen]:
        found.problems.append(Problem(f"task.classes: {', '.join(absent)} occurs in no label map"))
    return found


def read_map(path: Path, classes: Mapping[int, str]) -> Volume:
    """Read a label map as uint8.

    Raises:
        Refused: what `read_nifti` refuses; map-values, when a value is neither 0 nor one of `classes`.
    """
    volume = read_nifti(path)
    values = np.unique(volume.array)
    odd = [value for value in values if float(value) not in {0.0, *map(float, classes)}]
    if odd:
        raise Refused("map-values", f"the label map holds {len(odd)} values that are no class of the study")
    return Volume(volume.array.astype(np.uint8), volume.affine)


def _check(path: Path, source: Source, classes: Mapping[int, str]) -> set[int]:
    """The values that the map holds, once it is known to fit."""
    try:
        volume = read_map(path, classes)
        if source.shape is not None and source.affine is not None:
            on_grid_of(volume, source.shape, np.array(source.affine).reshape(4, 4))
    except Refused as refused:
        raise Refused(refused.reason, f"its label map: {refused.sentence}") from None
    return {int(value) for value in np.unique(volume.array)}
