"""Volumes on one common grid: RAS axes and the study's voxel size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813 - everybody calls it so

Spacing = tuple[float, float, float]
TOLERANCE = (
    1e-3  # mm: a grid this close to the wanted one is left alone, so that nothing is blurred for a rounding error
)


class Grid(NamedTuple):
    """An array indexed (i, j, k) and its 4×4 affine to RAS+ millimetres."""

    array: np.ndarray
    affine: np.ndarray


def to_ras(array: np.ndarray, affine: np.ndarray) -> Grid:
    """Permute and flip axes so that i, j, k run closest to right, anterior, superior; no voxel value changes.

    Raises:
        ValueError: the affine is singular, so there is no telling which axis points where.
    """
    directions = affine[:3, :3]
    spacing = np.linalg.norm(directions, axis=0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(directions)) < 1e-9 * max(spacing.prod(), 1e-30):
        raise ValueError("the affine is singular")
    cosines = directions / spacing
    source = _assignment(np.abs(cosines))
    array = array.transpose(source)
    ordered = affine.copy().astype(float)
    ordered[:, :3] = affine[:, list(source)]
    for axis in range(3):
        if ordered[axis, axis] < 0:
            ordered[:3, 3] += ordered[:3, axis] * (array.shape[axis] - 1)
            ordered[:3, axis] *= -1
            array = np.flip(array, axis)
    return Grid(np.ascontiguousarray(array), ordered)


def resample(array: np.ndarray, affine: np.ndarray, spacing: Spacing, *, nearest: bool = False) -> Grid:
    """Resample a RAS volume to `spacing` (mm): linear, or nearest neighbour for label maps; the field of view is kept.

    The identity, bit for bit, when the volume has that spacing already. Beyond the edge the edge's value is taken.
    """
    old = np.linalg.norm(affine[:3, :3], axis=0)
    new = np.asarray(spacing, dtype=float)
    if np.allclose(old, new, atol=TOLERANCE, rtol=0):
        return Grid(array, affine)
    shape = np.maximum(1, np.round(np.asarray(array.shape) * old / new)).astype(int)
    # Voxel centres of the new grid in old voxel units, so that both grids cover the same box.
    origin = (new / old - 1) / 2
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    filter_ = sitk.ResampleImageFilter()
    filter_.SetSize([int(side) for side in shape])
    filter_.SetOutputSpacing([float(step) for step in new / old])
    filter_.SetOutputOrigin([float(start) for start in origin])
    filter_.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    filter_.SetUseNearestNeighborExtrapolator(True)
    filter_.SetNumberOfThreads(1)
    result = sitk.GetArrayFromImage(filter_.Execute(image)).transpose(2, 1, 0)
    moved = affine.copy().astype(float)
    moved[:3, :3] = affine[:3, :3] / old * new
    moved[:3, 3] = affine[:3, :3] @ origin + affine[:3, 3]
    return Grid(np.ascontiguousarray(result), moved)


def _assignment(cosines: np.ndarray) -> tuple[int, int, int]:
    """For each world axis the array axis that runs along it: the permutation with the largest sum of |cosines|."""
    best, chosen = -1.0, (0, 1, 2)
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        total = float(sum(cosines[axis, order[axis]] for axis in range(3)))
        if total > best + 1e-9:
            best, chosen = total, order
    return chosen
