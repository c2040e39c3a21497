"""Power by hand, against simulated verdicts, and what would decide an open one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scanprior.evidence.power import (
    MOST_PATIENTS,
    Spread,
    auc_spread,
    chances,
    detectable,
    half_width,
    patients_needed,
    spread_of,
)
from scanprior.evidence.verdict import judge


def test_half_width_of_many_draws_is_the_t_interval():
    half, se = half_width(Spread(0.06, 0.0), 30, 10)
    assert se == pytest.approx(0.06 / np.sqrt(30)) and half == pytest.approx(stats.t.ppf(0.975, 29) * se, rel=0.01)


def test_detectable_dice_gain_agrees_with_the_table_of_the_field():
    """shared/PEERS.md 5.5, Dice, SD .03/.06/.10: n=30 .016/.032/.053, n=100 .008/.017/.028 (no draw effect)."""
    for patients, gains in {30: (0.016, 0.032, 0.053), 100: (0.008, 0.017, 0.028)}.items():
        found = [detectable(Spread(sd, 0.0), patients, 10, margin=0.005) for sd in (0.03, 0.06, 0.10)]
        np.testing.assert_allclose(found, gains, rtol=0.06)


def test_detectable_auc_gain_agrees_with_the_table_of_the_field():
    """shared/PEERS.md 5.5, from .75, correlation .6/.8: n=100 .12/.09."""
    found = [detectable(Spread(auc_spread(0.75, r, 50, 50), 0.0), 100, 10, margin=0.02) for r in (0.6, 0.8)]
    np.testing.assert_allclose(found, (0.12, 0.09), atol=0.01)


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.3), st.floats(0, 0.05), st.integers(2, 300), st.integers(1, 20))
def test_chances_add_to_one(effect, by_patients, by_draws, patients, draws):
    found = chances(effect, Spread(by_patients, by_draws), patients, draws, margin=0.02)
    assert sum(found) == pytest.approx(1.0) and min(found) >= 0


def test_chances_agree_with_simulated_verdicts():
    rng, spread, margin = np.random.default_rng(0), Spread(0.05, 0.01), 0.02
    half, se = half_width(spread, 60, 5)
    for effect in (0.0, 0.015, 0.03):
        estimates = effect + se * rng.normal(size=20_000)
        verdicts = [judge(x - half, x + half, margin) for x in estimates]
        found = chances(effect, spread, 60, 5, margin=margin)
        for name in ("helps", "harms", "equivalent", "inconclusive"):
            assert verdicts.count(name) / 20_000 == pytest.approx(getattr(found, name), abs=0.012)


def test_patients_that_decide_are_the_fewest_that_do():
    spread = Spread(0.1, 0.0)
    needed = patients_needed(0.03, spread, 30, 5, margin=0.02)
    assert needed is not None and needed.draws == 5
    assert chances(0.03, spread, needed.patients, 5, margin=0.02).inconclusive <= 0.2
    assert chances(0.03, spread, needed.patients - 1, 5, margin=0.02).inconclusive > 0.2


def test_when_draws_are_the_trouble_more_draws_are_asked_for():
    needed = patients_needed(0.0, Spread(0.05, 0.05), 60, 3, margin=0.05)
    assert needed is not None and needed.draws > 3
    assert patients_needed(0.0, Spread(0.05, 0.5), 60, 3, margin=0.05) is None


def test_no_answer_beyond_the_bound():
    assert patients_needed(0.0, Spread(30.0, 0.0), 60, 5, margin=0.01) is None and MOST_PATIENTS >= 10_000


def test_the_spread_behind_an_interval_is_found_again():
    spread, patients, draws = Spread(0.05, 0.02, 0.08), 40, 5
    noise = spread.noise**2 / (patients * draws)
    found = spread_of(
        np.sqrt(spread.patients**2 / patients + noise),
        np.sqrt(spread.draws**2 / draws + noise),
        np.sqrt(noise),
        patients,
        draws,
    )
    np.testing.assert_allclose(found, spread)
