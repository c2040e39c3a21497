"""What a cohort can show: before training what gain it could detect, after an open verdict what would decide it.

Studies are simulated (patients, draws and what neither explains; no images), and the interval of interval.py is taken
from each: a formula with an expected width is up to 17 points too hopeful, since widths vary and follow the tails.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scanprior.evidence.interval import deviations, ends
from scanprior.evidence.metrics import Array

POWER = 0.8
# Asked of a study that is yet to come: heavy tails, which nobody can know beforehand, cost some points.
SURE = 0.9
MOST_PATIENTS = 20_000
STUDIES = 2000
# A search looks at some twenty sizes, and its answer is rounded.
SEARCH_STUDIES = 400
POINTS = 300
# Larger studies are simulated as so many patients who vary less, which gives the same standard errors.
LARGEST = 400
MOST_SKEWED = 4.0


class Spread(NamedTuple):
    """Standard deviations of the paired difference: between patients, between draws, and of what neither explains.

    `skewness` is that of the patients' differences: below 0 when a few patients lose much.
    """

    patients: float
    draws: float
    noise: float = 0.0
    skewness: float = 0.0


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


class Ends(NamedTuple):
    """Ends of the intervals of simulated studies, (studies,) each, as distances from the true difference."""

    low: Array
    high: Array


@lru_cache(maxsize=64)
def simulated(spread: Spread, patients: int, draws: int, level: float = 0.95, studies: int = STUDIES) -> Ends:
    """The intervals of so many studies; always the same ones. Without two patients, two draws and any spread there are none: NaN."""
    nothing = np.full(studies, np.nan)
    if patients < 2 or draws < 2 or (spread.patients <= 0 and spread.noise <= 0):
        return Ends(nothing, nothing)
    rng = np.random.default_rng(20261124)
    shrink = math.sqrt(min(1.0, LARGEST / patients))
    number = min(patients, LARGEST)
    by_patient = shrink * spread.patients * _shaped(rng, (studies, number), shrink * spread.skewness)
    by_patient += shrink * spread.noise / math.sqrt(draws) * rng.standard_normal((studies, number))
    effects = spread.draws * rng.standard_normal((studies, draws))
    # The noise's mean over all is in the patients' part; what is left of it in a draw's mean only adds to their spread.
    by_draw = effects + shrink * spread.noise / math.sqrt(number) * rng.standard_normal((studies, draws))
    shift = by_patient.mean(1) + effects.mean(1)
    centred = by_patient - by_patient.mean(1, keepdims=True)
    square = (centred**2).mean(1)
    se_patients = np.sqrt(square / (number - 1))
    skew = (centred**3).mean(1) / np.maximum(square, 1e-30) ** 1.5 * (number - 1) ** 1.5 / number**2
    se_draws = by_draw.std(1, ddof=1) / math.sqrt(draws)
    both = deviations(se_patients, se_draws, skew, number - 1, draws - 1, points=POINTS)
    low, high = ends(*both, level)
    return Ends(shift + low, shift + high)


def chances(effect: float, spread: Spread, patients: int, draws: int, *, margin: float, level: float = 0.95,
            studies: int = STUDIES) -> Chances:  # fmt: skip
    """How likely each verdict is when the true difference is `effect`."""
    found = simulated(spread, patients, draws, level, studies)
    low, high = found.low + effect, found.high + effect
    helps = float(np.mean((low > 0) & (high >= margin)))
    harms = float(np.mean((high < 0) & (low <= -margin)))
    equivalent = float(np.mean((-margin < low) & (high < margin)))
    return Chances(helps, harms, equivalent, max(0.0, 1.0 - helps - harms - equivalent))


def detectable(
    spread: Spread, patients: int, draws: int, *, margin: float, level: float = 0.95, power: float = POWER
) -> float:
    """The smallest true gain that would end as "helps" with probability `power`; infinite where there is no interval."""
    found = simulated(spread, patients, draws, level)
    least = np.maximum(-found.low, margin - found.high)
    return float(np.quantile(least, power)) if np.isfinite(least).all() else math.inf


def patients_needed(effect: float, spread: Spread, patients: int, draws: int, *, margin: float,
                    level: float = 0.95) -> Needed | None:  # fmt: skip
    """About how many patients, with how many draws, would decide an open verdict if the truth is the present estimate.

    The draws stay as they are, unless 20 or 50 of them save a fifth of the patients or more. Patients are rounded up to
    two digits; None when 20,000 would not do. (An interval narrower than the margin is always decided.)
    """
    sizes = [patients, *(size for size in _rounded_sizes() if size > patients)]
    found: Needed | None = None
    for number in sorted({draws, *(more for more in (20, 50) if more > draws)}):

        def decided(size: int, number: int = number) -> bool:
            said = chances(effect, spread, size, number, margin=margin, level=level, studies=SEARCH_STUDIES)
            return said.inconclusive <= 1 - SURE

        if not decided(sizes[-1]):
            continue
        low, high = 0 if number == draws else -1, len(sizes) - 1  # more of something is needed
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if decided(sizes[middle]) else (middle, high)
        if found is None or sizes[high] <= 0.8 * found.patients:
            found = Needed(sizes[high], number)
    return found


def spread_of(se_patients: float, se_draws: float, se_noise: float, skewness: float, patients: int,
              draws: int) -> Spread:  # fmt: skip
    """The spread behind an interval's standard errors, each of which still holds the noise, and its skewness."""
    noise = se_noise**2
    own = max(se_patients**2 - noise, 0.0)
    # What patients' means have of the noise is not skewed and hides the skewness of their own differences.
    share = own / se_patients**2 if se_patients > 0 else 0.0
    hidden = skewness / share**1.5 if share > 0.1 else 0.0
    return Spread(
        math.sqrt(own * patients),
        math.sqrt(max(se_draws**2 - noise, 0.0) * draws),
        math.sqrt(noise * patients * draws),
        max(-MOST_SKEWED, min(MOST_SKEWED, hidden)),
    )


def auc_spread(auc: float, correlation: float, positives: int, negatives: int) -> float:
    """`Spread.patients` that stands for a difference of two correlated AUCs (Hanley & McNeil 1982, 1983)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    variance /= positives * negatives
    return math.sqrt(2 * variance * (1 - correlation) * (positives + negatives))


def _shaped(rng: np.random.Generator, size: tuple[int, int], skewness: float) -> Array:
    """Values with mean 0, variance 1 and this skewness: normal, or lognormal with its tail on the side that it says."""
    normal = rng.standard_normal(size)
    if abs(skewness) < 0.01:
        return normal
    # (w + 2) √(w − 1) = |skewness| for w = exp(σ²): the real root of a cubic
    root = (1 + skewness**2 / 2 + abs(skewness) * math.sqrt(1 + skewness**2 / 4)) ** (1 / 3)
    w = root + 1 / root - 1
    values = np.exp(math.sqrt(math.log(w)) * normal) - math.sqrt(w)
    return math.copysign(1.0, skewness) * values / math.sqrt(w * (w - 1))


def _rounded_sizes() -> list[int]:
    """2 … 99, 100, 110 … 20,000: two digits each."""
    return [*range(2, 100), *(digits * 10**power for power in (1, 2, 3) for digits in range(10, 100)
                              if digits * 10**power <= MOST_PATIENTS)]  # fmt: skip
