"""Poses worth a registration: every way that a head can lie is scored by mutual information at nearest voxels of 8 mm.

A header's directions are believed only as far as that nods and tilts from them are tried in finer steps: 648 rotations
leave none further than 26 degrees away. Everything that depends on up (the centre of the head, where fields of view cut)
turns with the pose, so that a turned head is found as an upright one is.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scanprior.privacy.atlas import Atlas, Matrix, Target, places_of, tissue_level, upper_centre

_BINS = 16
_POINTS = 1200  # of 5000: enough for a rough pose
_BESIDE = 25  # rotations beside the header's directions, the first of all
_TILTS = 30.0  # degrees between the tilts of each of the 24 ways to lay the axes
_DISTINCT = 20.0  # degrees that two poses worth trying differ by: neighbours lead to the same fit
# Where the head may lie against the guess from its centre (mm: right, front, up in the head): fields of view cut necks
# and crowns.
_SHIFTS = np.array(
    [
        (0, 0, 0),
        (0, 0, -40),
        (0, 0, -20),
        (0, 0, 20),
        (0, 0, 40),
        (0, 20, 0),
        (0, -20, 0),
        (0, 20, -25),
        (0, -20, -25),
    ],
    dtype=np.float64,
)


def poses(coarse: Target, atlas: Atlas, *, count: int, beside: bool = False) -> list[Matrix]:
    """The `count` most informative poses template → scan (4, 4; mm) that differ by more than 20 degrees, first the
    best beside the header's directions; none where hardly anything of the head would lie in the scan.

    `coarse` is the scan at about 8 mm; `beside`: only poses beside the header's directions are tried.
    """
    points, levels = _sampled(atlas)
    seen = _padded(coarse)
    back = np.linalg.inv(coarse.affine)
    tissue = places_of(coarse.values > tissue_level(coarse.values), coarse.affine)
    scored: list[tuple[float, int, Matrix]] = []
    for number, turn in enumerate(_turns()[:_BESIDE] if beside else _turns()):
        middles = upper_centre(tissue, turn[:, 2]) + _SHIFTS @ turn.T
        scores = [_score((points @ turn.T + middle) @ back[:3, :3].T + back[:3, 3], levels, seen) for middle in middles]
        best = int(np.argmax(scores))
        scored.append((scores[best], -number, middles[best]))
    near = max(scored[:_BESIDE], key=lambda row: row[:2])  # tried even where ten turned poses look better
    scored.sort(key=lambda row: row[:2], reverse=True)
    kept: list[tuple[Matrix, Matrix]] = []
    for score, number, middle in (near, *scored):
        turn = _turns()[-number]
        if score > 0 and len(kept) < count and all(_degrees(turn, other) > _DISTINCT for other, _ in kept):
            kept.append((turn, middle))
    return [_pose(turn, atlas.centre, middle) for turn, middle in kept]


def _score(index: Matrix, levels: NDArray[np.int64], seen: NDArray[np.int64]) -> float:
    """Mutual information (nats) between the template's levels and the scan's at `index` (n, 3; voxels); 0 where less
    than 35 % lies inside."""
    inside = np.clip(np.rint(index).astype(np.int64) + 1, 0, np.array(seen.shape) - 1)
    pairs = np.bincount(levels * (_BINS + 1) + seen[tuple(inside.T)], minlength=_BINS * (_BINS + 1))
    counts = pairs.reshape(_BINS, _BINS + 1)[:, :_BINS]
    total = counts.sum()
    if total < 0.35 * levels.size:
        return 0.0
    joint = counts / total
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def _padded(target: Target) -> NDArray[np.int64]:
    """Levels of the scan's values, with a border that says: outside."""
    low, high = np.percentile(target.values, [1, 99.5])
    levels = np.clip((target.values - low) / max(high - low, 1e-9) * _BINS, 0, _BINS - 0.01).astype(np.int64)
    return np.pad(levels, 1, constant_values=_BINS)


def _sampled(atlas: Atlas) -> tuple[Matrix, NDArray[np.int64]]:
    """A fixed part of the template's points (n, 3; mm, from its centre) and their levels."""
    near = atlas.near[1]
    chosen = np.random.default_rng(0).permutation(int(near.sum()))[:_POINTS]
    levels = (atlas.coarse.values[near] / atlas.coarse.values.max() * (_BINS - 0.01)).astype(np.int64)
    return (places_of(near, atlas.coarse.affine) - atlas.centre)[chosen], levels[chosen]


@cache
def _turns() -> Matrix:
    """Rotations (673, 3, 3): nods up to 30 degrees with a tilt of 15 beside the header's directions, then each of the 24
    ways to lay the axes, tilted by -30, 0 and 30 degrees about each axis."""
    sides = ((0, 0), (-15, 0), (15, 0), (0, 15), (0, -15))
    near = Rotation.from_euler("xyz", [(x, y, z) for x in (-30, -15, 0, 15, 30) for y, z in sides], degrees=True)
    steps = np.array([0.0, -_TILTS, _TILTS])
    tilts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    turns = Rotation.from_rotvec(tilts, degrees=True).as_matrix()
    return np.concatenate([near.as_matrix(), *(axes @ turns for axes in Rotation.create_group("O").as_matrix())])


def _pose(turn: Matrix, centre: Matrix, middle: Matrix) -> Matrix:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, middle - turn @ centre
    return pose


def _degrees(one: Matrix, other: Matrix) -> float:
    """Angle between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(one.T @ other) - 1) / 2, -1, 1))))
