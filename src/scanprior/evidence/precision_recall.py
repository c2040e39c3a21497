"""The precision-recall curve with pointwise intervals over patients and draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array
from scanprior.evidence.resampled_curves import resampled


class PrecisionRecall(NamedTuple):
    """Precision where the recalls asked for are first reached, and the share of positives, which guessing has."""

    recall: Array
    precision: Array
    low: Array
    high: Array
    prevalence: Array


def precision_recall(probability: Array, label: NDArray[np.int64], fold: NDArray[np.int64], recall: Array, *, seed: int,
                     replicates: int = 500, level: float = 0.95) -> PrecisionRecall:  # fmt: skip
    """Mean over draws and folds of the curves of (draws, patients) probabilities of the positive class (label 1).

    fold: (draws, patients), −1 = not tested; only scores of one model are ranked together, a fold counts by its
    positives. recall inside (0, 1]. Nothing is interpolated between thresholds, which would flatter (Davis & Goadrich
    2006). Percentile intervals of a two-way bootstrap (patients within classes × draws).
    """
    precision, low, high = resampled(
        _draw, probability, label, fold, recall, seed=seed, replicates=replicates, level=level
    )
    if np.isnan(precision).all():
        return PrecisionRecall(recall, precision, low, high, precision)
    tested = (fold >= 0).any(0) & ~np.isnan(probability).all(0)
    return PrecisionRecall(recall, precision, low, high, np.full(len(recall), label[tested].mean()))


def _draw(p: Array, label: NDArray[np.int64], fold: NDArray[np.int64], recall: Array, weights: Array) -> Array:
    """(replicates, recalls) of one draw: the folds' curves, weighted by their positives."""
    total, number = np.zeros((len(weights), len(recall))), np.zeros((len(weights), 1))
    for one in np.unique(fold[fold >= 0]):
        rows = np.flatnonzero((fold == one) & ~np.isnan(p))
        if len(np.unique(label[rows])) < 2:
            continue
        rows = rows[np.argsort(-p[rows], kind="stable")]
        last = np.flatnonzero(np.append(p[rows][1:] != p[rows][:-1], True))  # equal scores pass a threshold together
        counted = weights[:, rows]
        hits = np.cumsum(counted * (label[rows] == 1), axis=1)[:, last]
        named = np.cumsum(counted, axis=1)[:, last]
        size = hits[:, -1:]
        place = (hits[:, None, :] < recall[None, :, None] * size[:, :, None] - 1e-9).sum(2)
        place = np.minimum(place, len(last) - 1)
        precision = np.take_along_axis(hits, place, axis=1) / np.maximum(
            np.take_along_axis(named, place, axis=1), 1e-12
        )
        total += np.where(size > 0, precision * size, 0.0)
        number += size
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 0, total / number, np.nan)
