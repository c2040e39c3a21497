"""The grid on which a scan's intensities lie: scanners scale whole numbers by a factor of the examination."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array

# A scan that was interpolated has about as many values as voxels, and no grid.
MOST_VALUES = 65_536
FEWEST_VALUES = 16
OFF_GRID = 0.05  # of a step
# Single precision keeps a step to 1e-8 over 200 values; strangers of the hippocampus scans come no nearer than 2e-5.
SAME_STEP = 1e-6
# A step that more patients share is the scanner's or the file format's, not an examination's.
MOST_SHARING = 3


def grid_step(values: NDArray[np.generic]) -> float:
    """The step of which all differences between `values` (any shape) are multiples; NaN without one, or with whole numbers.

    Found from the smallest difference and refined by least squares over ever more values, so that rounding never slips.
    """
    known = np.unique(np.asarray(values)).astype(np.float64)
    known = known[np.isfinite(known)]
    if not FEWEST_VALUES <= len(known) <= MOST_VALUES:
        return float("nan")
    span = known - known[0]
    gaps = np.diff(known)
    step = float(gaps[gaps > 1e-7 * span[-1]].min(initial=span[-1]))
    number = FEWEST_VALUES
    while True:
        part = span[:number]
        count = np.round(part / step)
        step = float(count @ part / (count @ count))
        if number >= len(span):
            break
        number *= 2
    off = float(np.abs(span / step - np.round(span / step)).max())
    return step if off < OFF_GRID and abs(step - round(step)) > SAME_STEP * step else float("nan")


def same_step(step: Array, patient: Sequence[str]) -> list[tuple[int, int, float]]:
    """Pairs of scans (rows of `step`) of different patients that share a step which at most three patients have.

    Returns (first, second, relative difference), first < second.
    """
    order = [int(row) for row in np.argsort(step, kind="stable") if np.isfinite(step[row])]
    found: list[tuple[int, int, float]] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end < len(order) and step[order[end]] - step[order[end - 1]] <= SAME_STEP * step[order[end]]:
            continue
        run = order[start:end]
        start = end
        if 1 < len({patient[row] for row in run}) <= MOST_SHARING:
            found += [
                (min(a, b), max(a, b), abs(float(step[a] - step[b])) / float(step[a]))
                for place, a in enumerate(run)
                for b in run[place + 1 :]
                if patient[a] != patient[b]
            ]
    return sorted(found)
