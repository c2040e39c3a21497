"""Runs whose right answer is known: whether they came out so, each crying at most once in a thousand healthy studies.

A canary that must end at chance cries when its score lies further above chance than random labels would put it; one that
must find a planted signal cries when its score lies below half of the way from chance to perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from scanprior.evidence.allocation import shuffled
from scanprior.evidence.metrics import Array, Contest, contests

LEVEL = 0.999
Z = NormalDist().inv_cdf(LEVEL)
# Under cross-validation a pair of patients is met twice: one trains and the other is tested, then the other way round. A model
# that is linear in its labels then gives both meetings nearly the same sign, so that the variance of the mean doubles.
MET_TWICE = 2.0


class Canary(NamedTuple):
    """A canary's outcome, in the form of verdict.json; low and high bound the score one-sidedly at 99.9 % each."""

    name: str
    passed: bool
    expected: float
    observed: float
    low: float
    high: float
    sentence: str


class Score(NamedTuple):
    """A canary's score, its standard deviation over random labels, and what chance and a perfect model would get."""

    observed: float
    sd: float
    chance: float
    perfect: float
    kind: str  # in words, with its article where it takes one


def permuted_labels(labels: Sequence[int], seed: int) -> list[int]:
    """The labels dealt out anew among the same patients; class sizes stay."""
    return [labels[row] for row in shuffled(range(len(labels)), seed)]


def ranked(probability: Array, target: NDArray[np.int64], fold: NDArray[np.int64]) -> Score:
    """The area under the ROC curve of one run, patients of one fold compared with each other.

    probability: (patients, classes); target: class indices; fold: the fold that tests each patient. The variance is that of
    Mann & Whitney's statistic, exact for one fold; of several contests (more than two classes) the mean deviation is taken,
    as if all were one.
    """
    games = contests(probability[None, None], target, fold[None])
    means = [float(np.nanmean(game.kernel)) for game in games if np.isfinite(game.kernel).any()]
    if not means:
        return Score(float("nan"), float("nan"), 0.5, 1.0, "AUC")
    deviations = [_deviation(game, fold) for game in games if np.isfinite(game.kernel).any()]
    return Score(float(np.mean(means)), float(np.mean(deviations)), 0.5, 1.0, "AUC")


def _deviation(game: Contest, fold: NDArray[np.int64]) -> float:
    first, second = fold[game.first], fold[game.second]
    folds = [one for one in np.unique(first) if (second == one).any()]
    sizes = np.array([[(first == one).sum(), (second == one).sum()] for one in folds], dtype=float)
    pairs = sizes.prod(axis=1)
    variance = (sizes.sum(axis=1) + 1) / (12 * pairs)
    weight = pairs / pairs.sum()
    return float(np.sqrt((MET_TWICE if len(folds) > 1 else 1.0) * (weight**2 @ variance)))


def agreed(hits: Array, expected: Array, variance: Array, patches: Array, folds: int) -> Score:
    """The share of patches whose class was guessed, over patients: hits with their mean and variance under random labels."""
    total = float(patches.sum())
    if not total:
        return Score(float("nan"), float("nan"), float("nan"), 1.0, "share of patches")
    sd = float(np.sqrt((MET_TWICE if folds > 1 else 1.0) * variance.sum())) / total
    return Score(float(hits.sum()) / total, sd, float(expected.sum()) / total, 1.0, "share of patches")


def overlapped(dice: Array) -> Score:
    """The mean Dice over patients with the half-width of its own interval in place of random labels'."""
    known = dice[np.isfinite(dice)]
    if len(known) < 2:
        return Score(float(known.mean()) if len(known) else float("nan"), float("nan"), 0.0, 1.0, "Dice")
    width = float(stdtrit(len(known) - 1, LEVEL)) * float(known.std(ddof=1)) / float(np.sqrt(len(known)))
    return Score(float(known.mean()), width / Z, 0.0, 1.0, "Dice")


def at_chance(name: str, score: Score) -> Canary:
    """Passes unless the score lies above what 999 in 1,000 sets of random labels reach; a score that can't is said to."""
    low, high = _bounds(score)
    passed = not low > score.chance
    text = f"Canary {name}: {score.kind} {score.observed:.3f} where {score.chance:.3f} is chance"
    if not passed:
        text += f", above what 999 in 1,000 healthy studies reach ({score.chance + Z * score.sd:.3f}). {MEANING[name]}"
    elif not score.chance + Z * score.sd < score.perfect:
        text += "; with so few patients even a perfect score would not be told from chance, so this shows nothing."
    else:
        text += ", as it must be."
    return Canary(name, passed, score.chance, score.observed, low, high, text)


def found(name: str, score: Score) -> Canary:
    """Passes when the score lies at least half of the way from chance to perfect; the planted signal leaves no doubt."""
    low, high = _bounds(score)
    half = (score.chance + score.perfect) / 2
    passed = bool(score.observed >= half)
    text = f"Canary {name}: {score.kind} {score.observed:.3f} where a planted signal must give at least {half:.2f}"
    return Canary(
        name, passed, half, score.observed, low, high, f"{text}; found." if passed else f"{text}. {MEANING[name]}"
    )


def _bounds(score: Score) -> tuple[float, float]:
    half = Z * score.sd
    return score.observed - half, score.observed + half


MEANING = {
    "permuted": "The labels were dealt out anew and mean nothing, so something tells the models whom they are tested on: "
    "look for one person under two ids, or labels that reach training from the tested side.",
    "planted": "A signal that no model can miss was written into the scans and not found, so scans, labels or predictions do "
    "not belong together, and a real signal would be lost as well.",
    "border": "The air at the border of the scans tells the label: marks, cropping, padding or site show there, and models may "
    "have learned them instead of anatomy. Crop or mask the border; or, where it is right that it differs, leave border out of "
    "evaluation.canaries, and the report says that it did not run.",
}
