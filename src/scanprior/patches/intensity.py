"""Intensities that mean the same in every scan: each volume is normalised by its own body, whatever its scale."""

from __future__ import annotations

import numpy as np

# Percentiles that bound the voxels which decide the scale: raw maxima run from 112 to 1.7 million in one public cohort,
# and a single hot vessel or a metal artefact must not decide for all other voxels.
LOW, HIGH = 0.5, 99.5
BOUND = 5.0  # standard deviations kept on each side


def normalise(image: np.ndarray, body: np.ndarray, mode: str) -> np.ndarray:
    """The volume in units that compare between scans, float32 of the same shape.

    `zscore`: mean 0 and standard deviation 1 of the body voxels between their 0.5th and 99.5th percentile, cut off at ±5.
    `robust`: the body's 1st and 99th percentile become −1 and 1, cut off at ±2. `none`: as stored.
    Where the body itself is constant (a binary shape), the whole volume decides instead.

    Raises:
        ValueError: the volume is constant, or `mode` is unknown.
    """
    if mode == "none":
        return image.astype(np.float32)
    values = image[body].astype(np.float64)
    if values.size == 0 or values.min() == values.max():
        values = image.astype(np.float64).ravel()
    if values.min() == values.max():
        raise ValueError("a constant volume has no intensity scale")
    if mode == "zscore":
        low, high = np.percentile(values, (LOW, HIGH))
        core = values[(values >= low) & (values <= high)]
        if core.min() == core.max():
            core = values
        return np.clip((image - core.mean()) / core.std(), -BOUND, BOUND).astype(np.float32)
    if mode == "robust":
        low, high = np.percentile(values, (1, 99))
        if low == high:
            low, high = values.min(), values.max()
        return np.clip(2 * (image - low) / (high - low) - 1, -2, 2).astype(np.float32)
    raise ValueError(f"intensity {mode!r}: allowed are zscore, robust, none")
