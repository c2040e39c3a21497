"""Differences by site: the worst one's interval knows that it was picked."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.evidence.interval import cells_of, two_way
from scanprior.evidence.sites import by_site
from scanprior.evidence.statistic import MeanStatistic


def differences(values, site, level=0.95):
    def compare(patients, wanted):
        among = MeanStatistic(np.where(patients, values, np.nan))
        return two_way(cells_of(among), among.stratum, level=wanted).primary

    return by_site(site, compare, level)


def test_one_site_or_none_has_nothing_to_compare():
    values = np.random.default_rng(0).normal(size=(3, 1, 10))
    assert differences(values, ["A"] * 10) == ([], None) == differences(values, [None] * 10)


def test_a_site_too_small_for_an_interval_is_listed_and_has_no_say():
    values = np.random.default_rng(0).normal(size=(3, 1, 21)) + np.r_[[5.0] * 10, [0.0] * 10, -9.0]
    rows, worst = differences(values, ["A"] * 10 + ["B"] * 10 + ["C"])
    assert [row.patients for row in rows] == [10, 10, 1] and "fewer than 2" in rows[2].note
    assert worst is not None and worst.site == "B" and worst.sites == 2


@pytest.mark.parametrize("truth", [(0.0, 0.0, 0.0, 0.0), (0.3, -0.2, 0.4, 0.5)])
def test_the_smallest_difference_is_covered_although_the_worst_is_picked(truth):
    rng, covered, naive = np.random.default_rng(1), 0, 0
    site = [name for name in "ABCD" for _ in range(12)]
    for _ in range(150):
        values = np.repeat(truth, 12) + rng.normal(size=48) + 0.5 * rng.normal(size=(4, 1, 48))
        rows, worst = differences(values, site)
        covered += worst.low <= min(truth) <= worst.high
        picked = min(rows, key=lambda row: row.delta)
        naive += picked.low <= min(truth) <= picked.high
    assert covered >= 0.95 * 150 - 2 * np.sqrt(150 * 0.95 * 0.05)
    if len(set(truth)) == 1:
        assert naive < covered, "the picked site's own interval lies too low"
