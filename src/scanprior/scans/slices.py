"""Where the slices of a DICOM series lie, and whether they make one regular grid (PS3.3 C.7.6.2, Image Plane)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scanprior.scans.elements import numbers, text
from scanprior.scans.refused import Refused

# Positions may miss the true grid by 0.05 mm (rounding, table feed), hence the fitted line by half as much more.
JITTER_MM = 0.075
SAME_PLACE_MM = 0.01
# Two orientations that differ by this move a voxel 0.25 m from the origin by 0.05 mm.
SAME_DIRECTION = 2e-4
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
TAGS = ("SOPClassUID", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
        "SliceThickness", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """What one image object says about its place; None where it says nothing legible. Millimetres, LPS+ axes."""

    sop_class: str
    rows: int
    columns: int
    frames: int
    colour: bool
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None


class Geometry(NamedTuple):
    """The grid of a series: `order[k]` is the slice at k; `affine` (4, 4) to RAS+ mm; shape (columns, rows, slices)."""

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]


def slice_of(dataset: Dataset) -> Slice:
    """Read the attributes in TAGS from a data set; never raises on illegible values."""
    samples = numbers(dataset, "SamplesPerPixel", 1)
    thickness = numbers(dataset, "SliceThickness", 1)
    size = [value[0] if (value := numbers(dataset, name, 1)) else 0 for name in ("Rows", "Columns")]
    frames = numbers(dataset, "NumberOfFrames", 1)
    return Slice(
        sop_class=text(dataset, "SOPClassUID"),
        rows=int(size[0]),
        columns=int(size[1]),
        frames=int(frames[0]) if frames else 1,
        colour=(samples is not None and samples[0] != 1)
        or text(dataset, "PhotometricInterpretation").startswith("PALETTE"),
        position=numbers(dataset, "ImagePositionPatient", 3),
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        spacing=numbers(dataset, "PixelSpacing", 2),
        thickness=thickness[0] if thickness else None,
    )


def geometry(slices: Sequence[Slice]) -> Geometry:
    """Sort slices along their normal and lay a regular grid through them.

    A single slice is a volume when its thickness is known: that is then the spacing.

    Raises:
        Refused: no-slices, secondary-capture, colour, multi-frame, no-geometry, mixed-orientation, mixed-size,
            gantry-tilt, two-phases, doubled-slice, missing-slice, uneven-spacing.
    """
    _check_kind(slices)
    row, column, normal = _directions(slices)
    _check_size(slices)
    positions = np.array([s.position for s in slices], dtype=np.float64)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    _check_places(along[order])
    start, step = _regular(along[order], slices[0].thickness)
    aside = positions - np.outer(along, normal)
    _check_straight(aside[order], along[order])
    first = slices[0]
    between_rows, between_columns = first.spacing or (0.0, 0.0)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * between_columns, column * between_rows, normal * step
    lps[:3, 3] = aside.mean(axis=0) + normal * start
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return Geometry(tuple(int(index) for index in order), affine, (first.columns, first.rows, len(slices)))


def _check_kind(slices: Sequence[Slice]) -> None:
    if not slices:
        raise Refused("no-slices", "there is no image in the series")
    if any(s.sop_class == SECONDARY_CAPTURE or s.sop_class.startswith(SECONDARY_CAPTURE + ".") for s in slices):
        raise Refused("secondary-capture", "a secondary capture (a screen copy or scanned page) is no volume")
    if any(s.colour for s in slices):
        raise Refused("colour", "the pixels are colours; one number per voxel is needed")
    if (frames := max(s.frames for s in slices)) > 1:
        raise Refused(
            "multi-frame", f"one object holds {frames} frames; export the series as one file per slice or as NIfTI"
        )
    without = sum(s.position is None or s.orientation is None or s.spacing is None for s in slices)
    if without or any(s.spacing is not None and min(s.spacing) <= 0 for s in slices):
        which = (
            f"{without} of {len(slices)} slices don't say"
            if without
            else "a pixel spacing is not positive, so the file doesn't say"
        )
        raise Refused("no-geometry", f"{which} where they lie (position, orientation or pixel spacing)")


def _directions(slices: Sequence[Slice]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    orientations = np.array([s.orientation for s in slices], dtype=np.float64)
    if np.ptp(orientations, axis=0).max() > SAME_DIRECTION:
        planes = len(np.unique(np.round(orientations, 3), axis=0))
        raise Refused("mixed-orientation", f"the {len(slices)} slices lie in {planes} different planes (a localizer?)")
    row, column = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    # Rounding to three decimals, which some consoles do, stays below this.
    if max(abs(length - 1) for length in lengths) > 2e-3 or abs(row @ column) > 2e-3:
        raise Refused("no-geometry", "the orientation is not two perpendicular directions of unit length")
    row = row / lengths[0]
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _check_size(slices: Sequence[Slice]) -> None:
    sizes = {(s.rows, s.columns) for s in slices}
    spacings = np.array([s.spacing for s in slices], dtype=np.float64)
    if len(sizes) > 1 or min(min(size) for size in sizes) < 1:
        raise Refused(
            "mixed-size", f"the slices have {len(sizes)} different matrix sizes: {sorted(sizes)} rows × columns"
        )
    if np.ptp(spacings, axis=0).max() > 1e-4 * spacings.min():
        raise Refused("mixed-size", "the pixel spacing differs between the slices")


def _check_places(along: NDArray[np.float64]) -> None:
    """Refuse two slices in one place: all places alike are phases (echoes, times), some alike are copies."""
    new = np.diff(along, prepend=-np.inf) > SAME_PLACE_MM
    counts = np.bincount(np.cumsum(new) - 1)
    if counts.max() == 1:
        return
    if counts.min() == counts.max():
        raise Refused(
            "two-phases", f"each of the {len(counts)} positions holds {counts[0]} slices (phases, echoes or times)"
        )
    raise Refused("doubled-slice", f"{int((counts > 1).sum())} of {len(counts)} positions hold more than one slice")


def _regular(along: NDArray[np.float64], thickness: float | None) -> tuple[float, float]:
    """First position and step of the regular grid through the sorted positions along the normal."""
    if len(along) == 1:
        if not thickness or thickness <= 0:
            raise Refused("no-geometry", "a single slice without a slice thickness has no extent across its plane")
        return float(along[0]), thickness
    index = np.arange(len(along))
    step, start = (
        np.polynomial.polynomial.polyfit(index, along, 1)[::-1] if len(along) > 2 else (along[1] - along[0], along[0])
    )
    error = float(np.abs(start + step * index - along).max())
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    if error <= min(JITTER_MM, 0.1 * usual):
        return float(start), float(step)
    steps = np.rint(gaps / usual)
    holes = steps > 1
    on_grid = np.abs(gaps - steps * usual).max() <= max(2 * min(JITTER_MM, 0.1 * usual), SAME_PLACE_MM)
    if on_grid and steps.min() >= 1 and holes.mean() <= 0.25:
        missing = int((steps - 1).sum())
        raise Refused(
            "missing-slice",
            f"{missing} slice{'s are' if missing > 1 else ' is'} missing between the {len(along)} that are there",
        )
    raise Refused("uneven-spacing", f"the distance between slices varies from {gaps.min():.3f} to {gaps.max():.3f} mm")


def _check_straight(aside: NDArray[np.float64], along: NDArray[np.float64]) -> None:
    """Refuse slices that are shifted inside their plane: a tilted gantry shears the volume."""
    if len(along) < 2:
        return
    shift = aside - aside.mean(axis=0)
    if np.linalg.norm(shift, axis=1).max() > JITTER_MM:
        way = float(np.linalg.norm(aside[-1] - aside[0]))
        angle = np.degrees(np.arctan2(way, along[-1] - along[0]))
        raise Refused(
            "gantry-tilt", f"the slices are shifted by {way:.2f} mm inside their plane (a gantry tilt of {angle:.1f}°?)"
        )
