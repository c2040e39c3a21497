"""Writing burned into pixels: found in every frame, blanked, looked for again; and vouched for, or the file is refused.

How faint a text recognition still sees depends on the picture. So each kind of picture is tried: a made-up line of writing
only a little brighter than its surroundings is put into it in ten places, and where one is not found nobody can vouch for
what else was missed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scanprior.privacy.recognition import Box, find
from scanprior.privacy.refused import Refused
from scanprior.privacy.rendering import displayed, levelled, pictures

FAINT = 40  # grey levels of 255 above the surroundings: what must be found for a picture to be vouched for
_ROUNDS = 3  # blanked and looked at again so often before giving up
_PROBES = 10  # places that are tried
_BRIGHT = 180  # grey level above which writing is dark
_LINE = "JOHN DOE 1970"
_SIZE = 13  # pixels of the font: capitals 10 high


class Cleaned(NamedTuple):
    """The stored values of all frames after blanking (None: nothing was found), and how many frames were blanked."""

    stored: NDArray[np.generic] | None
    frames: int


def remove_writing(dataset: Dataset, stored: NDArray[np.generic], *, vouch: bool = True) -> Cleaned:
    """Look for writing in `stored`, the decoded values of `dataset` as (frames, rows, columns[, 3]), and blank it.

    Colour is RGB or palette indices, never YBR. Where the header names ultrasound regions, all outside them is blanked.
    Without `vouch` a busy picture is not refused: for classes of image that carry no writing.

    Raises:
        Refused: writing that would not go, that is too large, or that could hide in this kind of picture.
    """
    margin = outside_regions(dataset, stored.shape[1:3])
    made = stored.copy()
    changed = 0
    tried = set(np.linspace(0, len(stored) - 1, 3).round().astype(int).tolist())
    for number, frame in enumerate(made):
        if number and np.array_equal(stored[number - 1], stored[number]):
            frame[...] = made[number - 1]
        else:
            _clean_frame(dataset, frame, margin)
        if vouch and number in tried:
            _vouch(dataset, frame)
        changed += not np.array_equal(frame, stored[number])
    return Cleaned(made if changed else None, changed)


def outside_regions(dataset: Dataset, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """The mask (rows, columns) of what lies outside all ultrasound regions (PS3.3 C.8.5.5), None where none is named."""
    inside = np.zeros(shape[:2], dtype=bool)
    try:
        for region in dataset.get("SequenceOfUltrasoundRegions") or []:
            left, right = int(region.RegionLocationMinX0), int(region.RegionLocationMaxX1)
            top, bottom = int(region.RegionLocationMinY0), int(region.RegionLocationMaxY1)
            if 0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]:
                inside[top : bottom + 1, left : right + 1] = True
    except (AttributeError, TypeError, ValueError, KeyError, NotImplementedError):
        return None
    return ~inside if inside.any() else None


def _clean_frame(dataset: Dataset, frame: NDArray[np.generic], margin: NDArray[np.bool_] | None) -> None:
    """Blank the writing in one frame in place, until none is found."""
    fill = _darkest(dataset, frame)
    for _ in range(_ROUNDS):
        seen = [find(picture) for picture in pictures(dataset, frame)]
        if any(one.oversized for one in seen):
            raise Refused("burned-in-text", "writing is too large to be blanked without losing the image")
        boxes = [box for one in seen for box in one.boxes]
        for box in boxes:
            frame[box.top : box.bottom, box.left : box.right] = fill
        if (
            margin is not None
        ):  # not before: what a region's edge cuts in half is not found any more, but can be guessed
            frame[margin] = fill
        elif not boxes:
            return
        margin = None
    if any(find(picture).boxes for picture in pictures(dataset, frame)):
        raise Refused("burned-in-text", "writing was still found after it had been blanked three times")


def _darkest(dataset: Dataset, frame: NDArray[np.generic]) -> int:
    """The stored value that is shown darkest among those of the frame."""
    if frame.ndim == 3:
        return 0
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        shown = displayed(dataset, frame).sum(axis=2)
        return int(frame.ravel()[int(np.argmin(shown))])
    return int(frame.max() if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else frame.min())


def _vouch(dataset: Dataset, frame: NDArray[np.generic]) -> None:
    """Put faint writing into the picture of a cleaned frame and see whether it is found.

    Raises:
        Refused: some of it is not.
    """
    shown = displayed(dataset, frame)
    line = _line()
    places = _places(shown.shape, line.shape)
    if not places:
        raise Refused("burned-in-text", "the picture is too small to say whether faint writing is in it")
    tried = shown.astype(np.int16)
    for top, left in places:
        part = tried[top : top + line.shape[0], left : left + line.shape[1]]
        sign = -1 if part.mean() > _BRIGHT else 1
        part += (sign * FAINT * (line[..., np.newaxis] if part.ndim == 3 else line)).astype(np.int16)
    picture = np.clip(tried, 0, 255).astype(np.uint8)
    boxes = [box for one in (picture, levelled(picture)) for box in find(one).boxes]
    if not all(any(_overlap(box, place, line.shape) > 0.5 for box in boxes) for place in places):
        raise Refused("burned-in-text", "the picture is so busy that faint writing in it would not be found")


def _places(shape: tuple[int, ...], size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Up to ten places (row, column) for a line, spread over the picture and far enough apart to be read apart."""
    rows, columns = shape[0] - size[0] - 8, shape[1] - size[1] - 8
    if rows < 1 or columns < 1:
        return []
    places: list[tuple[int, int]] = []
    for row, column in np.random.default_rng(0).random((400, 2)):  # the same places for the same size
        top, left = 4 + int(row * rows), 4 + int(column * columns)
        if all(abs(top - a) > 2.5 * size[0] or abs(left - b) > 1.4 * size[1] for a, b in places):
            places.append((top, left))
    return places[:_PROBES]


def _overlap(box: Box, place: tuple[int, int], size: tuple[int, ...]) -> float:
    """Share of a line's place that a box covers."""
    rows = min(box.bottom, place[0] + size[0]) - max(box.top, place[0])
    columns = min(box.right, place[1] + size[1]) - max(box.left, place[1])
    return max(rows, 0) * max(columns, 0) / (size[0] * size[1])


@cache
def _line() -> NDArray[np.float32]:
    """A line of made-up writing as coverage between 0 and 1, in the font that the recognition's image library ships."""
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default(size=_SIZE)
    left, top, right, bottom = (int(side) for side in font.getbbox(_LINE))
    canvas = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(canvas).text((-left, -top), _LINE, font=font, fill=255)
    return np.asarray(canvas, dtype=np.float32) / np.float32(255)
