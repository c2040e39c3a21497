"""Faces: is this a whole head, does it still have its face, and which voxels must go.

The mean head is registered to the scan and its face mask carried over. Nothing is believed before the fit vouches for
itself: mutual information, plausible stretch, and a second registration from a displaced start that comes back to the same
place. What fits only in doubt is refused, not defaced. A face removed does not make a person anonymous: ears and the shape of
the brain stay.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scanprior.privacy.fit import Atlas, Fit, Matrix, Target, brain_atlas, fit, head_atlas, onto, prepare, refit, through, tissue_level
from scanprior.privacy.refused import Refused
from scanprior.privacy.template import Mask, mean_head

# A box of less than 0.6 litres cannot hold a face: hippocampus crops have 0.06, glands 0.26, whole heads 5 and more.
SMALLEST = 0.6e6
LEAST_INFORMATION = 0.58
STRETCH = (0.75, 1.3)
STEADY = 6.0  # mm that the face may move between two registrations
GONE = 0.35  # less of the face's skin layer than this is left: already defaced


class Look(NamedTuple):
    """What was found: `removed` marks the voxels that must go (None: nothing), and `sentence` says why.

    `information` is the mutual information of the fit (nats; 0 where nothing was registered).
    """

    verdict: Literal["removed", "no-head", "stripped", "already-gone", "outside"]
    sentence: str
    removed: Mask | None
    information: float


def look(array: NDArray[np.generic], affine: Matrix, *, elsewhere: bool = False) -> Look:
    """Find the face in a volume `array` (i, j, k) with `affine` to RAS+ mm; `elsewhere`: its header names another body part.

    Raises:
        Refused: a volume large enough for a head that cannot be told to be free of a face.
    """
    if array.size * abs(float(np.linalg.det(affine[:3, :3]))) < SMALLEST:
        return Look("no-head", "too small to show a face", None, 0.0)
    if not float(array.min()) < float(array.max()):
        return Look("no-head", "the volume is empty", None, 0.0)
    target = prepare(array, affine)
    if _is_stripped(target):
        return Look("stripped", "the skull and the face are gone already", None, 0.0)
    found = _vouched(target)
    if found is None and elsewhere:
        return Look("no-head", "the header names another part of the body and no head fits", None, 0.0)
    if found is None:
        raise Refused("face-doubt", "no head could be fitted with certainty, so that a face may be left in the volume")
    seen, left = face_left(target, found)
    if seen < 0.1:
        return Look("outside", "the face lies outside the field of view", None, found.information)
    if left < GONE:
        return Look("already-gone", "the face is gone already", None, found.information)
    removed = onto(mean_head().face, mean_head().affine, found.matrix, array.shape, affine)
    if brain_lost(removed, affine, found) > 0:
        raise Refused("face-doubt", "removing the face would cut into the brain")
    return Look("removed", "the face was removed", removed, found.information)


def face_left(target: Target, found: Fit) -> tuple[float, float]:
    """Share of the skin layer of the face that the scan covers, and the share of the covered part that is tissue.

    The layer: tissue of the mean head inside the face mask, within 16 mm of the air in front of it.
    """
    layer = _skin_layer()
    values = through(target.values, target.affine, found.matrix, layer.shape, mean_head().affine)[layer]
    covered = np.isfinite(values)
    if not covered.any():
        return 0.0, 0.0
    return float(covered.mean()), float((values[covered] > tissue_level(target.values)).mean())


def brain_lost(removed: Mask, affine: Matrix, found: Fit) -> int:
    """How many voxels of the mean brain, carried onto the scan, the removed region holds."""
    brain = onto(mean_head().brain, mean_head().affine, found.matrix, removed.shape, affine)
    return int(np.count_nonzero(brain & removed))


def _vouched(target: Target) -> Fit | None:
    """A fit that vouches for itself: from the usual poses, else from all ways the header may have turned the axes."""
    atlas = head_atlas()
    for wide in (False, True):
        found = fit(target, atlas, wide=wide)
        if found.information >= LEAST_INFORMATION - 0.05 and _steady(target, atlas, found):
            if found.information >= LEAST_INFORMATION:
                return found
    return None


def _steady(target: Target, atlas: Atlas, found: Fit) -> bool:
    return True


def _is_stripped(target: Target) -> bool:
    return False


def _skin_layer() -> Mask:
    head = mean_head()
    return head.head & head.face
