"""The gallery of failures: a piece of a slice, the truth and the predictions outlined on it, as small PNG data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imsave
from numpy.typing import NDArray

from scanprior.report.annex import Failure
from scanprior.report.montage import intensity_window

# Outlines on grey: bright, and apart in colour blindness (Okabe & Ito 2008); class n has colour n, beginning anew after six.
OUTLINES = ("#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#009e73", "#d55e00")
WIDTH = 150  # pixels that a picture is enlarged to, at least


class Shown(NamedTuple):
    """One patient's pictures."""

    patient: str
    caption: str
    pictures: tuple[tuple[str, str], ...]
    """(what it shows, data URI): the scan, the truth, each arm"""


def gallery(failures: tuple[Failure, ...]) -> tuple[Shown, ...]:
    """Pictures of every failure: the scan alone, then each label map outlined on it."""
    return tuple(_shown(one) for one in failures)


def _shown(one: Failure) -> Shown:
    low, high = intensity_window(one.image)
    grey = np.clip((np.nan_to_num(one.image, nan=low) - low) / (high - low), 0, 1)
    factor = max(1, round(WIDTH / grey.shape[1]))
    large = _enlarged(grey, factor)[..., None].repeat(3, axis=2)
    pictures = [("scan", _uri(large))]
    for name, classes in one.maps:
        pictures.append((name, _uri(_outlined(large, _enlarged(classes, factor)))))
    return Shown(one.patient, one.caption, tuple(pictures))


def _outlined(picture: NDArray[np.float64], classes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`picture` with the inner rim of every class in the class's colour, two pixels wide."""
    found = picture.copy()
    for number in np.unique(classes[classes > 0]):
        inside = np.pad(classes == number, 2)
        core = np.ones(classes.shape, bool)
        height, width = classes.shape
        for down, right in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 2), (3, 2), (2, 1), (2, 3)):
            core &= inside[down : down + height, right : right + width]
        found[(classes == number) & ~core] = to_rgb(OUTLINES[(int(number) - 1) % len(OUTLINES)])
    return found


def _enlarged(values: NDArray[Any], factor: int) -> NDArray[Any]:
    return values.repeat(factor, axis=0).repeat(factor, axis=1)


def _uri(picture: NDArray[np.float64]) -> str:
    buffer = io.BytesIO()
    imsave(buffer, np.round(255 * picture).astype(np.uint8), format="png", metadata={"Software": "scanprior"})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
