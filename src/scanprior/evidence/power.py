"""What a cohort can show: before training what gain it could detect, after an open verdict what would decide it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

POWER = 0.8
MOST_PATIENTS = 20_000
MIDPOINTS = (np.arange(400) + 0.5) / 400  # a distribution as so many equally likely values


class Spread(NamedTuple):
    """Standard deviations of the paired difference: between patients, between draws, and of what neither explains."""

    patients: float
    draws: float
    noise: float = 0.0


class Chances(NamedTuple):
    """Probability of each verdict; they add to 1."""

    helps: float
    harms: float
    equivalent: float
    inconclusive: float


class Needed(NamedTuple):
    """Test patients and draws with which the verdict would be decided with 80 % probability."""

    patients: int
    draws: int


def half_width(spread: Spread, patients: int, draws: int, level: float = 0.95) -> tuple[float, float]:
    """Expected half-width of the interval for differences without skew, and standard error of the estimate.

    As bootstrap.py does: a Student t for each side, added, the noise counted on both; one draw has no draws' side. On
    the side of a long tail the interval is up to a fifth wider.
    """
    noise = spread.noise**2 / (patients * draws)
    by_patients, by_draws = spread.patients**2 / patients + noise, spread.draws**2 / draws + noise
    se = math.sqrt(by_patients + by_draws - noise)
    if by_patients == 0:
        return 0.0, se
    other = math.sqrt(by_draws / by_patients) * stats.t.ppf(MIDPOINTS, draws - 1) if draws > 1 else np.zeros(1)

    def missing(half: float) -> float:
        return float(stats.t.cdf(half - other, max(patients - 1, 1)).mean()) - (1 + level) / 2

    return math.sqrt(by_patients) * float(optimize.root_scalar(missing, bracket=(0.0, 1e6)).root), se


def spread_of(se_patients: float, se_draws: float, se_noise: float, patients: int, draws: int) -> Spread:
    """The spread behind an interval's standard errors, each of which still holds the noise."""
    noise = se_noise**2
    return Spread(
        math.sqrt(max(se_patients**2 - noise, 0.0) * patients),
        math.sqrt(max(se_draws**2 - noise, 0.0) * draws),
        math.sqrt(noise * patients * draws),
    )


def chances(effect: float, spread: Spread, patients: int, draws: int, *, margin: float, level: float = 0.95) -> Chances:
    """How likely each verdict is when the true difference is `effect`."""
    half, se = half_width(spread, patients, draws, level)
    if se == 0:
        return Chances(float(effect > 0 and effect >= margin), float(effect < 0 and -effect >= margin),
                       float(abs(effect) < margin), 0.0)  # fmt: skip
    bar = max(half, margin - half)
    helps = float(stats.norm.sf((bar - effect) / se))
    harms = float(stats.norm.cdf((-bar - effect) / se))
    inside = margin - half
    equivalent = max(0.0, float(stats.norm.cdf((inside - effect) / se) - stats.norm.cdf((-inside - effect) / se)))
    equivalent = equivalent if inside > 0 else 0.0
    return Chances(helps, harms, equivalent, max(0.0, 1.0 - helps - harms - equivalent))


def detectable(
    spread: Spread, patients: int, draws: int, *, margin: float, level: float = 0.95, power: float = POWER
) -> float:
    """The smallest true gain that would end as "helps" with probability `power`."""
    half, se = half_width(spread, patients, draws, level)
    return max(half, margin - half) + float(stats.norm.ppf(power)) * se


def patients_needed(effect: float, spread: Spread, patients: int, draws: int, *, margin: float,
                    level: float = 0.95) -> Needed | None:  # fmt: skip
    """Patients that would decide an open verdict if the true difference is the present estimate; None beyond 20,000.

    The draws stay as they are, unless their own spread forbids any decision: then 20 or 50 are assumed. (An interval
    narrower than the margin is always decided, so there is an answer for every effect.)
    """
    for number in sorted({draws, 20, 50}):
        if number < draws:
            continue
        low, high = patients, patients
        while not _decided(effect, spread, high, number, margin, level):
            low, high = high, high * 2
            if high > MOST_PATIENTS:
                break
        else:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _decided(effect, spread, middle, number, margin, level) else (middle, high)
            return Needed(high, number)
    return None


def _decided(effect: float, spread: Spread, patients: int, draws: int, margin: float, level: float) -> bool:
    return chances(effect, spread, patients, draws, margin=margin, level=level).inconclusive <= 1 - POWER


def auc_spread(auc: float, correlation: float, positives: int, negatives: int) -> float:
    """`Spread.patients` that stands for a difference of two correlated AUCs (Hanley & McNeil 1982, 1983)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    variance /= positives * negatives
    return math.sqrt(2 * variance * (1 - correlation) * (positives + negatives))
