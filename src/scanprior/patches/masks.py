"""Which voxels are body, and which of them patches may be centred on."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# Air in MR and CT lies within this share of the range between the 1st and the 99th percentile. It's low on purpose: a crop
# without any air (a hippocampus of 35×50×36 voxels) must stay whole, dark cerebrospinal fluid included.
AIR = 0.1
SMALLEST_SHARE = 0.01  # of the volume: less than this is not a body


def body_mask(image: np.ndarray) -> np.ndarray:
    """The body in a volume, bool of the same shape: brighter than air, largest piece, holes filled.

    A volume whose voxels are (nearly) all brighter than air is all body. Cost: linear in the number of voxels.
    """
    low, high = np.percentile(image, (1, 99))
    if low == high:  # small or binary foreground: whatever differs from the background is body
        return _largest(image > image.min())
    bright = _largest(image > low + AIR * (high - low))
    closed = ndimage.binary_closing(np.pad(bright, 2), iterations=2)[2:-2, 2:-2, 2:-2]
    body = np.asarray(ndimage.binary_fill_holes(closed | bright))
    return body if body.mean() >= SMALLEST_SHARE else bright


def allowed_mask(body: np.ndarray, removed: np.ndarray | None) -> np.ndarray:
    """Body voxels that defacing did not remove, bool."""
    return body.copy() if removed is None else body & ~removed


def centres_mask(allowed: np.ndarray, removed: np.ndarray | None, size: tuple[int, int, int]) -> np.ndarray:
    """Allowed voxels around which a patch of `size` touches no removed voxel, bool."""
    if removed is None or not removed.any():
        return allowed
    return allowed & ~ndimage.maximum_filter(removed.astype(np.uint8), size=size, mode="nearest").astype(bool)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The biggest connected piece; pieces of equal size: the first in array order."""
    labels = np.zeros(mask.shape, np.int32)
    if ndimage.label(mask, output=labels) == 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
