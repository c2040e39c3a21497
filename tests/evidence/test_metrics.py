"""Scores by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scanprior.evidence.metrics import brier_score, contests, dice, hit_score, log_score, placements
from scanprior.evidence.statistic import PairStatistic


def auc(probability: np.ndarray, label: np.ndarray, fold: np.ndarray | None = None) -> float:
    fold = np.zeros((1, len(label)), dtype=int) if fold is None else fold
    statistic = PairStatistic(contests(probability[None, None], label, fold), len(label))
    return float(statistic.cells(np.ones((1, len(label))))[0, 0, 0])


def test_scores_by_hand():
    p = np.array([[0.8, 0.2], [0.5, 0.5], [0.0, 1.0], [np.nan, np.nan]])
    y = np.array([0, 1, 0, 1])
    np.testing.assert_allclose(log_score(p, y), [np.log(0.8), np.log(0.5), np.log(0.001), np.nan])
    np.testing.assert_allclose(brier_score(p, y), [-0.04, -0.25, -1.0, np.nan])
    np.testing.assert_allclose(hit_score(p, y), [1, 0.5, 0, np.nan])


def test_three_classes_tie_is_a_third():
    assert hit_score(np.full((1, 3), 1 / 3), np.array([2]))[0] == pytest.approx(1 / 3)
    assert brier_score(np.array([[0.2, 0.3, 0.5]]), np.array([2]))[0] == pytest.approx(-0.5 * (0.04 + 0.09 + 0.25))


def test_dice_by_hand():
    truth, guess = np.array([0, 1, 1, 2, 0]), np.array([0, 1, 0, 0, 0])
    np.testing.assert_allclose(dice(guess, truth, (1, 2, 3)), [2 / 3, 0.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=30))
def test_auc_agrees_with_sklearn_ties_included(rows):
    score, label = np.array([r[0] / 5 for r in rows]), np.array([int(r[1]) for r in rows])
    if len(set(label)) < 2:
        return
    assert auc(np.stack([1 - score, score], -1), label) == pytest.approx(roc_auc_score(label, score))


def test_hand_and_till_with_three_classes_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 40)
    y = rng.integers(0, 3, 40)
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p, multi_class="ovo", average="macro"))


def test_constant_scores_have_an_auc_of_one_half():
    assert auc(np.full((6, 2), 0.5), np.array([0, 1] * 3)) == 0.5


def test_only_patients_of_one_fold_are_compared():
    p = np.array([0.1, 0.2, 0.8, 0.9])  # inside either fold the order is right, across folds it is not
    y, fold = np.array([0, 1, 0, 1]), np.array([[0, 0, 1, 1]])
    assert auc(np.stack([1 - p, p], -1), y, fold) == 1.0
    assert auc(np.stack([1 - p, p], -1), y) == 0.75


def test_placements_average_to_the_auc_in_either_class():
    rng = np.random.default_rng(1)
    p, y = rng.uniform(size=20), np.array([0, 1] * 10)
    both = np.stack([1 - p, p], -1)
    placed = placements(contests(both[None, None], y, np.zeros((1, 20), int)), 20)[0, 0]
    assert placed[y == 1].mean() == pytest.approx(auc(both, y)) == pytest.approx(placed[y == 0].mean())


def test_a_missing_prediction_takes_its_pairs_out():
    p = np.array([0.9, np.nan, 0.5, 0.7])
    both, y = np.stack([1 - p, p], -1), np.array([0, 0, 1, 1])
    placed = placements(contests(both[None, None], y, np.zeros((1, 4), int)), 4)[0, 0]
    assert np.isnan(placed[1]) and placed[0] == 0.0 and auc(both, y) == 0.0
