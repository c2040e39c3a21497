"""Simulated studies whose truth is known: scores with patient, draw and interaction effects, no network, no scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import integrate, stats

from scanprior.evidence.metrics import FLOOR, contests, log_score
from scanprior.evidence.statistic import MeanStatistic, PairStatistic, Statistic

BUDGETS = (4, 8, 16)


class Truth(NamedTuple):
    """True primary difference, and the standard error that its estimate has (NaN: take that of the simulation)."""

    delta: float
    se: float


class Simulated(NamedTuple):
    """Both arms of one study; `other` is None where differences are simulated directly."""

    one: Statistic
    other: Statistic | None
    truth: Truth


def dice_like(rng, patients: int, draws: int, effect: float, *, skew: float = 0.4, tail: bool = False,
              sd: tuple[float, float, float] = (0.04, 0.008, 0.03)) -> Simulated:  # fmt: skip
    """Paired differences of Dice: skewed between patients (lognormal; 0.4 = skewness 1.3) or heavy-tailed (t, 4 df).

    A negative `skew` is the skewness itself, of a gamma distribution.

    sd: standard deviations of patients, draws and interaction, as seen on hippocampus crops (order of magnitude).
    """
    size = len(BUDGETS)
    if tail:
        effects = rng.standard_t(4, patients) / np.sqrt(2)
    elif skew < 0:
        shape = 4 / skew**2
        effects = (shape - rng.standard_gamma(shape, patients)) / np.sqrt(shape)
    else:
        effects = rng.lognormal(0, skew, patients) - np.exp(skew**2 / 2)
        effects = -effects / np.sqrt((np.exp(skew**2) - 1) * np.exp(skew**2))
    shared, own = rng.normal(size=(draws, 1)), rng.normal(size=(draws, size))
    noise = rng.standard_t(5, (draws, size, patients)) / np.sqrt(5 / 3)
    by_draw = sd[1] * (0.8 * shared + 0.6 * own)
    values = effect + sd[0] * effects + by_draw[:, :, None] + sd[2] * noise
    variance = (
        sd[0] ** 2 / patients + sd[1] ** 2 * (0.64 + 0.36 / size) / draws + sd[2] ** 2 / (patients * draws * size)
    )
    return Simulated(MeanStatistic(values), None, Truth(effect, float(np.sqrt(variance))))


SHARED, OWN, NOISE, BY_DRAW, BASE = 0.7, 0.5, 0.4, 0.15, 0.95


def _latent(rng, label, draws: int, shift: float, common):
    """Log-odds (draws, budgets, patients) of one arm: patient, draw and interaction effects around ± shift/2."""
    size, patients = len(BUDGETS), len(label)
    sign = label - 0.5
    own = OWN * rng.normal(size=patients)
    by_draw = BY_DRAW * rng.normal(size=(draws, 1, 1))
    return sign * (shift + by_draw) + common + own + NOISE * rng.normal(size=(draws, size, patients))


def classified(rng, patients: int, draws: int, effect: float, *, metric: str, folds: int = 1) -> Simulated:
    """Two classes; both arms share the patients' difficulty; `effect` is added to the separation of the first arm."""
    label = np.arange(patients) % 2
    fold = np.zeros((draws, patients), dtype=np.int64)
    if folds > 1:
        for row in fold:
            for kind in (0, 1):
                rows = rng.permutation(np.flatnonzero(label == kind))
                row[rows] = np.arange(len(rows)) % folds
    common = SHARED * rng.normal(size=patients)
    arms: list[Statistic] = []
    for shift in (BASE + effect, BASE):
        p = 1 / (1 + np.exp(-_latent(rng, label, draws, shift, common)))
        probability = np.stack([1 - p, p], -1)
        if metric == "auc":
            arms.append(PairStatistic(contests(probability, label, fold), patients))
        else:
            arms.append(MeanStatistic(log_score(probability, label)))
    delta = true_score(metric, BASE + effect) - true_score(metric, BASE)
    return Simulated(arms[0], arms[1], Truth(delta, float("nan")))


def true_score(metric: str, shift: float) -> float:
    """The score of an arm with this separation for new patients and draws."""
    spread = SHARED**2 + OWN**2 + NOISE**2
    if metric == "auc":
        return float(stats.norm.cdf(shift / np.sqrt(2 * spread + BY_DRAW**2)))
    sd = np.sqrt(spread + BY_DRAW**2 / 4)

    def weighted(x: float) -> float:
        return np.log(max(1 / (1 + np.exp(-x)), FLOOR)) * stats.norm.pdf(x, shift / 2, sd)

    return float(integrate.quad(weighted, shift / 2 - 9 * sd, shift / 2 + 9 * sd, limit=200)[0])
