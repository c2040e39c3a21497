"""A volume: voxel values on a regular grid, and where that grid lies in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanprior.scans.refused import Refused


@dataclass(frozen=True)
class Volume:
    """Voxel values `array[i, j, k]` and the `affine` (4, 4) that maps (i, j, k, 1) to millimetres in RAS+ axes.

    RAS+: x grows to the patient's right, y to the front, z to the head (NIfTI-1 convention).
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between neighbouring voxels along i, j, k."""
        return spacing_of(self.affine)


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Millimetres between neighbouring voxels along each grid axis."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def axes(affine: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Say for each grid axis which patient axis (0 x, 1 y, 2 z) it follows best, and in which direction (+1, -1).

    Every patient axis is given away once, the strongest match first, so that oblique grids get an answer too.
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    remaining = np.abs(cosines)
    along = np.zeros(3, dtype=np.intp)
    for _ in range(3):
        patient, grid = np.unravel_index(np.argmax(remaining), remaining.shape)
        along[grid] = patient
        remaining[patient, :] = -1
        remaining[:, grid] = -1
    return along, np.sign(cosines[along, np.arange(3)])


def to_ras(volume: Volume) -> Volume:
    """Permute and flip the grid so that i, j, k grow towards right, front and head; no voxel value changes."""
    along, direction = axes(volume.affine)
    order = np.argsort(along)
    array = np.transpose(volume.array, order)
    affine = volume.affine.copy()
    affine[:3, :3] = affine[:3, :3][:, order]
    for axis, sign in enumerate(direction[order]):
        if sign < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(array, affine)


def on_grid_of(volume: Volume, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> Volume:
    """Permute and flip `volume` onto the grid `shape`, `affine` of its scan (a label map drawn on a flipped copy).

    Raises:
        Refused: grid-mismatch, when the grids differ by more than a tenth of a voxel, which only resampling could mend.
    """
    here, there = to_ras(volume), to_ras(Volume(np.broadcast_to(np.uint8(0), shape), affine))
    if here.shape != there.shape:
        raise Refused(
            "grid-mismatch", f"the label map has {here.shape} voxels and its scan {there.shape} (both in RAS order)"
        )
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in there.shape], [1.0])).reshape(4, -1)
    apart = float(np.linalg.norm((here.affine - there.affine) @ corners, axis=0).max())
    side = min(there.spacing)
    if apart > 0.1 * side:
        raise Refused(
            "grid-mismatch",
            f"the label map lies up to {apart:.2f} mm beside its scan, whose voxels measure {side:.2f} mm",
        )
    along, direction = axes(affine)
    array = here.array
    for patient in range(3):
        if direction[np.flatnonzero(along == patient)[0]] < 0:
            array = np.flip(array, patient)
    return Volume(np.ascontiguousarray(np.transpose(array, along)), affine)


def voxel_digest(volume: Volume) -> str:
    """sha256 (hex) over the voxels in RAS order: equal for one image in another orientation, number type or format.

    Whole numbers are hashed as int32, others as float32; the grid's size counts, its place in the room does not.
    """
    array = to_ras(volume).array
    if array.dtype.kind == "f":
        whole = np.all(np.isfinite(array)) and np.all(np.abs(array) < 2**31) and np.array_equal(array, np.rint(array))
        array = array.astype(np.int32 if whole else np.float32, order="F")
    else:
        array = array.astype(np.int32, order="F")
    digest = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    digest.update(array.ravel(order="F").data)
    return digest.hexdigest()
