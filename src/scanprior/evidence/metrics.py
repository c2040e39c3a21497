"""Scores of patients, higher is better everywhere: per patient for decomposable metrics, over pairs for the AUC."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Metric = Literal["auc", "log_loss", "brier", "accuracy", "dice"]
# With some hundred patients nobody can support a probability beyond 1 in 1000; without a bound one patient decides all.
FLOOR = 1e-3
# The values that a score can take, where there are limits; intervals end there.
LIMITS: dict[str, tuple[float, float]] = {"auc": (0.0, 1.0), "accuracy": (0.0, 1.0), "dice": (0.0, 1.0)}


def log_score(probability: Array, label: NDArray[np.int64]) -> Array:
    """Log of the probability given to the true class, each patient's (negated) log-loss; bounded at log 0.001.

    probability: (…, patients, classes); label: (patients,) class indices; returns (…, patients). NaN stays NaN.
    """
    return np.log(np.clip(_of_truth(probability, label), FLOOR, 1.0))


def brier_score(probability: Array, label: NDArray[np.int64]) -> Array:
    """Negated Brier score of each patient: −½ Σ (p − y)², for two classes the usual −(p − y)² (Brier 1950).

    Shapes as in `log_score`.
    """
    truth = np.eye(probability.shape[-1])[label]
    return -0.5 * np.square(probability - truth).sum(-1)


def hit_score(probability: Array, label: NDArray[np.int64]) -> Array:
    """1 where the true class has the highest probability, 1/k in a tie of k classes, else 0; shapes as in `log_score`.

    A constant prediction so scores chance, not the share of whichever class comes first.
    """
    top = probability.max(-1, keepdims=True)
    ties = (probability == top).sum(-1)
    hit = (_of_truth(probability, label)[..., None] == top)[..., 0]
    score = np.where(hit, 1.0 / np.maximum(ties, 1), 0.0)
    return np.where(np.isnan(probability).any(-1), np.nan, score)


def dice(prediction: NDArray[np.generic], truth: NDArray[np.generic], classes: tuple[int, ...]) -> Array:
    """Dice overlap of each class, 2|A∩B|/(|A|+|B|); 1 when a class is in neither map. Returns (classes,)."""
    scores: list[float] = []
    for kind in classes:
        first, second = prediction == kind, truth == kind
        size = int(first.sum()) + int(second.sum())
        scores.append(2.0 * int((first & second).sum()) / size if size else 1.0)
    return np.array(scores)


SCORES = {"log_loss": log_score, "brier": brier_score, "accuracy": hit_score}


class Contest(NamedTuple):
    """One class against another: who wins each pair (1, ½ for a tie, 0; NaN where the pair can't be compared)."""

    first: NDArray[np.int64]  # rows of the patients of the first class
    second: NDArray[np.int64]  # rows of the patients of the second
    kernel: Array  # (draws, budgets, first, second)


def contests(probability: Array, label: NDArray[np.int64], fold: NDArray[np.int64]) -> list[Contest]:
    """The pairwise comparisons whose mean is the AUC; with more than two classes Hand & Till's M (2001).

    probability: (draws, budgets, patients, classes), NaN where missing. fold: (draws, patients): only patients tested
    by one model are compared, since scores of different models lie on different scales (−1: not tested).
    """
    classes = probability.shape[-1]
    found: list[Contest] = []
    for a in range(classes):
        for b in range(a + 1, classes):
            first, second = np.flatnonzero(label == b), np.flatnonzero(label == a)
            same = (fold[:, first, None] == fold[:, None, second]) & (fold[:, first, None] >= 0)
            kernel = np.zeros((*probability.shape[:2], len(first), len(second)))
            # With two classes both columns tell the same; with more, each is asked for its own class.
            columns = [(b, 1.0)] if classes == 2 else [(b, 1.0), (a, -1.0)]
            for column, sign in columns:
                x = sign * probability[..., first, column][..., :, None]
                y = sign * probability[..., second, column][..., None, :]
                won = np.where(np.isnan(x) | np.isnan(y), np.nan, (x > y) + 0.5 * (x == y))
                kernel += won / len(columns)
            found.append(Contest(first, second, np.where(same[:, None], kernel, np.nan)))
    return found


def placements(games: list[Contest], patients: int) -> Array:
    """Each patient's share of won comparisons, whose mean over a class is the AUC (DeLong et al. 1988).

    Returns (draws, budgets, patients), NaN where a patient meets nobody. With more than two classes it is the mean over
    the contests that the patient takes part in.
    """
    shape = (*games[0].kernel.shape[:2], patients)
    total, number = np.zeros(shape), np.zeros(shape)
    for game in games:
        known = ~np.isnan(game.kernel)
        won = np.where(known, game.kernel, 0.0)
        for rows, axis in ((game.first, 3), (game.second, 2)):
            count = known.sum(axis)
            share = won.sum(axis) / np.maximum(count, 1)
            total[:, :, rows] += np.where(count > 0, share, 0.0)
            number[:, :, rows] += count > 0
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _of_truth(probability: Array, label: NDArray[np.int64]) -> Array:
    index = np.broadcast_to(label[:, None], (*probability.shape[:-1], 1))
    return np.take_along_axis(probability, index, axis=-1)[..., 0]
