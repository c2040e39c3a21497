"""How many labels the prior saves: the shift along the label axis that lays one learning curve upon the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.interval import Cells, Interval, interval, over_budgets
from scanprior.evidence.metrics import Array

# Beyond three quarters of the observed range (in log labels) the curves overlap too little to be compared.
WIDEST = 0.75
STEPS = 20


class Multiplier(NamedTuple):
    """k: the arm without a prior needs k times the labels.

    What `censored` names lies beyond the value given, which is the end of what the budgets can show: "at least" or "at
    most" for the estimate, "low" and "high" for the bounds (then there is none on that side).
    """

    estimate: float
    low: float
    high: float
    censored: tuple[str, ...]


def label_multiplier(one: Cells, other: Cells, budgets: tuple[int, ...], stratum: NDArray[np.int64], *,
                     level: float = 0.95) -> Multiplier | None:  # fmt: skip
    """The pooled multiplier k with its interval; None with fewer than two budgets that both arms have.

    k solves mean over the overlap of [one(b) − other(k·b)] = 0, curves linear between budgets in log b. The interval
    holds every k that the two-way interval of that same mean does not refute (Fieller's method), so it excludes 1 when,
    and only when, that mean of the difference, budgets weighed by their distances in log labels, excludes 0.
    """
    present = np.flatnonzero(~np.isnan(one.observed).all(0) & ~np.isnan(other.observed).all(0))
    if len(present) < 2:
        return None
    axis = np.log(np.array(budgets, dtype=float)[present])
    reach = WIDEST * (axis[-1] - axis[0])
    shifts = np.linspace(-reach, reach, 2 * STEPS + 1)
    found: list[Interval] = []
    for shift in shifts:
        shares_one, shares_other = np.zeros(len(budgets)), np.zeros(len(budgets))
        shares_one[present], shares_other[present] = _overlap(axis, shift)
        (a, a_influence), _ = over_budgets(one, shares_one)
        (b, b_influence), _ = over_budgets(other, shares_other)
        found.append(interval(a - b, a_influence - b_influence, stratum, level))
    estimate = _crossing(shifts, np.array([each.estimate for each in found]))
    # Every shift that the intervals don't refute, in between by interpolation; what has no interval refutes nothing.
    low = _first_below(shifts, np.nan_to_num([each.low for each in found], nan=-np.inf))
    high = -_first_below(-shifts[::-1], np.nan_to_num([-each.high for each in found], nan=-np.inf)[::-1])
    low, high = min(low, estimate), max(high, estimate)
    end = reach * (1 - 1e-9)
    censored = [name for name, beyond in (("at least", estimate >= end), ("at most", estimate <= -end),
                                          ("low", low <= -end), ("high", high >= end)) if beyond]  # fmt: skip
    return Multiplier(float(np.exp(estimate)), float(np.exp(low)), float(np.exp(high)), tuple(censored))


def multipliers(one: Array, other: Array, budgets: tuple[int, ...]) -> list[Multiplier]:
    """k(b) at each budget, estimate only: labels at which `other` (budgets,) reaches the score of `one` at b, over b.

    `other` is made rising first (mean of running maximum and running minimum from the end). A score that it reaches
    nowhere gives the end of the range, marked as censored.
    """
    known = ~np.isnan(other)
    nan = float("nan")
    if known.sum() < 2:
        return [Multiplier(nan, nan, nan, ())] * len(budgets)
    axis, curve = np.log(np.array(budgets, dtype=float)[known]), other[known]
    rising = 0.5 * (np.maximum.accumulate(curve) + np.minimum.accumulate(curve[::-1])[::-1])
    found: list[Multiplier] = []
    for budget, score in zip(budgets, one, strict=True):
        if np.isnan(score):
            found.append(Multiplier(nan, nan, nan, ()))
            continue
        beyond = ("at least",) if score > rising[-1] else ("at most",) if score < rising[0] else ()
        place = 0.5 * (np.interp(score, rising, axis) - np.interp(-score, -rising[::-1], -axis[::-1]))
        k = float(np.exp(place) / budget)
        found.append(Multiplier(k, nan, nan, beyond))
    return found


def _overlap(axis: Array, shift: float) -> tuple[Array, Array]:
    """Weights over budgets such that curve @ weights is its mean over the stretch where both curves are known."""
    start, end = max(axis[0], axis[0] - shift), min(axis[-1], axis[-1] - shift)
    points = np.linspace(start, end, 65)
    basis = np.eye(len(axis))
    sides: list[Array] = []
    for moved in (points, np.clip(points + shift, axis[0], axis[-1])):
        heights = np.array([np.interp(moved, axis, row) for row in basis])  # (budgets, points)
        trapezoid = np.full(len(points), 1.0)
        trapezoid[[0, -1]] = 0.5
        sides.append(heights @ trapezoid / trapezoid.sum())
    return sides[0], sides[1]


def _crossing(shifts: Array, means: Array) -> float:
    """Where the mean difference falls through 0; of several the one nearest to no shift; an end without any."""
    falls = np.flatnonzero((means[:-1] > 0) & (means[1:] <= 0))
    if len(falls) == 0:
        return float(shifts[-1] if means.mean() > 0 else shifts[0])
    points = [shifts[i] + (shifts[i + 1] - shifts[i]) * means[i] / (means[i] - means[i + 1]) for i in falls]
    return float(min(points, key=abs))


def _first_below(shifts: Array, bounds: Array) -> float:
    """The first shift whose bound is not above 0, by interpolation; the last shift when all are above."""
    below = np.flatnonzero(bounds <= 0)
    if len(below) == 0 or below[0] == 0:
        return float(shifts[below[0] if len(below) else -1])
    i = below[0] - 1
    after = bounds[i + 1] if np.isfinite(bounds[i + 1]) else -bounds[i]
    return float(shifts[i] + (shifts[i + 1] - shifts[i]) * bounds[i] / (bounds[i] - after))
