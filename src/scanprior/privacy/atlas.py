"""The mean head as something to register, and a scan as something to register to: values at about 4 and 8 mm, levels of
air and tissue, and masks carried from one to the other.

All matrices map millimetres in RAS+ axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.privacy.template import Floats, Mask, block_mean, mean_head, ndimage

Matrix = NDArray[np.float64]
# Only what lies within so many 4 mm voxels of the head counts: with all of the air, shrinking a cut head raises the
# information.
NEAR = 4


class Target(NamedTuple):
    """What is registered to: values and affine at about 4 mm."""

    values: Floats
    affine: Matrix


class Atlas(NamedTuple):
    """What is registered: the mean head at 4 and 8 mm, the voxels of each that count, and the centre of its tissue
    (mm)."""

    fine: Target
    coarse: Target
    near: tuple[Mask, Mask]
    centre: Matrix


@cache
def head_atlas() -> Atlas:
    """The whole mean head."""
    return _atlas(mean_head().values)


@cache
def faceless_atlas() -> Atlas:
    """The mean head without its face: what a defaced scan looks like."""
    head = mean_head()
    return _atlas(np.where(head.face, 0, head.values).astype(np.float32))


@cache
def brain_atlas() -> Atlas:
    """Only the brain of the mean head: what a skull-stripped scan looks like."""
    head = mean_head()
    return _atlas(np.where(head.brain, head.values, 0).astype(np.float32))


def prepare(array: NDArray[np.generic], affine: Matrix) -> Target:
    """Average a scan to voxels of about 4 mm and clip its extremes (0.5 and 99.5 %)."""
    fine = averaged(Target(array, affine), 4.0)  # type: ignore[arg-type]
    low, high = np.percentile(fine.values, [0.5, 99.5])
    return Target(np.clip(fine.values, low, high).astype(np.float32), fine.affine)


def onto(mask: Mask, affine: Matrix, matrix: Matrix, shape: tuple[int, ...], grid: Matrix) -> Mask:
    """Carry a template mask through `matrix` onto the grid `shape`, `grid`; beyond the template its edge goes on."""
    return all_onto((mask,), affine, matrix, shape, grid)[0]


def all_onto(masks: Sequence[Mask], affine: Matrix, matrix: Matrix, shape: tuple[int, ...], grid: Matrix) -> list[Mask]:
    """As `onto`, for at most eight masks at once, as the bits of one image."""
    back = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ grid
    bits = np.packbits(np.stack(masks, axis=-1), axis=-1, bitorder="little")[..., 0]
    there = ndimage.affine_transform(bits, back[:3, :3], back[:3, 3], shape, order=0, mode="nearest")
    return [(there >> bit & 1).astype(bool) for bit in range(len(masks))]


def at_places(target: Target, matrix: Matrix, places: Matrix) -> Floats:
    """The scan's values where `matrix` puts the template's `places` (n, 3; mm); NaN outside the scan."""
    back = np.linalg.inv(target.affine) @ matrix
    index = places @ back[:3, :3].T + back[:3, 3]
    return ndimage.map_coordinates(target.values, index.T, order=1, mode="constant", cval=np.nan)


def tissue_level(values: Floats) -> float:
    """Half of Otsu's threshold (IEEE SMC 9:62, 1979): above it is tissue, below it air."""
    low, high = np.percentile(values, [1, 99.5])
    counts, edges = np.histogram(np.clip(values, low, high), 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    rest = np.maximum(below[-1] - below, 1)
    between = (sums[-1] * below / below[-1] - sums) ** 2 / (np.maximum(below, 1) * rest)
    return float(low + (centres[int(np.argmax(between))] - low) / 2)


def air_level(values: Floats) -> float:
    """Above it is no air: four spreads of the air over its median, between a tenth and a half of Otsu's threshold.

    Far from the coil a face is darker than half of Otsu's threshold (adult MPRAGE: half of its skin), but still no air.
    """
    half, low = tissue_level(values), float(np.percentile(values, 1))
    air = values[values < half]
    if not air.size:
        return half
    middle = float(np.median(air))
    noise = 1.4826 * float(np.median(np.abs(air - middle)))
    return float(np.clip(middle + 4 * noise, low + (half - low) / 5, half))


def averaged(target: Target, size: float) -> Target:
    """Average blocks of voxels up to about `size` mm."""
    spacing = np.linalg.norm(target.affine[:3, :3], axis=0)
    a, b, c = (max(1, round(size / side)) for side in spacing)
    return Target(*block_mean(target.values, target.affine, (a, b, c)))


def places_of(where: Mask, affine: Matrix) -> Matrix:
    """Centres (n, 3; mm) of the voxels of a mask."""
    return np.argwhere(where) @ affine[:3, :3].T + affine[:3, 3]


def upper_centre(places: Matrix, up: Matrix) -> Matrix:
    """Centre (mm) of the top 150 mm of `places` (n, 3; mm) along the direction `up`: necks and shoulders do not
    count."""
    heights = places @ up
    return places[heights > np.percentile(heights, 99.8) - 150].mean(axis=0)


def _atlas(values: Floats) -> Atlas:
    fine = Target(*block_mean(values, mean_head().affine, (2, 2, 2)))
    coarse = averaged(fine, 8.0)
    tight, near = (
        ndimage.binary_dilation(_filled(one), iterations=by) for one, by in ((fine, NEAR), (coarse, NEAR // 2))
    )
    tissue = places_of(fine.values > tissue_level(fine.values), fine.affine)
    return Atlas(fine, coarse, (tight, near), upper_centre(tissue, np.array([0.0, 0.0, 1.0])))


def _filled(target: Target) -> Mask:
    return ndimage.binary_fill_holes(target.values > tissue_level(target.values))
