"""Patients who may be one person: proof where voxels are the same, doubt where they are only alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from scanprior.evidence.grid import same_step
from scanprior.evidence.leaks import Leak
from scanprior.evidence.likeness import Copy, alike, find_copy, fingerprint, thumbnail
from scanprior.evidence.metrics import Array

# Noise alone keeps two examinations of one person below .99; a copy that was mirrored or shifted reaches 1.
SAME_VOXELS = 0.9999
# A copy has the nearest fingerprint (what a shift leaves out changes it), several copies of one scan are all near.
MAY_BE_COPY = 0.7
# Before whole volumes are compared, thumbnails are: even half a block's shift leaves copies more alike than that.
WORTH_A_LOOK = 0.8
# Chosen on 170 people of whom 90 have two scans: benchmarks/evidence/suspects.py.
OUTSTANDING = 2.5
SAME_BRIGHTNESS = np.log(1.1)
LEAST_LEVELS = 3
FEW = 8


class Scan(NamedTuple):
    """What is compared of one scan, besides its voxels."""

    patient: str
    step: float  # of the grid of its intensities as they came; NaN without one
    brightness: float  # typical intensity of what is bright in it, as it came


class Pair(NamedTuple):
    """Two scans of different patients (rows) and why they are doubted."""

    first: int
    second: int
    reason: str


def suspects(
    scans: Sequence[Scan], volume: Callable[[int], Array], groups: Sequence[Collection[str]] = ()
) -> list[Leak]:
    """Proofs (`copied-voxels`) and doubts (`suspect`) among different patients, one finding per pair of patients.

    volume: row number to prepared volume (i, j, k), read when needed, never all at once. groups: patients who are already
    known, or declared, to be one person (cohort.together). A doubt is settled by naming the two there.
    """
    if len({scan.patient for scan in scans}) < 2:
        return []
    small: list[Array] = []
    marks: list[Array] = []
    for row in range(len(scans)):
        content = volume(row)
        small.append(thumbnail(content))
        marks.append(fingerprint(content))
    doubts = [*same_grid(scans), *look_alikes(scans, small)]
    looked_at = {(pair.first, pair.second) for pair in doubts} | near_fingerprints(np.stack(marks))
    found: dict[tuple[str, str], Leak] = {}
    for proof, pairs in ((True, copies(scans, sorted(looked_at), small, volume)), (False, doubts)):
        check, verb = ("copied-voxels", "have") if proof else ("suspect", "may be one person:")
        for first, second, reason in pairs:
            one, two = sorted((scans[first].patient, scans[second].patient))
            if not any({one, two} <= set(group) for group in groups):
                found.setdefault((one, two), Leak(check, proof, f"{one} and {two} {verb} {reason}", (one, two)))
    return list(found.values())


def near_fingerprints(marks: Array) -> set[tuple[int, int]]:
    """Pairs of rows of (scans, frequencies) that may be copies: each other's nearest, or nearly the same."""
    number = len(marks)
    centred = marks - marks.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    close = centred @ centred.T
    np.fill_diagonal(close, -np.inf)
    nearest = close.argmax(1)
    mutual = (nearest[:, None] == np.arange(number)) & (nearest[None] == np.arange(number)[:, None])
    # What few scans have in common can't be told from what makes one differ: then every pair is looked at.
    chosen = mutual | (close > MAY_BE_COPY) if number >= FEW else np.ones_like(mutual)
    return {(int(first), int(second)) for first, second in zip(*np.nonzero(np.triu(chosen, 1)), strict=True)}


def copies(scans: Sequence[Scan], pairs: Sequence[tuple[int, int]], thumbnails: Sequence[Array],
           volume: Callable[[int], Array]) -> list[Pair]:  # fmt: skip
    """Those of `pairs` of which one is a mirrored or shifted copy of the other, voxel by voxel."""
    found: list[Pair] = []
    for first, second in pairs:
        if scans[first].patient == scans[second].patient:
            continue
        if find_copy(thumbnails[first], thumbnails[second]).correlation < WORTH_A_LOOK:
            continue
        copy = find_copy(volume(first), volume(second))
        if copy.correlation >= SAME_VOXELS and copy.levels >= LEAST_LEVELS:
            found.append(Pair(first, second, f"the same voxels{_place_words(copy)}"))
    return found


def same_grid(scans: Sequence[Scan]) -> list[Pair]:
    """Pairs whose intensities are whole multiples of one step that hardly any other patient has."""
    step = np.array([scan.step for scan in scans])
    return [
        Pair(first, second, f"their intensities lie on one grid, whose step agrees to {max(off, 1e-9):.0e} and which at most "
             "one other patient has")
        for first, second, off in same_step(step, [scan.patient for scan in scans])
    ]  # fmt: skip


def look_alikes(scans: Sequence[Scan], thumbnails: Sequence[Array]) -> list[Pair]:
    """Pairs that are each other's most similar scan, stand out from what both have with the others, and are as bright."""
    if len(scans) < FEW:
        return []
    found = alike(thumbnails)
    nearest = np.nanargmax(found.correlation, axis=1)
    pairs: list[Pair] = []
    for first, second in enumerate(nearest.tolist()):
        if second <= first or nearest[second] != first or scans[first].patient == scans[second].patient:
            continue
        standing = float(found.outstanding[first, second])
        if standing < OUTSTANDING or not as_bright(scans[first], scans[second]):
            continue
        pairs.append(
            Pair(first, second, f"after alignment they are each other's nearest scan (correlation of what makes a scan "
                 f"differ from the mean {found.correlation[first, second]:.2f}, {standing:.1f} standard deviations above "
                 "other pairs)")
        )  # fmt: skip
    return pairs


def as_bright(one: Scan, two: Scan) -> bool:
    """Whether typical intensities lie within 10 %; true where that says nothing (none, or below 0)."""
    if not (one.brightness > 0 and two.brightness > 0):
        return True
    return bool(abs(np.log(one.brightness / two.brightness)) <= SAME_BRIGHTNESS)


def brightness(values: Array) -> float:
    """Median of what is brighter than the mean: the body, where there is background."""
    bright = values[values > values.mean()]
    return float(np.median(bright)) if bright.size else float("nan")


def _place_words(copy: Copy) -> str:
    words = [f"mirrored along {', '.join('ijk'[axis] for axis in copy.mirrored)}"] if copy.mirrored else []
    if any(copy.shift):
        words.append(f"shifted by {', '.join(map(str, copy.shift))} voxels")
    return f" ({' and '.join(words)})" if words else ""
