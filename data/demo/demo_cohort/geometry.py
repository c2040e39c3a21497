"""Where a sagittal DICOM slice of the RAS grid lies in the patient's coordinate system (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])


class Plane(NamedTuple):
    """One image: pixels (rows, columns), orientation (6,), position (3,) in LPS mm, spacing (row, column) in mm."""

    pixels: Array
    orientation: list[float]
    position: list[float]
    spacing: list[float]


def sagittal(volume: Array, affine: Array, index: int) -> Plane:
    """Slice `index` along the first axis: columns run from front to back, rows from top to bottom."""
    pixels = volume[index].T[::-1, ::-1]
    return _plane(pixels, affine, (index, volume.shape[1] - 1, volume.shape[2] - 1), -affine[:3, 1], -affine[:3, 2])


def coronal(volume: Array, affine: Array, index: int) -> Plane:
    """Slice `index` along the second axis: columns run from right to left, rows from top to bottom."""
    pixels = volume[::-1, index].T[::-1]
    return _plane(pixels, affine, (volume.shape[0] - 1, index, volume.shape[2] - 1), -affine[:3, 0], -affine[:3, 2])


def axial(volume: Array, affine: Array, index: int) -> Plane:
    """Slice `index` along the third axis: columns run from right to left, rows from front to back."""
    pixels = volume[::-1, ::-1, index].T
    return _plane(pixels, affine, (volume.shape[0] - 1, volume.shape[1] - 1, index), -affine[:3, 0], -affine[:3, 1])


def _plane(pixels: Array, affine: Array, corner: tuple[int, int, int], right: Array, down: Array) -> Plane:
    """`right` and `down` are the steps in RAS mm to the next column and the next row."""
    steps = [float(np.linalg.norm(down)), float(np.linalg.norm(right))]
    orientation = [*(LPS_FROM_RAS * right / steps[1]), *(LPS_FROM_RAS * down / steps[0])]
    position = LPS_FROM_RAS * (affine[:3, :3] @ np.array(corner, dtype=float) + affine[:3, 3])
    return Plane(np.ascontiguousarray(pixels), [_round(v) for v in orientation], [_round(v) for v in position], steps)


def _round(value: float) -> float:
    """Twelve digits at most: a decimal string holds 16 characters (PS3.5 section 6.2)."""
    return float(f"{value:.9g}") + 0.0 if abs(value) > 1e-7 else 0.0
