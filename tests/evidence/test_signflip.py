"""The patient-level test: exact cases by hand, right size without a difference, Holm by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from scanprior.evidence.metrics import contests, placements
from scanprior.evidence.signflip import holm, patient_means, signflip


def test_all_on_one_side_is_two_in_all_swaps():
    assert signflip(np.array([1.0, 2.0, 3.0, 4.0]), seed=0) == pytest.approx(2 / 16)


def test_exact_p_agrees_with_a_plain_loop():
    values = np.random.default_rng(0).normal(size=9) + 0.4
    swaps = [abs(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=9)]
    assert signflip(values, seed=0) == pytest.approx(np.mean(np.array(swaps) >= abs(values.sum()) - 1e-12))


def test_random_swaps_agree_with_exact_ones():
    values = np.random.default_rng(1).normal(size=14) + 0.3
    exact = signflip(values, seed=0)
    padded = np.concatenate([values, np.full(4, np.nan)])  # missing patients don't count
    assert signflip(padded, seed=0) == exact
    more = np.concatenate([values, [0.0, 0.0]])  # 16 rows: random swaps, the same distribution
    assert signflip(more, seed=0) == pytest.approx(exact, abs=0.01)


def test_no_difference_at_all_has_no_p():
    assert np.isnan(signflip(np.zeros(10), seed=0)) and np.isnan(signflip(np.full(3, np.nan), seed=0))


@pytest.mark.parametrize("auc", [False, True])
def test_rejects_at_its_level_without_a_difference(auc):
    rng = np.random.default_rng(5)
    label, fold, rejected = np.arange(40) % 2, np.zeros((1, 40), int), 0
    for number in range(150):
        if auc:
            common = rng.normal(size=40) + label
            placed = []
            for _ in range(2):
                p = 1 / (1 + np.exp(-(common + 0.7 * rng.normal(size=40))))
                placed.append(placements(contests(np.stack([1 - p, p], -1)[None, None], label, fold), 40)[0, 0])
            rejected += signflip(placed[0] - placed[1], seed=number, stratum=label) <= 0.05
        else:
            rejected += signflip(rng.normal(size=40), seed=number) <= 0.05
    assert 0 < rejected <= 0.05 * 150 + 3 * np.sqrt(150 * 0.05 * 0.95)


def test_a_patients_mean_leaves_out_what_is_missing():
    values = np.array([[[1.0, np.nan], [3.0, np.nan]], [[np.nan, np.nan], [5.0, np.nan]]])
    np.testing.assert_allclose(patient_means(values), [3.0, np.nan])


def test_holm_by_hand():
    adjusted = holm([0.01, 0.04, float("nan"), 0.03])
    assert (
        adjusted[0] == pytest.approx(0.03) and adjusted[1] == pytest.approx(0.06) and adjusted[3] == pytest.approx(0.06)
    )
    assert np.isnan(adjusted[2])
