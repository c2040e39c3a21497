"""Before and after as one small grey PNG: the middle of the head from the side, and its surface seen from the front."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIDE = 128


def before_and_after(array: NDArray[np.generic], affine: NDArray[np.float64], removed: NDArray[np.bool_]) -> bytes:
    """Return the PNG: left before, right after; top the middle sagittal slice, bottom the depth of the skin from
    the front."""
    values = _upright(array, affine).astype(np.float32)
    gone = _upright(removed, affine)
    low, high = np.percentile(values, [1, 99.5])
    grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    columns: list[NDArray[np.float32]] = []
    for picture in (grey, np.where(gone, 0, grey)):
        side = picture[picture.shape[0] // 2].T[::-1]
        tissue = picture[:, ::-1] > 0.12
        depth = np.where(tissue.any(axis=1), 1 - 0.9 * tissue.argmax(axis=1) / tissue.shape[1], 0).T[::-1]
        columns.append(np.vstack([_sized(side), _sized(depth.astype(np.float32))]))
    return _png((np.hstack(columns) * 255).astype(np.uint8))


def _upright(array: NDArray[np.generic], affine: NDArray[np.float64]) -> NDArray[np.generic]:
    """Turn the axes to right, front, up (nearest axes, no resampling)."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left = np.abs(directions).copy()
    order = [0, 0, 0]
    for _ in range(3):
        patient, grid = np.unravel_index(int(np.argmax(left)), left.shape)
        order[patient] = int(grid)
        left[patient, :], left[:, grid] = -1, -1
    turned = np.transpose(array, order)
    for axis, grid in enumerate(order):
        turned = np.flip(turned, axis) if directions[axis, grid] < 0 else turned
    return turned


def _sized(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.linspace(0, picture.shape[0] - 1, _SIDE).round().astype(int)
    columns = np.linspace(0, picture.shape[1] - 1, _SIDE).round().astype(int)
    return picture[np.ix_(rows, columns)]


def _png(grey: NDArray[np.uint8]) -> bytes:
    """PNG (ISO/IEC 15948): 8-bit grey, no text chunk."""
    rows, columns = grey.shape
    lines = b"".join(b"\0" + row.tobytes() for row in grey)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 6)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
