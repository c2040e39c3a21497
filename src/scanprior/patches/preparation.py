"""One scan made comparable: RAS axes, the study's spacing, body mask, normalised intensity, its label map alongside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scanprior.patches.intensity import normalise
from scanprior.patches.masks import allowed_mask, body_mask
from scanprior.patches.resampling import Grid, Spacing, resample, to_ras

AFFINE_TOLERANCE = 0.01  # mm: rounding of single-precision headers


class Refused(Exception):  # noqa: N818 - a verdict, which the stage turns into a quarantine row
    """A scan that can't be prepared, with a code and a sentence that holds no identifying text."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class Prepared(NamedTuple):
    """Arrays indexed (i, j, k) on one RAS grid, and its affine."""

    image: np.ndarray  # float32, normalised
    allowed: np.ndarray  # bool: body minus what defacing removed
    labels: np.ndarray | None  # uint8, the label map's own values
    removed: np.ndarray | None  # bool: what defacing removed
    affine: np.ndarray  # 4×4 to RAS+ mm


def prepare(image: Grid, labels: Grid | None, removed: Grid | None, *, spacing: Spacing, intensity: str) -> Prepared:
    """Reorient, resample and normalise a scan with its label map and its mask of removed voxels.

    Raises:
        Refused: the volume is constant, not finite or not three-dimensional; a map lies on another grid; no body is left.
    """
    _check(image)
    for name, other in (("label map", labels), ("mask of removed voxels", removed)):
        if other is not None:
            _check_same_grid(image, other, name)
    volume = _place(Grid(image.array.astype(np.float32), image.affine), spacing)
    classes = None if labels is None else _place(_integers(labels), spacing, nearest=True).array
    gone: np.ndarray | None = None
    if removed is not None and removed.array.any():
        # Linear and "> 0": a voxel into which any removed voxel was blended counts as removed.
        gone = _place(Grid((removed.array > 0).astype(np.float32), removed.affine), spacing).array > 0
    body = body_mask(volume.array)
    allowed = allowed_mask(body, gone)
    if not allowed.any():
        raise Refused("empty-mask", "no body voxel is left where patches could be taken")
    try:
        normalised = normalise(volume.array, allowed, intensity)
    except ValueError:
        raise Refused("constant-volume", "all voxels have the same value") from None
    return Prepared(normalised, allowed, classes, gone, volume.affine)


def _place(grid: Grid, spacing: Spacing, *, nearest: bool = False) -> Grid:
    return resample(*_ras(grid), spacing, nearest=nearest)


def _ras(grid: Grid) -> Grid:
    try:
        return to_ras(grid.array, grid.affine)
    except ValueError:
        raise Refused("singular-affine", "the header does not say where the voxels lie (singular affine)") from None


def _check(image: Grid) -> None:
    if image.array.ndim != 3 or min(image.array.shape) < 2:
        raise Refused("not-3d", f"the volume has shape {image.array.shape}, not three sides of at least 2 voxels")
    if not np.isfinite(image.array).all():
        raise Refused("not-finite", "some voxels are not finite numbers")
    if image.array.min() == image.array.max():
        raise Refused("constant-volume", "all voxels have the same value")


def _check_same_grid(image: Grid, other: Grid, name: str) -> None:
    if other.array.shape != image.array.shape:
        raise Refused("shape-mismatch", f"the {name} has shape {other.array.shape}, its scan {image.array.shape}")
    if not np.allclose(other.affine, image.affine, atol=AFFINE_TOLERANCE):
        raise Refused("grid-mismatch", f"the {name} and its scan lie in different places (their affines differ)")


def _integers(labels: Grid) -> Grid:
    rounded = np.rint(labels.array)
    if not np.array_equal(rounded, labels.array) or rounded.min() < 0 or rounded.max() > 255:
        raise Refused("label-values", "the label map holds values other than whole numbers from 0 to 255")
    return Grid(rounded.astype(np.uint8), labels.affine)
