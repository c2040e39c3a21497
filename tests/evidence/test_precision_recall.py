"""The precision-recall curve against sklearn's, and what it does with folds, ties and draws."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import precision_recall_curve

from scanprior.evidence.precision_recall import precision_recall


def test_precision_is_sklearns_at_the_first_threshold_that_reaches_the_recall() -> None:
    rng = np.random.default_rng(1)
    label = rng.permutation([0] * 40 + [1] * 25)
    p = np.round(np.clip(0.5 + 0.2 * (label - 0.5) + rng.normal(0, 0.2, 65), 0.01, 0.99), 1)  # with ties
    recall = np.array([0.1, 0.5, 0.9, 1.0])
    found = precision_recall(p[None], label, np.zeros((1, 65), int), recall, seed=0)
    precision, reached, _ = precision_recall_curve(label, p)
    for wanted, got in zip(recall, found.precision, strict=True):
        # sklearn's recalls fall; the highest threshold that reaches the wanted one is the last such entry.
        assert got == precision[np.flatnonzero(reached >= wanted - 1e-9).max()]
    assert (found.low <= found.precision).all()
    assert (found.precision <= found.high).all()
    assert found.prevalence[0] == 25 / 65


def test_patients_are_ranked_inside_a_fold_only() -> None:
    label, fold = np.array([1, 0, 1, 0]), np.array([[0, 0, 1, 1]])
    p = np.array([[0.2, 0.1, 0.9, 0.8]])  # right in each fold, wrong across them
    found = precision_recall(p, label, fold, np.array([1.0]), seed=0, replicates=20)
    assert found.precision[0] == 1.0


def test_constant_scores_have_the_precision_of_guessing() -> None:
    label = np.array([1, 0, 0, 1, 0])
    found = precision_recall(np.full((2, 5), 0.5), label, np.zeros((2, 5), int), np.array([0.2, 1.0]), seed=0)
    assert np.allclose(found.precision, 0.4)
    assert np.isfinite([found.low, found.high]).all()


def test_draws_and_patients_without_a_score_are_left_out() -> None:
    label = np.array([1, 0, 1, 0])
    p = np.array([[0.9, 0.1, np.nan, 0.2], [np.nan] * 4])
    found = precision_recall(p, label, np.array([[0] * 4, [-1] * 4]), np.array([1.0]), seed=0, replicates=30)
    assert found.precision[0] == 1.0
    assert found.prevalence[0] == 1 / 3


def test_one_class_alone_has_no_curve() -> None:
    found = precision_recall(np.array([[0.2, 0.3]]), np.array([1, 1]), np.zeros((1, 2), int), np.array([0.5]), seed=0)
    assert np.isnan([found.precision, found.low, found.high, found.prevalence]).all()
