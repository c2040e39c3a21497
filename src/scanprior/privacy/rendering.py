"""DICOM frames as the pictures that people and text recognition look at.

Writing may show only as displayed (a palette's indices look like noise) or only as stored (white beyond the window), and
faint writing only after the background is levelled; so each frame is rendered in up to three ways.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from scipy import ndimage

Picture = NDArray[np.uint8]


def displayed(dataset: Dataset, stored: NDArray[np.generic]) -> Picture:
    """One frame as a viewer shows it: palette, modality and window applied, white on black; (rows, columns[, 3])."""
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(np.asarray(stored), dataset)
        return (colours >> 8 if colours.dtype.itemsize > 1 else colours).astype(np.uint8)
    if stored.ndim == 3:
        return stored.astype(np.uint8) if stored.dtype.itemsize == 1 else scaled(stored)
    values = np.asarray(apply_voi_lut(apply_modality_lut(np.asarray(stored), dataset), dataset), dtype=np.float32)
    picture = values.astype(np.uint8) if _is_plain(dataset, stored) else scaled(values)
    return 255 - picture if photometric == "MONOCHROME1" else picture


def scaled(values: NDArray[np.generic]) -> Picture:
    """The full range of stored values as 0-255."""
    low, high = float(values.min()), float(values.max())
    return ((values.astype(np.float32) - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def levelled(picture: Picture) -> Picture:
    """Faint writing made plain: a little smoothing, the background taken away, the rest stretched by its local spread.

    Colours count by their brightest channel: blue writing on black has hardly any luminance.
    """
    grey = (picture.max(axis=2) if picture.ndim == 3 else picture).astype(np.float32)
    smooth = ndimage.gaussian_filter(grey, 0.8)
    ground = ndimage.gaussian_filter(grey, 12)
    spread = np.sqrt(ndimage.gaussian_filter((smooth - ground) ** 2, 24))
    return np.clip(96 + 48 * (smooth - ground) / (spread + 4), 0, 255).astype(np.uint8)


def pictures(dataset: Dataset, stored: NDArray[np.generic]) -> list[Picture]:
    """The different pictures of one frame (rows, columns[, samples]) that writing is looked for in."""
    shown = displayed(dataset, stored)
    found = [shown, levelled(shown)]
    if stored.ndim == 2:
        raw = scaled(stored)
        if not np.array_equal(raw, shown) and not np.array_equal(
            raw, scaled(shown if shown.ndim == 2 else shown.max(axis=2))
        ):
            found.append(raw)
    return found


def _is_plain(dataset: Dataset, stored: NDArray[np.generic]) -> bool:
    """Whether stored values are grey levels already."""
    return stored.dtype == np.uint8 and not any(
        keyword in dataset for keyword in ("WindowCenter", "VOILUTSequence", "ModalityLUTSequence", "RescaleSlope")
    )
