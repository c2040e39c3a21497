"""Faces: is this a whole head, does it still have its face, and which voxels must go.

The mean head is registered to the scan and its face mask carried over. Nothing is believed before the fit vouches
for itself: enough mutual information, no implausible stretch, a second registration from another start that comes
to the same place and finds the face emptied and the brain whole, and none that fits as well elsewhere. What fits
only in doubt is refused, not defaced. A removed face does not make a person anonymous: ears and the shape of the brain stay.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.privacy.atlas import (
    Atlas,
    Matrix,
    Target,
    air_level,
    all_onto,
    at_places,
    brain_atlas,
    faceless_atlas,
    head_atlas,
    onto,
    prepare,
    tissue_level,
)
from scanprior.privacy.fit import GAIN, Fit, apart, fit, fit_beside, polish, refit
from scanprior.privacy.refused import Refused
from scanprior.privacy.template import Mask, mean_head

# A box of less than 0.6 litres cannot hold a face: hippocampus crops have 0.06, glands 0.26, whole heads 5 and more.
SMALLEST = 0.6e6
# Calibrated on real heads (benchmarks/privacy/faces.py): nats of Mattes' information within 16 mm of the atlas.
# Wrong poses of cut heads reach 0.47, true ones of T1 contrast 0.5 and more, 6.5 mm slices that look like CT 0.44.
LEAST_INFORMATION = 0.5
CERTAIN = 0.6  # nats of both fits beside the header's directions: no wrong pose comes near, so that no other is tried
LEAST_BRAIN_INFORMATION = 0.75
STRETCH = (0.8, 1.25)
STEADY = 5.0  # mm that the face may move between the two registrations
ELSEWHERE = 30.0  # mm from the face: a fit that far away is a rival
RIVAL = 0.9  # of the best fit's information: a rival with so much makes both doubtful
GONE = 0.25  # less of the face's skin than this is tissue: already defaced
IN_VIEW = 0.01  # less of the face's skin than this lies inside the field of view: nothing to see


class Look(NamedTuple):
    """What was found: `removed` marks the voxels that must go (None: nothing), `sentence` says why.

    `information` is the mutual information of the fit (nats; 0 where nothing was registered).
    """

    verdict: Literal["removed", "no-head", "stripped", "already-gone", "outside"]
    sentence: str
    removed: Mask | None = None
    information: float = 0.0


class _Pair(NamedTuple):
    """Two registrations that agree: the most informative one, and the one that vouches for it."""

    used: Fit
    witness: Fit


def look(array: NDArray[np.generic], affine: Matrix, *, elsewhere: bool = False) -> Look:
    """Find the face in a volume `array` (i, j, k) with `affine` to RAS+ mm; `elsewhere`: its header names another
    body part.

    Raises:
        Refused: face-doubt, a volume large enough for a head that cannot be shown to be free of a face.
    """
    if array.size * abs(float(np.linalg.det(affine[:3, :3]))) < SMALLEST:
        return Look("no-head", "too small to show a face")
    if not float(array.min()) < float(array.max()):
        return Look("no-head", "the volume is empty")
    target = prepare(array, affine)
    if is_stripped(target):
        return Look("stripped", "skull and face are gone already")
    for atlas in (head_atlas(), faceless_atlas()):
        pair = agreed(target, atlas)
        if pair is None:
            continue
        seen, left = face_left(target, pair.used, air=air_level(target.values))
        if seen < IN_VIEW:
            return Look("outside", "the face lies outside the field of view", information=pair.used.information)
        if left < GONE:
            return Look("already-gone", "the face is gone already", information=pair.used.information)
        return _remove(array.shape, affine, target, _polished(target, atlas, pair))
    if elsewhere:
        return Look("no-head", "the header names another part of the body, and no head fits")
    raise Refused("face-doubt", "no head could be fitted with certainty, so that a face may be left in the volume")


def agreed(target: Target, atlas: Atlas) -> _Pair | None:
    """The most informative registration of the atlas and the next best that vouches for it, or None where none does or
    another place fits as well."""
    found = fit_beside(target, atlas)
    if found and found[-1].information >= CERTAIN and (pair := _vouched(found)) is not None:
        return pair
    found = fit(target, atlas)
    for _ in range(2 if found else 0):  # the second time from what the first has found
        found = sorted((*found, *refit(target, atlas, found[0])), key=lambda one: -one.information)
        pair = _vouched(found)
        if pair is not None:
            return pair
    return None


def _vouched(found: list[Fit]) -> _Pair | None:
    """The first of `found` (the most informative first) with the next one that vouches for it."""
    best, places = found[0], _face_places()
    rivals = (one for one in found if apart(one, best, places) > ELSEWHERE)
    if not _plausible(best) or any(one.information > RIVAL * best.information for one in rivals):
        return None
    witness = next((one for one in found[1:] if _plausible(one) and apart(one, best, places) <= STEADY), None)
    return None if witness is None else _Pair(best, witness)


def _polished(target: Target, atlas: Atlas, pair: _Pair) -> _Pair:
    """The pair improved where it had ended early; two that were 3 mm apart then meet within half of one."""
    used = polish(target, atlas, pair.used)
    if used.information - pair.used.information < GAIN:
        return pair
    better = _Pair(used, polish(target, atlas, pair.witness))
    vouched = apart(*better, _face_places()) <= STEADY and all(map(_plausible, better))
    return better if vouched else pair


def face_left(target: Target, found: Fit, *, air: float) -> tuple[float, float]:
    """Share of the face's skin that the scan covers, and the share of the covered part that is brighter than `air`."""
    values = at_places(target, found.matrix, _face_places())
    covered = np.isfinite(values)
    if not covered.any():
        return 0.0, 0.0
    return float(covered.mean()), float((values[covered] > air).mean())


