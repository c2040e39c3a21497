"""Montages of patches, filters and reconstructions as small PNG data URIs; the page scales them without smoothing."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray


def strip(images: NDArray[np.float32], *, signed: bool = False, window: tuple[float, float] | None = None) -> str:
    """Images (n, height, width) side by side as a PNG data URI.

    `window` is the intensity range from black to white (default: 1st to 99th percentile of all); `signed` centres zero
    on mid-grey and gives each image its own range, as filters need it. Voxels that are not finite are left transparent.
    """
    number, height, width = images.shape
    gap = max(1, round(width / 8))  # transparent, so that a montage sits on light and dark paper alike
    pixels = np.zeros((height, number * (width + gap) - gap, 4), np.uint8)
    low, high = window or intensity_window(images)
    for place, image in enumerate(images):
        finite = np.isfinite(image)
        shown = np.where(finite, image, 0.0)
        if signed:
            high = max(float(np.abs(shown).max()), 1e-12)
            low = -high
        grey = np.clip((shown - low) / (high - low), 0, 1)
        left = place * (width + gap)
        pixels[:, left : left + width, :3] = np.round(255 * grey).astype(np.uint8)[..., None]
        pixels[:, left : left + width, 3] = np.where(finite, 255, 0)
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", metadata={"Software": "scanprior"})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def intensity_window(images: NDArray[np.float32]) -> tuple[float, float]:
    """1st to 99th percentile of all finite voxels, never empty."""
    finite = images[np.isfinite(images)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [1, 99])
    return float(low), float(max(high, low + 1e-6))
