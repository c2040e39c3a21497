"""Canaries: they cry at a leak, are calm without one, and say so when they could not have cried."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from scanprior.evidence.canary import Score, agreed, at_chance, found, overlapped, permuted_labels, ranked


def auc(gain: float, seed: int, *, patients: int = 36, folds: int = 3) -> Score:
    rng = np.random.default_rng(seed)
    label = np.arange(patients) % 2
    p = 1 / (1 + np.exp(-(gain * label + rng.normal(size=patients))))
    return ranked(np.stack([1 - p, p], -1), label, np.arange(patients) // 2 % folds)


def test_it_cries_at_a_leak_and_is_calm_without_one() -> None:
    leaky = at_chance("permuted", auc(6.0, 0))
    assert not leaky.passed and leaky.low > 0.5 and "tells the models whom they are tested on" in leaky.sentence
    assert all(at_chance("permuted", auc(0.0, seed)).passed for seed in range(30))
    assert "as it must be" in at_chance("permuted", auc(0.0, 1)).sentence


def test_with_few_patients_it_says_that_it_shows_nothing() -> None:
    calm = at_chance("border", auc(9.0, 0, patients=12, folds=3))
    assert calm.observed == 1.0 and calm.passed and "this shows nothing" in calm.sentence


def test_the_deviation_of_one_fold_is_mann_and_whitney_s() -> None:
    values = np.arange(7.0)
    scores = [
        ranked(np.stack([1 - values / 9, values / 9], -1), np.array(label), np.zeros(7, int))
        for label in set(permutations([0, 0, 0, 1, 1, 1, 1]))
    ]
    observed = np.array([score.observed for score in scores])
    assert observed.mean() == pytest.approx(0.5)
    assert observed.std() == pytest.approx(scores[0].sd)
    two = ranked(np.tile([0.5, 0.5], (14, 1)), np.tile([0, 0, 0, 1, 1, 1, 1], 2), np.repeat([0, 1], 7))
    assert two.sd == pytest.approx(scores[0].sd)  # halved by two folds, doubled since each pair is met twice


def test_three_classes_are_compared_two_by_two() -> None:
    label = np.arange(30) % 3
    perfect = ranked(np.eye(3)[label], label, np.zeros(30, int))
    assert perfect.observed == 1.0 and not at_chance("permuted", perfect).passed


def test_patches_agree_above_chance_only_with_a_leak() -> None:
    ones = np.ones(6)
    calm = agreed(101 * ones, 100 * ones, 66 * ones, 300 * ones, folds=1)
    assert calm.chance == pytest.approx(1 / 3) and at_chance("permuted", calm).passed
    assert not at_chance("permuted", agreed(115 * ones, 100 * ones, 66 * ones, 300 * ones, folds=1)).passed


def test_a_planted_signal_has_to_be_found() -> None:
    assert found("planted", auc(6.0, 0)).passed
    lost = found("planted", auc(0.0, 0))
    assert not lost.passed and "do not belong together" in lost.sentence
    assert found("planted", overlapped(np.array([0.8, 0.9, np.nan]))).passed
    assert not found("planted", overlapped(np.array([0.1, 0.2, 0.1]))).passed
    assert not found("planted", overlapped(np.array([np.nan]))).passed  # no prediction at all is not a find


def test_a_score_that_can_t_be_had_is_no_alarm_and_no_proof() -> None:
    one_class = ranked(np.tile([0.5, 0.5], (4, 1)), np.zeros(4, int), np.zeros(4, int))
    calm = at_chance("permuted", one_class)
    assert calm.passed and "this shows nothing" in calm.sentence


def test_permuted_labels_are_the_same_labels():
    labels = [0] * 10 + [1] * 5
    dealt = permuted_labels(labels, 3)
    assert sorted(dealt) == labels and dealt != labels and dealt == permuted_labels(labels, 3)
