"""Text recognition: where in a picture does writing stand; offline, one thread, by the extra scanprior[ocr].

RapidOCR's networks box the outline of a body as gladly as a word (36 of 36 clean CT slices), so a box counts only when
it is no larger than writing is and at least two letters or digits were read in it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.errors import ScanpriorError

# Shares of the picture that a line of writing does not exceed.
LARGEST_AREA, LARGEST_HEIGHT = 0.10, 0.12
LEAST_SCORE = 0.3  # of the reading; misread names count as writing too
CERTAIN = 0.8  # a reading of four characters so sure is writing, whatever its size
_PAD = 0.25  # of a box's height, on each side: strokes reach beyond what was boxed
INSTALL = "make ocr, or python -m pip install 'scanprior[ocr]'"


class Box(NamedTuple):
    """A piece of writing: first row and column, and the ones behind the last."""

    top: int
    left: int
    bottom: int
    right: int


class Seen(NamedTuple):
    """Boxes of writing, and whether there is writing too large to be blanked."""

    boxes: list[Box]
    oversized: bool


def available() -> bool:
    """Whether the extra is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime", "cv2"))


def require() -> None:
    """Check that the extra is installed.

    Raises:
        ScanpriorError: it is not; the hint is the command that installs it.
    """
    if not available():
        raise ScanpriorError("text 'remove' needs text recognition, which is not installed",
                             hint=f"{INSTALL}; or use auto: risky images are quarantined")  # fmt: skip


def statement() -> str:
    """What the audit says of text recognition: its version, and what it can promise."""
    if not available():
        return "not installed; images of risky classes are quarantined"
    return (f"rapidocr {importlib.metadata.version('rapidocr')}; images in which a line of writing 10 pixels high and 40 of 255 grey "
            "levels above its surroundings was not found are quarantined; smaller or fainter writing may be left")  # fmt: skip


def find(picture: NDArray[np.uint8]) -> Seen:
    """Find writing in a picture (rows, columns) or (rows, columns, 3)."""
    rows, columns = picture.shape[:2]
    image = picture if picture.ndim == 3 else np.repeat(picture[..., np.newaxis], 3, axis=2)
    found = _engine()(np.ascontiguousarray(image))
    boxes: list[Box] = []
    oversized = False
    if found.boxes is None or found.txts is None:
        return Seen([], False)
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        read = sum(character.isalnum() for character in text)
        if read < 2 or score < LEAST_SCORE:
            continue
        left, top = np.floor(corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int)
        height, width = bottom - top, right - left
        if height * width > LARGEST_AREA * rows * columns or min(height, width) > LARGEST_HEIGHT * rows:
            oversized |= bool(read > 3 and score > CERTAIN)
            continue
        pad = max(2, round(_PAD * min(height, width)))
        boxes.append(Box(max(0, int(top) - pad), max(0, int(left) - pad), min(rows, int(bottom) + pad),
                         min(columns, int(right) + pad)))  # fmt: skip
    return Seen(boxes, oversized)


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR  # pyright: ignore[reportMissingImports]  an extra

    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": LEAST_SCORE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
