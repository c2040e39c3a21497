"""One slice of a predicted label map as text in a table, so that a report can show what was predicted where."""

from __future__ import annotations

import base64
import zlib

import numpy as np


def fullest(truth: np.ndarray) -> int:
    """The axial slice k of a label map (i, j, k) with most foreground; the middle one where there is none."""
    counts = (truth > 0).sum(axis=(0, 1))
    return int(counts.argmax()) if counts.any() else truth.shape[2] // 2


def pack(classes: np.ndarray) -> str:
    """Class numbers (i, j), uint8, as base64 of their compressed bytes."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(classes, np.uint8).tobytes(), 9)).decode()


def unpack(text: str, shape: tuple[int, int]) -> np.ndarray:
    """What `pack` was given, uint8 of `shape`.

    Raises:
        ValueError: the text holds another number of voxels.
    """
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(shape)
