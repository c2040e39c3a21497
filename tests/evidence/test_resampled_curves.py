"""Resampled curves: a replicate that leaves a draw without a class says nothing about it, rather than zero."""

from __future__ import annotations

import numpy as np

from scanprior.evidence.precision_recall import precision_recall
from scanprior.evidence.roc import roc_curve

AT = np.linspace(0.1, 1.0, 4)


def test_a_perfect_model_stays_perfect_where_a_draw_tests_two_patients_only():
    label = np.arange(12) % 2
    probability = np.tile(np.where(label == 1, 0.9, 0.1), (2, 1))
    fold = np.zeros((2, 12), dtype=np.int64)
    fold[1, 2:] = -1  # the second draw tests one patient of each class, whom many replicates leave out
    for found, name in (
        (roc_curve(probability, label, fold, AT, seed=1), "tpr"),
        (precision_recall(probability, label, fold, AT, seed=1), "precision"),
    ):
        np.testing.assert_allclose(getattr(found, name), 1.0)
        np.testing.assert_allclose(found.low, 1.0)
        np.testing.assert_allclose(found.high, 1.0)
