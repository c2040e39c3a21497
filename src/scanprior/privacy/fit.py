"""Affine registration of the mean head to a scan: coarse search over poses, then Mattes mutual information at 8 and 4
mm.

Single-threaded and without randomness, so that the same scan gives the same bits. All matrices map millimetres in
RAS+ axes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scanprior.privacy.template import Floats, Mask, block_mean, mean_head, ndimage

Matrix = NDArray[np.float64]
_FLIP = np.diag([-1.0, -1.0, 1.0])  # RAS+ to ITK's LPS+
_BINS = 24
# Only what lies within so many 4 mm voxels of the head counts: with all of the air, shrinking a cut head raises the
# information.
NEAR = 4
# Where the head may lie against the guess from its centre (mm: right, front, up): fields of view cut necks and crowns.
_SHIFTS = (
    (0, 0, 0),
    (0, 0, -40),
    (0, 0, -20),
    (0, 0, 20),
    (0, 0, 40),
    (0, 20, 0),
    (0, -20, 0),
    (0, 20, -25),
    (0, -20, -25),
)


class Target(NamedTuple):
    """What is registered to: values and affine at about 4 mm."""

    values: Floats
    affine: Matrix


class Fit(NamedTuple):
    """The map template → scan (4, 4; mm), its mutual information at 4 mm (nats), and its smallest and largest
    stretch."""

    matrix: Matrix
    information: float
    stretch: tuple[float, float]


class Atlas(NamedTuple):
    """What is registered: the mean head at 4 and 8 mm, as points for the coarse search, and the centre of its
    tissue (mm)."""

    fine: Target
    coarse: Target
    near: tuple[Mask, Mask]
    places: Matrix
    levels: NDArray[np.int64]
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
    fine = _averaged(Target(array, affine), 4.0)  # type: ignore[arg-type]
    low, high = np.percentile(fine.values, [0.5, 99.5])
    return Target(np.clip(fine.values, low, high).astype(np.float32), fine.affine)


def fit(target: Target, atlas: Atlas, *, wide: bool = False) -> Fit:
    """Register the atlas to `target` from the three best poses of the coarse search; `wide` also tries turned
    headers."""
    coarse = _averaged(target, 8.0)
    images = _Images.of(atlas, target)
    found = [_rough(images, turn, shift, atlas.centre) for turn, shift in _poses(coarse, atlas, wide=wide)]
    if not found:
        return Fit(np.eye(4), 0.0, (1.0, 1.0))
    return _affine(images, max(found, key=lambda pair: pair[0])[1])


def refit(target: Target, atlas: Atlas, start: Fit) -> Fit:
    """Register again from a start that is turned by 7 degrees and moved by 8 mm: a true fit comes back to itself."""
    left, stretches, right = np.linalg.svd(start.matrix[:3, :3])
    turn = Rotation.from_euler("xyz", [6, -3, 3], degrees=True).as_matrix() @ (left @ right)
    there = start.matrix[:3, :3] @ atlas.centre + start.matrix[:3, 3]
    images = _Images.of(atlas, target)
    moved = there + np.array([3.0, 5.0, -5.0]) - atlas.centre
    return _affine(images, _rough(images, turn, moved, atlas.centre, scale=float(stretches.mean()))[1])


class _Images(NamedTuple):
    """Atlas and scan for ITK at 8 and at 4 mm."""

    small_atlas: sitk.Image
    small_near: sitk.Image
    small: sitk.Image
    atlas: sitk.Image
    near: sitk.Image
    large: sitk.Image

    @classmethod
    def of(cls, atlas: Atlas, target: Target) -> _Images:
        tight, near = (
            Target(mask.astype(np.float32), one.affine)
            for mask, one in zip(atlas.near, (atlas.fine, atlas.coarse), strict=True)
        )
        return cls(*map(_image, (atlas.coarse, near, _averaged(target, 8.0), atlas.fine, tight, target)))


def apart(one: Fit, other: Fit, places: Matrix) -> float:
    """Mean distance (mm) between where two fits put the template's `places` (n, 3)."""
    difference = one.matrix - other.matrix
    return float(np.linalg.norm(places @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def onto(mask: Mask, affine: Matrix, matrix: Matrix, shape: tuple[int, ...], grid: Matrix) -> Mask:
    """Carry a template mask through `matrix` onto the grid `shape`, `grid`; beyond the template its edge goes on."""
    back = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ grid
    return ndimage.affine_transform(
        mask.astype(np.uint8), back[:3, :3], back[:3, 3], shape, order=0, mode="nearest"
    ).astype(bool)


def at_places(target: Target, found: Fit, places: Matrix) -> Floats:
    """The scan's values where `found` puts the template's `places` (n, 3; mm); NaN outside the scan."""
    back = np.linalg.inv(target.affine) @ found.matrix
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


def _atlas(values: Floats) -> Atlas:
    fine = Target(*block_mean(values, mean_head().affine, (2, 2, 2)))
    coarse = _averaged(fine, 8.0)
    tight, near = (
        ndimage.binary_dilation(_filled(one), iterations=by) for one, by in ((fine, NEAR), (coarse, NEAR // 2))
    )
    # A fixed quarter of the points is enough for a rough pose, and four times as fast.
    chosen = np.random.default_rng(0).permutation(int(near.sum()))[:2500]
    levels = (coarse.values[near] / coarse.values.max() * (_BINS - 0.01)).astype(np.int64)[chosen]
    return Atlas(fine, coarse, (tight, near), _places(coarse, near)[chosen], levels, _centre(fine))


def _filled(target: Target) -> Mask:
    return ndimage.binary_fill_holes(target.values > tissue_level(target.values))


def _averaged(target: Target, size: float) -> Target:
    spacing = np.linalg.norm(target.affine[:3, :3], axis=0)
    a, b, c = (max(1, round(size / side)) for side in spacing)
    return Target(*block_mean(target.values, target.affine, (a, b, c)))


def _places(target: Target, where: Mask) -> Matrix:
    return np.argwhere(where) @ target.affine[:3, :3].T + target.affine[:3, 3]


def _centre(target: Target, *, upper: bool = True) -> Matrix:
    """Centre of the tissue; `upper`: of its top 150 mm, so that necks and shoulders do not count."""
    places = _places(target, target.values > tissue_level(target.values))
    if upper:
        places = places[places[:, 2] > np.percentile(places[:, 2], 99.8) - 150]
    return places.mean(axis=0)


def _turns(*, wide: bool) -> list[Matrix]:
    """Head tilts up to 30 degrees; `wide`: each of the 24 ways to lay the axes, slightly tilted."""
    sides = ((0, 0), (-15, 0), (15, 0), (0, 15), (0, -15))
    tilts = [
        Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix() for x in (-30, -15, 0, 15, 30) for y, z in sides
    ]
    if not wide:
        return tilts
    return [axes @ tilt for axes in Rotation.create_group("O").as_matrix() for tilt in tilts[::5]]


def _poses(coarse: Target, atlas: Atlas, *, wide: bool) -> list[tuple[Matrix, Matrix]]:
    """The three rotations with the highest mutual information at nearest voxels, each with its best shift (mm)."""
    low, high = np.percentile(coarse.values, [1, 99.5])
    levels = np.clip((coarse.values - low) / max(high - low, 1e-9) * _BINS, 0, _BINS - 0.01).astype(np.int64)
    back = np.linalg.inv(coarse.affine)
    middle = _centre(coarse, upper=not wide)
    found: list[tuple[float, int, Matrix, Matrix]] = []
    for number, turn in enumerate(_turns(wide=wide)):
        turned = (atlas.places - atlas.centre) @ turn.T + middle
        scores: list[tuple[float, int, Matrix]] = []
        for which, shift in enumerate(_SHIFTS):
            index = np.rint((turned + shift) @ back[:3, :3].T + back[:3, 3]).astype(np.int64)
            inside = ((index >= 0) & (index < coarse.values.shape)).all(axis=1)
            if inside.mean() > 0.35:
                pairs = atlas.levels[inside] * _BINS + levels[tuple(index[inside].T)]
                scores.append((_information(np.bincount(pairs, minlength=_BINS**2).reshape(_BINS, _BINS)), -which,
                               middle + shift - atlas.centre))  # fmt: skip
        if scores:
            score, _, move = max(scores, key=lambda row: row[:2])
            found.append((score, -number, turn, move))
    found.sort(key=lambda row: row[:2], reverse=True)
    return [(turn, move) for _, _, turn, move in found[:3]]


def _information(counts: NDArray[np.int64]) -> float:
    """Mutual information of a joint histogram, in nats."""
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def _rough(
    images: _Images, turn: Matrix, shift: Matrix, centre: Matrix, *, scale: float = 1.0
) -> tuple[float, sitk.Similarity3DTransform]:
    """Rotation, shift and one scale at 8 mm, from x → turn (x − centre) + centre + shift."""
    transform = sitk.Similarity3DTransform()
    transform.SetCenter((_FLIP @ centre).tolist())
    left, _, right = np.linalg.svd(turn)  # the header's directions are rounded; a similarity takes exact rotations only
    transform.SetMatrix((_FLIP @ (scale * left @ right) @ _FLIP).ravel().tolist(), 1e-6)
    transform.SetTranslation((_FLIP @ shift).tolist())
    return _optimise(
        images.small_atlas, images.small_near, images.small, transform, step=6.0, least=0.5, share=1.0
    ), transform


def _affine(images: _Images, start: sitk.Similarity3DTransform) -> Fit:
    """All twelve parameters, at 8 mm and then at 4 mm: at 4 mm alone the basin is 8 mm wide."""
    transform = sitk.AffineTransform(3)
    transform.SetCenter(start.GetCenter())
    transform.SetMatrix(start.GetMatrix())
    transform.SetTranslation(start.GetTranslation())
    _optimise(images.small_atlas, images.small_near, images.small, transform, step=4.0, least=0.2, share=1.0)
    information = _optimise(images.atlas, images.near, images.large, transform, step=2.0, least=0.05, share=0.25)
    linear = _FLIP @ np.reshape(transform.GetMatrix(), (3, 3)) @ _FLIP
    centre, move = _FLIP @ transform.GetCenter(), _FLIP @ transform.GetTranslation()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, centre + move - linear @ centre
    stretch = np.linalg.svd(linear, compute_uv=False)
    return Fit(matrix, information, (float(stretch[-1]), float(stretch[0])))


def _optimise(
    fixed: sitk.Image,
    near: sitk.Image,
    moving: sitk.Image,
    transform: sitk.Transform,
    *,
    step: float,
    least: float,
    share: float,
) -> float:
    """Improve `transform` in place; returns Mattes' mutual information (nats, 32 bins), 0 where too little overlaps.

    Regular steps that shrink slowly (0.8) find the true pose of 27 of 30 turned real heads, fast shrinking ones
    (0.6) of 22.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums of several threads differ in their last bits
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(sitk.Cast(near, sitk.sitkUInt8))
    if share < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step, minStep=least, numberOfIterations=60, relaxationFactor=0.8, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK: too few samples overlap
        return 0.0
    return -float(method.GetMetricValue())


def _image(target: Target) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(target.values.T))
    spacing = np.linalg.norm(target.affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_FLIP @ target.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((_FLIP @ target.affine[:3, 3]).tolist())
    return image