def is_stripped(target: Target) -> bool:
    """Whether the volume holds a brain without its skull: the brain alone fits well, and hardly any tissue lies
    beside it."""
    level = tissue_level(target.values)
    tissue = target.values > level
    litres = float(tissue.sum()) * abs(float(np.linalg.det(target.affine[:3, :3]))) / 1e6
    if litres > 2.5:  # heads fill 3 and more, brains with their fluid up to 2
        return False
    found = fit(target, brain_atlas())
    if (
        not found
        or found[0].information < LEAST_BRAIN_INFORMATION
        or not STRETCH[0] <= found[0].stretch[0] <= found[0].stretch[1] <= STRETCH[1]
    ):
        return False
    head = mean_head()
    near = onto(head.skull_cap, head.affine, found[0].matrix, tissue.shape, target.affine)
    return float((tissue & ~near).sum()) < 0.03 * float(tissue.sum())


def _remove(shape: tuple[int, ...], affine: Matrix, target: Target, pair: _Pair) -> Look:
    """The mask of what either registration calls face and neither calls brain, on the scan's grid; refused when the
    second registration alone would still see a face, or a brain cut."""
    head = mean_head()
    (face, own), (seen, brain) = (
        all_onto((head.face, head.brain), head.affine, one.matrix, shape, affine) for one in pair
    )
    if np.count_nonzero(face & brain) > 1e-4 * np.count_nonzero(brain):
        raise Refused("face-doubt", "removing the face would cut into the brain")
    gone = onto(head.face, head.affine, pair.used.matrix, target.values.shape, target.affine)
    emptied = Target(np.where(gone, target.values.min(), target.values), target.affine)
    # The level is the scan's own: in the emptied one the face itself is the air.
    if face_left(emptied, pair.witness, air=air_level(target.values))[1] > GONE:
        raise Refused("face-doubt", "a face would be left")
    return Look("removed", "the face was removed", (face | seen) & ~(own | brain), pair.used.information)


def _plausible(found: Fit) -> bool:
    mirrored = np.linalg.det(found.matrix[:3, :3]) <= 0  # an affine search can turn a head inside out
    near = STRETCH[0] <= found.stretch[0] <= found.stretch[1] <= STRETCH[1]
    return found.information >= LEAST_INFORMATION and near and not mirrored


@cache
def _face_places() -> Matrix:
    """Places (n, 3; mm) of every fourth voxel of the face's skin."""
    head = mean_head()
    return np.argwhere(head.skin)[::4] @ head.affine[:3, :3].T + head.affine[:3, 3]
