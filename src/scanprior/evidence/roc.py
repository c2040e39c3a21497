"""The ROC curve with pointwise intervals over patients and draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array
from scanprior.evidence.resampled_curves import resampled


class Roc(NamedTuple):
    """True positive rates at the false positive rates asked for."""

    fpr: Array
    tpr: Array
    low: Array
    high: Array


def roc_curve(probability: Array, label: NDArray[np.int64], fold: NDArray[np.int64], fpr: Array, *, seed: int,
              replicates: int = 500, level: float = 0.95) -> Roc:  # fmt: skip
    """Mean over draws and folds of the curves of (draws, patients) probabilities of the positive class (label 1).

    fold: (draws, patients), −1 = not tested; only scores of one model are ranked together. Percentile intervals of a
    two-way bootstrap (patients within classes × draws). NaN where no model meets both classes.
    """
    tpr, low, high = resampled(_draw, probability, label, fold, fpr, seed=seed, replicates=replicates, level=level)
    return Roc(fpr, tpr, low, high)


def _draw(p: Array, label: NDArray[np.int64], fold: NDArray[np.int64], fpr: Array, weights: Array) -> Array:
    """(replicates, rates) of one draw: the folds' curves, weighted by their positives."""
    total, number = np.zeros((len(weights), len(fpr))), np.zeros((len(weights), 1))
    for one in np.unique(fold[fold >= 0]):
        rows = np.flatnonzero((fold == one) & ~np.isnan(p))
        positive, negative = rows[label[rows] == 1], rows[label[rows] == 0]
        if len(positive) == 0 or len(negative) == 0:
            continue
        negative = negative[np.argsort(-p[negative], kind="stable")]
        passed = np.cumsum(weights[:, negative], axis=1)
        # Positives before the j-th negative, ties half: the height of the curve where it has passed j negatives.
        above = (p[positive][:, None] > p[negative]) + 0.5 * (p[positive][:, None] == p[negative])
        height = weights[:, positive] @ above
        size = weights[:, positive].sum(1, keepdims=True)
        allowed = fpr[None] * passed[:, -1:]
        place = (passed[:, None, :] <= allowed[:, :, None] + 1e-9).sum(2)
        padded = np.concatenate([height, size], axis=1)
        total += np.take_along_axis(padded, place, axis=1)
        number += size
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 0, total / number, np.nan)
