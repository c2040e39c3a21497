"""The interval over patients and draws against random numbers, against theory, and in every degenerate case."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scanprior.evidence.interval import HIDDEN_SKEWNESS, cells_of, patient_moments, two_way
from scanprior.evidence.metrics import contests
from scanprior.evidence.statistic import MeanStatistic, PairStatistic


def infer(values: np.ndarray):
    statistic = MeanStatistic(values)
    return two_way(cells_of(statistic), statistic.stratum)


def reference(values: np.ndarray, draws_effects: int = 400_000, level: float = 0.95) -> tuple[float, float]:
    """The docstring of interval.py with random numbers, for complete values (draws, budgets, patients)."""
    draws, _, patients = values.shape
    rng = np.random.default_rng(0)
    by_patient = values.mean((0, 1))
    centre, se = by_patient.mean(), by_patient.std(ddof=1) / np.sqrt(patients)
    se_draws = values.mean((1, 2)).std(ddof=1) / np.sqrt(draws)
    skew = np.sum((by_patient - centre) ** 3) / patients**3 / se**3
    t, noise = rng.standard_t(patients - 1, draws_effects), rng.standard_t(draws - 1, draws_effects) * se_draws
    both = [centre - t * se - noise, centre - (t - HIDDEN_SKEWNESS * skew / 6 * (2 * t**2 + 1)) * se - noise]
    edges = [np.quantile(one, [(1 - level) / 2, (1 + level) / 2]) for one in both]
    return min(e[0] for e in edges), max(e[1] for e in edges)


@pytest.mark.parametrize("draws", [2, 4])
def test_agrees_with_random_numbers(draws):
    rng = np.random.default_rng(4)
    values = rng.exponential(size=25) + rng.normal(size=(draws, 1, 1)) * 0.1 + rng.normal(size=(draws, 3, 25))
    primary = infer(values).primary
    assert (primary.low, primary.high) == pytest.approx(reference(values), rel=0.02)
    assert primary.estimate == pytest.approx(values.mean()) and (primary.patients, primary.draws) == (25, draws)


def test_a_long_tail_lengthens_its_own_side_only():
    values = np.random.default_rng(1).gamma(0.7, size=40)[None, None].repeat(3, 0)
    primary = infer(values).primary
    half = stats.t.ppf(0.975, 39) * values[0, 0].std(ddof=1) / np.sqrt(40)
    assert primary.skewness > 1 and primary.high - primary.estimate > 1.15 * half
    assert primary.estimate - primary.low == pytest.approx(half, rel=0.01)
    turned = infer(-values).primary
    assert (turned.low, turned.high) == pytest.approx((-primary.high, -primary.low))


def test_symmetric_data_give_nearly_the_t_interval():
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)[None, None].repeat(3, 0) + 5.0
    primary = infer(values).primary
    half = stats.t.ppf(0.975, 199) * values[0, 0].std(ddof=1) / np.sqrt(200)
    assert primary.high - 5 == pytest.approx(half, rel=0.005) and 5 - primary.low == pytest.approx(half, rel=0.005)
    assert primary.se_draws == pytest.approx(0, abs=1e-12)


def test_draws_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    calm = rng.normal(size=(1, 1, 40)).repeat(5, 0)
    wild = calm + np.array([-1, -0.5, 0, 0.5, 1])[:, None, None]
    assert infer(wild).primary.estimate == pytest.approx(infer(calm).primary.estimate)
    width = [infer(values).primary.high - infer(values).primary.low for values in (calm, wild)]
    assert width[1] > 1.5 * width[0]


def test_one_draw_gives_no_interval_and_says_why():
    primary = infer(np.random.default_rng(0).normal(size=(1, 2, 30))).primary
    assert np.isfinite(primary.estimate) and np.isnan([primary.low, primary.high]).all()
    assert "says nothing about other choices of labelled patients" in primary.note


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (np.zeros((3, 2, 20)), "same value"),
        (np.full((3, 2, 20), np.nan), "no scores"),
        (np.ones((3, 2, 1)), "fewer than 2"),
    ],
)
def test_what_says_nothing_has_no_interval(values, note):
    primary = infer(values).primary
    assert np.isnan(primary.low) and np.isnan(primary.high) and note in primary.note


def test_missing_patients_draws_and_budgets_are_left_out_and_noted():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 3, 30))
    values[:, :, 5] = np.nan  # a patient quarantined after the split
    values[2] = np.nan  # a draw that is not there
    values[:, 1] = np.nan  # a budget that is not there
    primary, budgets = infer(values)
    assert (primary.patients, primary.draws) == (29, 3)
    assert primary.estimate == pytest.approx(np.nanmean(values)) and "1 of 3 budgets" in primary.note
    assert np.isnan(budgets[1].estimate) and budgets[0].draws == 3


def test_a_draw_that_lacks_one_budget_does_not_shift_the_mean():
    values = np.random.default_rng(3).normal(size=(4, 2, 30)) + np.array([0.0, 5.0])[None, :, None]
    values[0, 1] = np.nan
    primary = infer(values).primary
    assert primary.estimate == pytest.approx(np.mean([np.nanmean(values[:, 0]), np.nanmean(values[:, 1])]))
    assert "some draws lack a budget" in primary.note


def test_equal_data_give_equal_bits_in_any_order_of_draws():
    values = np.random.default_rng(5).normal(size=(3, 2, 20))
    assert infer(values) == infer(values.copy())
    one, other = infer(values).primary, infer(values[::-1]).primary
    assert (one.low, one.high, one.p) == pytest.approx((other.low, other.high, other.p))


def test_p_agrees_with_the_interval():
    rng = np.random.default_rng(6)
    for shift in (0.0, 0.3, 0.6, 1.2):
        primary = infer(rng.normal(size=(5, 1, 30)) * 0.2 + rng.normal(size=30) + shift).primary
        assert (primary.p < 0.05) == (primary.low > 0 or primary.high < 0)


def pair_statistic(rng, draws=3, budgets=2, patients=40, folds=1):
    label = np.arange(patients) % 2
    fold = np.stack([rng.permutation(np.repeat(np.arange(patients // 2) % folds, 2)) for _ in range(draws)])
    x = label * 0.9 + rng.normal(size=(draws, budgets, patients))
    p = 1 / (1 + np.exp(-x))
    return PairStatistic(contests(np.stack([1 - p, p], -1), label, fold), patients), p, label, fold


@pytest.mark.parametrize("folds", [1, 2])
def test_weighted_auc_agrees_with_repeating_the_patients(folds):
    statistic, p, label, fold = pair_statistic(np.random.default_rng(0), folds=folds)
    rng, counts = np.random.default_rng(1), np.zeros((5, 40), dtype=np.int64)
    for kind in (0, 1):
        counts[:, label == kind] = rng.multinomial(20, np.full(20, 1 / 20), size=5)
    cells = statistic.cells(counts.astype(float))
    for number, weights in enumerate(counts):
        rows = np.repeat(np.arange(len(label)), weights)
        for draw in range(3):
            won = pairs = 0.0
            for i in rows[label[rows] == 1]:
                for j in rows[label[rows] == 0]:
                    if fold[draw, i] == fold[draw, j]:
                        pairs += 1
                        won += p[draw, 1, i] > p[draw, 1, j]
            assert cells[number, draw, 1] == pytest.approx(won / pairs)


def test_influence_of_the_auc_is_its_derivative_and_gives_delongs_variance():
    statistic, p, label, _ = pair_statistic(np.random.default_rng(2), draws=1, budgets=1)
    unit, step = np.ones(40), 1e-6
    influence = statistic.influence()[0, 0]
    base = statistic.cells(unit[None])[0, 0, 0]
    for row in range(40):
        weights = unit.copy()
        weights[row] += step
        assert (statistic.cells(weights[None])[0, 0, 0] - base) / step * 40 == pytest.approx(influence[row], abs=1e-4)
    x, y = p[0, 0, label == 1], p[0, 0, label == 0]
    won = x[:, None] > y
    delong = won.mean(1).var(ddof=1) / 20 + won.mean(0).var(ddof=1) / 20
    assert sorted(np.bincount(statistic.stratum)) == [20, 20], "classes are strata"
    assert patient_moments(influence, statistic.stratum)[0] == pytest.approx(delong)


def test_covers_a_known_truth():
    """Quick look; the table in docs/explanation/validation.md is benchmarks/evidence/coverage.py."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        values = rng.normal(size=30) + rng.normal(size=(5, 1, 1)) * 0.2 + rng.normal(size=(5, 2, 30)) * 0.7
        primary = infer(values).primary
        hits += primary.low <= 0 <= primary.high
    assert hits >= 0.94 * 200 - 2 * np.sqrt(200 * 0.95 * 0.05)
