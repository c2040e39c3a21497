"""Curves over draws and folds, resampled over patients (within classes) and draws: what ROC and precision-recall share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array

Draw = Callable[[Array, NDArray[np.int64], NDArray[np.int64], Array, Array], Array]


def resampled(
    draw: Draw, probability: Array, label: NDArray[np.int64], fold: NDArray[np.int64], at: Array, *, seed: int,
    replicates: int, level: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Mean curve over draws and its percentile interval, (points,) each; NaN where no draw has a curve.

    draw: (probability, label, fold, at, weights) of one draw → (1 + replicates, points), NaN where a replicate has none;
    probability, fold: (draws, patients), fold −1 = not tested; label: (patients,) 0 or 1; at: (points,).
    """
    tested = (fold >= 0).any(0) & ~np.isnan(probability).all(0)
    rng = np.random.default_rng([seed, 0])
    weights = np.zeros((replicates + 1, len(label)))
    weights[0] = tested
    for kind in (0, 1):
        rows = np.flatnonzero(tested & (label == kind))
        if len(rows):
            weights[1:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=replicates)
    curves = np.stack([draw(probability[d], label, fold[d], at, weights) for d in range(len(fold))])
    curves = curves[~np.isnan(curves[:, 0]).all(1)]
    if not len(curves):
        unknown = np.full(len(at), np.nan)
        return unknown, unknown, unknown
    shares = rng.multinomial(len(curves), np.full(len(curves), 1 / len(curves)), replicates)
    # A replicate may leave all folds of a draw without one of the classes: no curve there, so the other draws stand for it.
    known = ~np.isnan(curves[:, 1:])
    total = np.einsum("rd,drg->rg", shares, np.where(known, curves[:, 1:], 0.0))
    number = np.einsum("rd,drg->rg", shares, known.astype(float))
    spread = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    low, high = np.nanquantile(spread, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return curves[:, 0].mean(0), low, high
