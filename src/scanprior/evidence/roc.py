"""The ROC curve with pointwise intervals over patients and draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array


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
    tested = (fold >= 0).any(0) & ~np.isnan(probability).all(0)
    rng = np.random.default_rng([seed, 0])
    weights = np.zeros((replicates + 1, len(label)))
    weights[0] = tested
    for kind in (0, 1):
        rows = np.flatnonzero(tested & (label == kind))
        if len(rows):
            weights[1:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=replicates)
    curves = np.stack([_draw(probability[d], label, fold[d], fpr, weights) for d in range(len(fold))])
    curves = curves[~np.isnan(curves[:, 0]).all(1)]  # (draws, 1 + replicates, rates)
    if len(curves) == 0:
        nothing = np.full(len(fpr), np.nan)
        return Roc(fpr, nothing, nothing, nothing)
    shares = np.random.default_rng([seed, 3]).multinomial(
        len(curves), np.full(len(curves), 1 / len(curves)), replicates
    )
    spread = np.einsum("rd,drf->rf", shares / len(curves), np.nan_to_num(curves[:, 1:]))
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Roc(fpr, curves[:, 0].mean(0), low, high)


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
