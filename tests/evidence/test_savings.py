"""The label multiplier: known shifts are found, ends are marked, and k = 1 is excluded when the difference is."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.evidence.interval import cells_of, two_way
from scanprior.evidence.savings import label_multiplier, multipliers
from scanprior.evidence.statistic import MeanStatistic

BUDGETS = (2, 4, 8, 16, 32)


def arms(k: float, *, slope: float = 0.1, noise: float = 0.02, patients: int = 40, draws: int = 5, seed: int = 0):
    """Scores that rise by `slope` per doubling; the first arm is worth k times the labels."""
    rng = np.random.default_rng(seed)
    x = np.log2(BUDGETS)
    common = rng.normal(size=patients) * 0.1
    found = []
    for factor in (k, 1.0):
        curve = slope * (x + np.log2(factor))
        values = curve[None, :, None] + common + noise * rng.normal(size=(draws, len(x), patients))
        found.append(MeanStatistic(values))
    return found


def pooled(one, other, budgets=BUDGETS):
    return label_multiplier(cells_of(one), cells_of(other), budgets, one.stratum)


@pytest.mark.parametrize("k", [0.5, 1.0, 2.0, 4.0])
def test_a_known_shift_is_found(k):
    found = pooled(*arms(k))
    assert found is not None
    assert found.estimate == pytest.approx(k, rel=0.1) and found.low <= k <= found.high and found.censored == ()


def test_a_shift_beyond_the_range_is_at_least_its_end():
    found = pooled(*arms(64.0))
    assert found is not None
    assert {"at least", "high"} <= set(found.censored) and found.estimate == pytest.approx(16**0.75)
    found = pooled(*arms(1 / 64))
    assert found is not None and {"at most", "low"} <= set(found.censored)


def test_flat_curves_determine_nothing():
    found = pooled(*arms(2.0, slope=0.0, noise=0.3))
    assert found is not None and {"low", "high"} <= set(found.censored)


def test_one_is_excluded_when_and_only_when_the_mean_difference_excludes_zero():
    """Fieller's duality, on the same weights over budgets that the shift 0 uses (a trapezoid over log labels)."""
    for seed in range(12):
        one, other = arms(1.15, noise=0.3, seed=seed, patients=30)
        found = pooled(one, other)
        cells = cells_of(one).minus(cells_of(other))
        shares = np.array([0.5, 1, 1, 1, 0.5]) * 5 / 4  # two_way takes the plain mean
        weighted = cells._replace(observed=cells.observed * shares, influence=cells.influence * shares[:, None])
        primary = two_way(weighted, one.stratum).primary
        assert found is not None
        assert (found.low > 1) == (primary.low > 0) and (found.high < 1) == (primary.high < 0)


def test_missing_budgets_are_left_out_and_one_is_not_enough():
    one, other = arms(2.0)
    one.values[:, 1] = np.nan
    found = pooled(one, other)
    assert found is not None and found.estimate == pytest.approx(2.0, rel=0.1)
    one.values[:, 1:] = np.nan
    assert pooled(one, other) is None


def test_at_each_budget_by_hand():
    other = np.array([0.5, 0.6, 0.7])
    found = multipliers(np.array([0.6, 0.8, 0.4]), other, (2, 4, 8))
    assert found[0].estimate == pytest.approx(2.0) and found[0].censored == ()
    assert found[1].estimate == pytest.approx(2.0) and found[1].censored == ("at least",)
    assert found[2].estimate == pytest.approx(0.25) and found[2].censored == ("at most",)


def test_a_curve_that_dips_is_made_rising_and_gaps_stay_unknown():
    found = multipliers(np.array([0.62, np.nan, 0.65]), np.array([0.5, 0.7, 0.6]), (2, 4, 8))
    assert 1.0 < found[0].estimate < 4.0 and np.isnan(found[1].estimate)
    assert np.isnan(multipliers(np.array([0.5]), np.array([0.5]), (2,))[0].estimate)
