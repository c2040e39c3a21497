"""The corrected resampled t by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scanprior.evidence.resampled_t import corrected_t


def test_by_hand():
    found = corrected_t(np.array([0.1, 0.2, 0.3, np.nan]), tested=12, trained=24)
    assert found.estimate == pytest.approx(0.2)
    assert found.se == pytest.approx(0.1 * np.sqrt(1 / 3 + 0.5))
    assert found.p == pytest.approx(2 * stats.t.sf(0.2 / found.se, 2))
    assert (found.low + found.high) / 2 == pytest.approx(0.2)


def test_five_by_five_folds_are_understated_nearly_threefold_without_the_correction():
    runs = np.random.default_rng(0).normal(size=25)
    naive = runs.std(ddof=1) / 5
    assert corrected_t(runs, tested=20, trained=80).se / naive == pytest.approx(np.sqrt(25 * (1 / 25 + 0.25)))


@pytest.mark.parametrize("runs", [[], [0.3], [0.3, 0.3], [np.nan, 0.1]])
def test_too_little_says_nothing(runs):
    assert np.isnan(corrected_t(np.array(runs, dtype=float), tested=1, trained=2).p)
