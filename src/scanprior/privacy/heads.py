"""Which series and volumes may be heads, and their faces removed: a face in doubt refuses the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scanprior.privacy import instance as dicom
from scanprior.privacy.encode import Elements
from scanprior.privacy.instance import Instance
from scanprior.privacy.nifti import Stored, scaled
from scanprior.privacy.pixels import number
from scanprior.privacy.refused import Refused
from scanprior.privacy.vocabulary import BODY_PARTS_OTHER

# Images of which a stack may be a head: CT and MR, also enhanced and legacy (PS3.4 section B.5), whatever their Modality says.
_FACES = ("MR", "CT")
_HEAD_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "2.1", "2.2", "4", "4.1", "4.3", "4.4"))
_PHOTOGRAPHS = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.4{end}" for end in ("", ".1"))  # of the body from outside
# Sides of a voxel (mm) outside of which a header is not believed to tell how large a head is.
SIDES = (0.05, 30.0)
DEFACED = "clean_recognizable_visual_features"  # option of PS3.15 Table E.1-1


class Grid(NamedTuple):
    """A series as a volume: array[i, j, k] = pixel (row j, column i) of the data set order[k]; affine to RAS+ mm."""

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    order: tuple[int, ...]


Assemble = Callable[[Sequence[Dataset]], Grid | None]


@dataclass
class Seen:
    """What the search for a face saw and removed."""

    face: str = "kept"
    information: float = 0.0  # nats of the fit
    grid: Grid | None = None
    removed: NDArray[np.bool_] | None = None


def may_show_a_head(modality: str, sop_class: str) -> bool:
    """Whether an image of this Modality or SOP Class UID may be part of a head."""
    return modality.strip().upper() in _FACES or sop_class in _HEAD_CLASSES


def remove_face(series: list[Instance], seen: Seen, assemble: Assemble, beside: int) -> None:
    """Blank the face in every slice of a head; so many images of other series lie `beside` it in the same frame of reference.

    Raises:
        Refused: a face may be left.
    """
    if any(dicom.first(one.original, "SOPClassUID") in _PHOTOGRAPHS for one in series):
        raise Refused("photograph", "a photograph of a body may show a face, which is not looked for in photographs")
    instances = [one for one in series if _of_a_head(one.original)]
    if not instances:
        seen.face = "not-looked-for"
        return
    grid = assemble([one.original for one in instances])
    elsewhere = all(_code(one.elements, 0x00180015) in BODY_PARTS_OTHER for one in instances)
    volume = sum(_volume_of(one.elements) for one in instances)
    if volume < _smallest() <= volume * (1 + beside / len(instances)) and not elsewhere:
        raise Refused("face-doubt", "the series is too small to show a face by itself, but others lie beside it in the same "
                      "frame of reference: together they may be a head")  # fmt: skip
    if grid is None:
        if elsewhere or volume < _smallest():
            seen.face = "no-head"
            return
        raise Refused("face-doubt", "the series does not make one volume, so that its faces cannot be removed")
    from scanprior.privacy.face import look  # registration: imported only where there is a volume

    seen.grid = grid
    found = look(grid.array, grid.affine, elsewhere=elsewhere)
    seen.face, seen.information = found.verdict, found.information
    if found.removed is None:
        return
    seen.removed = found.removed
    floor = float(grid.array.min())
    for k, index in enumerate(grid.order):
        instance = instances[index]
        where = found.removed[:, :, k].T
        if where.any():
            instance.blank(where, _stored_value(instance.original, floor))
        instance.performed += (DEFACED,)
    if len(grid.order) != len(instances):
        raise Refused("face-doubt", "some images of the series are not part of its volume")


def deface_volume(stored: Stored, seen: Seen, actions: Counter[str]) -> Stored:
    """The volume without the face of its first frame's head.

    Raises:
        Refused: a face may be left.
    """
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
    sides = np.linalg.norm(stored.affine[:3, :3], axis=0)[np.array(volume.shape) > 1]
    if not (np.isfinite(stored.affine).all() and (sides >= SIDES[0]).all() and (sides <= SIDES[1]).all()):
        raise Refused(
            "face-doubt", "the header's voxel sides are none of a scan, so that a head can't be told by its size"
        )
    seen.grid = Grid(volume, stored.affine, ())
    found = look(volume, stored.affine)
    seen.face, seen.information = found.verdict, found.information
    if found.removed is None:
        return stored
    seen.removed = found.removed
    voxels = stored.voxels.copy()
    voxels[found.removed] = np.nanmin(voxels)
    actions["blanked"] += 1
    return stored._replace(voxels=voxels)


def _of_a_head(original: Dataset) -> bool:
    return may_show_a_head(dicom.first(original, "Modality"), dicom.first(original, "SOPClassUID"))


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
    """Numbers of a text value; what is none is left out."""
    found: list[float] = []
    for part in _code(elements, tag).split("\\"):
        with suppress(ValueError):
            found.append(float(part))
    return found


def _code(elements: Elements, tag: int) -> str:
    element = elements.get(tag)
    return element.value.decode("ascii") if element is not None and isinstance(element.value, bytes) else ""


def _smallest() -> float:
    from scanprior.privacy.face import SMALLEST

    return SMALLEST
