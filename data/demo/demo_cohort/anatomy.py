"""The head of one virtual patient: pydeface's template, moved, bent and textured, with or without a lesion.

It plays a T1 with contrast agent and fat suppression: there a lesion is brighter than the tissue around it, and the
scalp is not so bright that a small network sees nothing else.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .seeds import generator

Array = NDArray[Any]

# The knobs that decide how hard the demo is. A lesion adds CONTRAST times white matter, as one that takes up contrast
# agent does.
CONTRAST = 0.55
RADIUS_MM = (10.0, 13.0)
TEXTURE = 0.02
WHITE_MATTER = 300.0  # its intensity in the template
FAT_KEPT = 0.2  # share of the signal above white matter that fat suppression leaves
MARGIN_MM = 11.0  # between a lesion's centre and the edge of the cerebrum

FIELD_OF_VIEW_MM = (176.0, 256.0, 256.0)


class TemplateMissingError(Exception):
    """pydeface, whose wheel carries the template, is not installed."""


@dataclass(frozen=True)
class Template:
    """The mean head of pydeface (RAS), its affine (voxels to mm), and the voxels (n, 3) where a lesion may sit."""

    image: Array
    affine: Array
    places: Array


@dataclass(frozen=True)
class Head:
    """One patient's tissue (float32, template intensities) and lesion mask (uint8) on the scanner's grid."""

    tissue: Array
    lesion: Array
    affine: Array


def load_template() -> Template:
    """The template from the installed package `pydeface` (MIT); raises TemplateMissingError where there is none."""
    image: Any = nib.load(_template_path())
    array = image.get_fdata(dtype=np.float32)
    coarse = array[::2, ::2, ::2]
    cerebrum = _cerebrum(coarse)
    deep = ndimage.distance_transform_edt(cerebrum) * 2.0 > MARGIN_MM
    # no ventricle and no fissure: white and grey matter lie above 200
    solid = (ndimage.uniform_filter(coarse, 5) > 215.0) & (ndimage.minimum_filter(coarse, 3) > 170.0)
    places = np.argwhere(deep & solid) * 2
    excess = (array - WHITE_MATTER).clip(0)
    array -= (1.0 - FAT_KEPT) * excess
    return Template(array, np.asarray(image.affine, dtype=np.float64), places)


def grow(template: Template, number: int, *, lesion: bool, spacing_mm: float) -> Head:
    """The head of patient `number` on a sagittal grid of `spacing_mm`, the same however often it is asked for."""
    random = generator("anatomy", number)
    shape = tuple(round(extent / spacing_mm) for extent in FIELD_OF_VIEW_MM)
    affine = _grid(random, shape, spacing_mm, oblique=number % 2 == 1)
    points = _points(template, random, shape, affine)
    tissue = ndimage.map_coordinates(template.image, points, order=1, mode="constant", cval=0.0)
    tissue *= np.exp(smooth_field(random, shape, spacing_mm, knots_mm=7.0) * np.float32(TEXTURE))
    mask = np.zeros(shape, np.uint8)
    if lesion:
        profile = _lesion(template, number, points)
        tissue += CONTRAST * WHITE_MATTER * profile
        mask[profile >= 0.5] = 1
    return Head(tissue.astype(np.float32), mask, affine)


def smooth_field(random: np.random.Generator, shape: tuple[int, ...], spacing_mm: float, *, knots_mm: float) -> Array:
    """A smooth random field of unit variance (float32): cubic B-splines on a control grid of `knots_mm`."""
    field = random.standard_normal([int(size * spacing_mm / knots_mm) + 4 for size in shape]).astype(np.float32)
    for axis, size in enumerate(shape):
        basis = _splines(size, spacing_mm / knots_mm, field.shape[axis])
        # einsum instead of BLAS: the order of its sums does not depend on the number of threads
        field = np.moveaxis(np.einsum("xk,k...->x...", basis, np.moveaxis(field, axis, 0)), 0, axis)
    return field


def _splines(size: int, step: float, knots: int) -> Array:
    """Weights (size, knots) of the cubic B-spline, each row scaled to unit length to keep the variance."""
    at = np.arange(size)[:, None] * step + 1.5
    distance = np.abs(at - np.arange(knots)[None, :])
    weights = np.where(
        distance < 1,
        2 / 3 - distance**2 + distance**3 / 2,
        np.where(distance < 2, (2 - distance).clip(0) ** 3 / 6, 0.0),
    )
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def _grid(random: np.random.Generator, shape: tuple[int, ...], spacing: float, *, oblique: bool) -> Array:
    """The scanner's grid: straight, or tilted by a few degrees as technicians do; centred on the head, nose inside."""
    tilt = _rotation(np.deg2rad(random.normal(0.0, 3.0, 3))) if oblique else np.eye(3)
    affine = np.eye(4)
    affine[:3, :3] = tilt * spacing
    middle = (np.array(shape) - 1) / 2
    affine[:3, 3] = random.normal(0.0, 5.0, 3) - affine[:3, :3] @ middle
    return affine


