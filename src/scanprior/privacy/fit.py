"""Affine registration of the mean head to a scan: rough poses, then Mattes mutual information at 8 and 4 mm.

Single-threaded and without randomness, so that the same scan gives the same bits. All matrices map millimetres in
RAS+ axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from scanprior.privacy.atlas import Atlas, Matrix, Target, averaged
from scanprior.privacy.pose import poses

Triple = tuple[int, int, int]

_FLIP = np.diag([-1.0, -1.0, 1.0])  # RAS+ to ITK's LPS+
_ROUGH = 10  # poses that are registered at 8 mm
_FINE = 3  # of them at 4 mm
_ROUNDS, GAIN = 4, 0.005  # of polishing, and nats for which another one is worth its time
# Starts beside the best fit: turned (degrees) and moved (mm) in the template's axes.
_BESIDE: tuple[tuple[Triple, Triple], ...] = (
    ((6, -3, 3), (3, 5, -5)),
    ((-5, 4, -4), (-4, -5, 4)),
    ((3, 5, -6), (4, -4, 6)),
)


class Fit(NamedTuple):
    """The map template → scan (4, 4; mm), its mutual information at 4 mm (nats), and its smallest and largest
    stretch."""

    matrix: Matrix
    information: float
    stretch: tuple[float, float]


def fit(target: Target, atlas: Atlas) -> list[Fit]:
    """Register the atlas to `target` from the best poses of all; one fit for each start, the most informative first.

    A true fit comes back from several starts; empty where hardly anything of the head would lie in the scan.
    """
    images = _Images(atlas, target)
    rough = [_similar(images, pose) for pose in poses(images.small, atlas, count=_ROUGH)]
    rough.sort(key=lambda pair: -pair[0])
    return sorted((_affine(images, matrix) for _, matrix in rough[:_FINE]), key=lambda one: -one.information)


def fit_beside(target: Target, atlas: Atlas) -> list[Fit]:
    """Register from the best pose beside the header's directions, and again from a start beside what that has found."""
    images = _Images(atlas, target)
    found = [_affine(images, _similar(images, pose)[1]) for pose in poses(images.small, atlas, count=1, beside=True)]
    return sorted((*found, *(_again(images, one, *_BESIDE[0]) for one in found)), key=lambda one: -one.information)


def refit(target: Target, atlas: Atlas, start: Fit) -> list[Fit]:
    """Register again from three starts about 8 degrees and 8 mm beside `start`: a true fit comes back to itself."""
    images = _Images(atlas, target)
    return [_again(images, start, turn, move) for turn, move in _BESIDE]


def polish(target: Target, atlas: Atlas, start: Fit) -> Fit:
    """Go on from `start` with small steps while that tells more: a search that ends early can be 3 mm from its best place."""
    images, best = _Images(atlas, target), start
    for _ in range(_ROUNDS):
        information, matrix = _optimise(
            images, best.matrix, sitk.AffineTransform(3), level=0, step=1.0, least=0.01, share=0.25
        )
        gain = information - best.information
        if gain > 0:
            best = _of(matrix, information)
        if gain < GAIN:
            break
    return best


def _again(images: _Images, start: Fit, turn: Triple, move: Triple) -> Fit:
    """Register from `start` turned (degrees) and moved (mm)."""
    centre = images.atlas.centre
    step = np.eye(4)
    step[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    step[:3, 3] = centre + move - step[:3, :3] @ centre
    return _affine(images, _similar(images, start.matrix @ step)[1])


def apart(one: Fit, other: Fit, places: Matrix) -> float:
    """Mean distance (mm) between where two fits put the template's `places` (n, 3)."""
    difference = one.matrix - other.matrix
    return float(np.linalg.norm(places @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


class _Images:
    """Atlas and scan at 8 and at 4 mm; the scan as ITK's images."""

    def __init__(self, atlas: Atlas, target: Target) -> None:
        self.atlas = atlas
        self.small = averaged(target, 8.0)
        self.moving = (_image(target), _image(self.small))


def _similar(images: _Images, start: Matrix) -> tuple[float, Matrix]:
    """Rotation, shift and one scale at 8 mm; returns mutual information (nats) and matrix."""
    return _optimise(images, start, sitk.Similarity3DTransform(), level=1, step=6.0, least=0.5, share=1.0)


def _affine(images: _Images, start: Matrix) -> Fit:
    """All twelve parameters, at 8 mm and then at 4 mm: at 4 mm alone the basin is 8 mm wide."""
    _, middle = _optimise(images, start, sitk.AffineTransform(3), level=1, step=4.0, least=0.2, share=1.0)
    information, matrix = _optimise(images, middle, sitk.AffineTransform(3), level=0, step=2.0, least=0.05, share=0.25)
    return _of(matrix, information)


def _of(matrix: Matrix, information: float) -> Fit:
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    return Fit(matrix, information, (float(stretch[-1]), float(stretch[0])))


def _optimise(
    images: _Images,
    start: Matrix,
    transform: sitk.Similarity3DTransform | sitk.AffineTransform,
    *,
    level: int,
    step: float,
    least: float,
    share: float,
) -> tuple[float, Matrix]:
    """Improve `start`; returns Mattes' mutual information (nats, 32 bins; 0 where too little overlaps) and the matrix.

    The atlas is turned and moved to the start beforehand, so that `transform` begins as little more than the identity:
    ITK's rotation, a versor, cannot leave a half turn, and all headers turned by 180 degrees were lost. Regular steps
    that shrink slowly (0.8) find the true pose more often than fast shrinking ones (0.6).
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums of several threads differ in their last bits
    rigid, rest, centre = _parts(start, images.atlas.centre)
    transform.SetCenter((_FLIP @ centre).tolist())
    if isinstance(transform, sitk.Similarity3DTransform):
        transform.SetScale(float(np.cbrt(max(np.linalg.det(rest), 0.1))))
    else:
        transform.SetMatrix((_FLIP @ rest @ _FLIP).ravel().tolist())
    fixed = (images.atlas.fine, images.atlas.coarse)[level]
    near = Target(images.atlas.near[level].astype(np.float32), fixed.affine)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(sitk.Cast(_image(near, rigid), sitk.sitkUInt8))
    if share < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, seed=1)
    method.SetMetricUseFixedImageGradientFilter(False)  # the metric asks for gradients of the moving image alone
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step, minStep=least, numberOfIterations=60, relaxationFactor=0.8, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_image(fixed, rigid), images.moving[level])
    except RuntimeError:  # ITK: too few samples overlap
        return 0.0, start
    linear = _FLIP @ np.reshape(transform.GetMatrix(), (3, 3)) @ _FLIP
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = linear, centre + _FLIP @ transform.GetTranslation() - linear @ centre
    return -float(method.GetMetricValue()), found @ rigid


def _parts(matrix: Matrix, centre: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Split `matrix` into the rigid part that already takes the template's `centre` (mm) to its place, the stretch
    (3, 3) that remains, and that place (mm)."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    turn = left @ right
    place = matrix[:3, :3] @ centre + matrix[:3, 3]
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = turn, place - turn @ centre
    return rigid, matrix[:3, :3] @ turn.T, place


def _image(target: Target, moved: Matrix | None = None) -> sitk.Image:
    affine = target.affine if moved is None else moved @ target.affine
    image = sitk.GetImageFromArray(np.ascontiguousarray(target.values.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_FLIP @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((_FLIP @ affine[:3, 3]).tolist())
    return image
