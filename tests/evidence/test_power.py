"""Power by hand, against simulated verdicts, and what would decide an open one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scanprior.evidence.interval import cells_of, two_way
from scanprior.evidence.power import (
    MOST_PATIENTS,
    Spread,
    auc_spread,
    chances,
    detectable,
    patients_needed,
    simulated,
    spread_of,
)
from scanprior.evidence.statistic import MeanStatistic
from scanprior.evidence.verdict import judge


def test_without_draws_and_skewness_the_power_is_a_little_below_that_of_a_t_test():
    """The price of being cautious about a skewness that isn't there."""
    for effect in (0.02, 0.03):
        found = chances(effect, Spread(0.06, 0.0), 30, 10, margin=1e-9).helps
        bar, shift = stats.t.ppf(0.975, 29), effect / 0.06 * np.sqrt(30)
        assert 0.0 < float(stats.nct.sf(bar, 29, shift)) - found < 0.06


def test_simulated_studies_have_the_spread_that_was_asked_for():
    spread, patients, draws = Spread(0.05, 0.02, 0.1, -1.0), 50, 4
    found = simulated(spread, patients, draws)
    middle = (found.low + found.high) / 2
    se = np.sqrt(spread.patients**2 / patients + spread.draws**2 / draws + spread.noise**2 / (patients * draws))
    assert np.std(middle) == pytest.approx(se, rel=0.1) and 0.94 < np.mean((found.low < 0) & (found.high > 0)) < 0.99
    large = simulated(spread, 4000, draws)
    assert np.std(large.low) == pytest.approx(0.02 / np.sqrt(draws), rel=1.0)
    assert chances(0.1, spread, 1, 5, margin=0.02) == (0, 0, 0, 1) == chances(0.1, Spread(0, 0.1), 50, 5, margin=0.02)


def test_detectable_dice_gain_agrees_with_the_table_of_the_field():
    """Dice, SD .03/.06/.10: n=30 .016/.032/.053, n=100 .008/.017/.028 (no draw effect)."""
    for patients, gains in {30: (0.016, 0.032, 0.053), 100: (0.008, 0.017, 0.028)}.items():
        found = [detectable(Spread(sd, 0.0), patients, 10, margin=0.005) for sd in (0.03, 0.06, 0.10)]
        # the table has two digits, and is that of a plain t test: caution about skewness costs up to 7 % with 30 patients
        assert (np.array(found) > np.array(gains) - 0.0005).all()
        assert (np.array(found) < np.array(gains) * 1.07 + 0.0005).all()


def test_detectable_auc_gain_agrees_with_the_table_of_the_field():
    """From .75, correlation .6/.8: n=100 .12/.09."""
    found = [detectable(Spread(auc_spread(0.75, r, 50, 50), 0.0), 100, 10, margin=0.02) for r in (0.6, 0.8)]
    np.testing.assert_allclose(found, (0.12, 0.09), atol=0.01)


def test_one_draw_can_show_nothing():
    assert chances(0.5, Spread(0.01, 0.0), 100, 1, margin=0.02) == (0, 0, 0, 1)
    assert detectable(Spread(0.01, 0.0), 100, 1, margin=0.02) == np.inf


@settings(deadline=None, max_examples=15)
@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.3), st.floats(0, 0.05), st.integers(2, 300), st.integers(1, 20))
def test_chances_add_to_one(effect, by_patients, by_draws, patients, draws):
    found = chances(effect, Spread(by_patients, by_draws), patients, draws, margin=0.02)
    assert sum(found) == pytest.approx(1.0) and min(found) >= 0


def test_chances_agree_with_the_verdicts_of_whole_studies():
    """Every cell of a study drawn, and judged as evaluate does it: the short cut through marginal means holds."""
    rng, spread, margin = np.random.default_rng(0), Spread(0.05, 0.01, 0.08), 0.02
    edges = []
    for _ in range(400):
        values = spread.patients * rng.normal(size=40) + spread.draws * rng.normal(size=(3, 1, 1))
        statistic = MeanStatistic(values + spread.noise * rng.normal(size=(3, 1, 40)))
        edges.append(two_way(cells_of(statistic), statistic.stratum).primary)
    for effect in (0.0, 0.03):
        verdicts = [judge(one.low + effect, one.high + effect, margin) for one in edges]
        found = chances(effect, spread, 40, 3, margin=margin)
        for name in ("helps", "harms", "equivalent", "inconclusive"):
            assert verdicts.count(name) / 400 == pytest.approx(getattr(found, name), abs=0.07)


def test_patients_that_decide_are_about_the_fewest_that_do():
    spread = Spread(0.1, 0.0)
    needed = patients_needed(0.03, spread, 30, 5, margin=0.02)
    assert needed is not None and needed.draws == 5
    assert chances(0.03, spread, needed.patients, 5, margin=0.02).inconclusive <= 0.2
    assert chances(0.03, spread, int(0.6 * needed.patients), 5, margin=0.02).inconclusive > 0.2


def test_when_draws_are_the_trouble_more_draws_are_asked_for():
    needed = patients_needed(0.0, Spread(0.05, 0.05), 60, 3, margin=0.05)
    assert needed is not None and needed.draws > 3
    assert patients_needed(0.0, Spread(0.05, 0.5), 60, 3, margin=0.05) is None


def test_no_answer_beyond_the_bound():
    assert patients_needed(0.0, Spread(30.0, 0.0), 60, 5, margin=0.01) is None and MOST_PATIENTS >= 10_000


def test_the_spread_behind_an_interval_is_found_again():
    spread, patients, draws = Spread(0.05, 0.02, 0.08, -0.9), 40, 5
    noise = spread.noise**2 / (patients * draws)
    found = spread_of(
        np.sqrt(spread.patients**2 / patients + noise),
        np.sqrt(spread.draws**2 / draws + noise),
        np.sqrt(noise),
        -0.9 * (spread.patients**2 / (spread.patients**2 + spread.noise**2 / draws)) ** 1.5,
        patients,
        draws,
    )
    np.testing.assert_allclose(found, spread)