def _points(template: Template, random: np.random.Generator, shape: tuple[int, ...], affine: Array) -> Array:
    """Template voxel coordinates (3, *shape) of every voxel of the grid: affine pose and size, then smooth bending."""
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3] + random.normal(0.0, 2.5, 3) + [0.0, 3.0, 0.0]
    pose = _rotation(np.deg2rad(random.normal(0.0, 3.0, 3))) @ np.diag(np.exp(random.normal(0.0, 0.035, 3)))
    middle = template.affine[:3, :3] @ ((np.array(template.image.shape) - 1) / 2)
    to_voxel = np.linalg.inv(template.affine[:3, :3])
    linear = to_voxel @ pose @ affine[:3, :3]
    start = to_voxel @ (pose @ (affine[:3, 3] - centre) + middle)
    axes = [np.arange(size, dtype=np.float32) for size in shape]
    spacing = float(np.linalg.norm(affine[:3, 0]))
    points = np.empty((3, *shape), np.float32)
    for row in range(3):
        x, y, z = (axis * np.float32(linear[row, column]) for column, axis in enumerate(axes))
        points[row] = np.float32(start[row]) + x[:, None, None] + y[None, :, None] + z[None, None, :]
        # 2.2 mm at knots of 38 mm bends visibly and never folds
        points[row] += np.float32(2.2) * smooth_field(random, shape, spacing, knots_mm=38.0)
    return points


def _lesion(template: Template, number: int, points: Array) -> Array:
    """A soft-edged ellipsoid (1 inside, 0 outside) somewhere eligible, bent along with the anatomy around it."""
    random = generator("lesion", number)
    centre = random.choice(template.places)
    radii = random.uniform(*RADIUS_MM) * np.exp(random.normal(0.0, 0.08, 3))
    offset = [(points[axis] - np.float32(centre[axis])) / np.float32(radii[axis]) for axis in range(3)]
    distance = np.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2)
    return 1.0 / (1.0 + np.exp(((distance - 1.0) * 8.0).clip(-30, 30)))


def _rotation(angles: Array) -> Array:
    """Rotation about x, then y, then z (radians)."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [(1, 2), (0, 2), (0, 1)][axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        turned = turn @ turned
    return turned


def _cerebrum(image: Array) -> Array:
    """The cerebrum on the template at about 2 mm: bright tissue that stays connected where 6 mm are worn off."""
    tissue = image > 150.0
    tissue[:, :, : int(image.shape[2] * 0.42)] = False
    core = ndimage.distance_transform_edt(tissue) > 3.0
    parts, _ = ndimage.label(core)
    middle = tuple(round(size * share) for size, share in zip(image.shape, (0.35, 0.5, 0.62), strict=True))
    inside = parts == parts[middle]
    return (ndimage.distance_transform_edt(~inside) <= 3.0) & tissue


def _template_path() -> Path:
    try:
        files = importlib.metadata.files("pydeface") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "mean_reg2mean.nii.gz":
            return Path(str(file.locate()))
    raise TemplateMissingError(
        "the demo cohort needs the head template of the package pydeface, which is not installed here: "
        "run `make env`, or `pip install --no-deps pydeface==2.1.0`"
    )
