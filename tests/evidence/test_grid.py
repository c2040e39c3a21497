"""The grid of a scan's intensities."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.evidence.grid import grid_step, same_step


def scaled(step: float, *, number: int = 300, seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).choice(np.arange(4000), (number, 3))
    return (counts * step).astype(np.float32)


@pytest.mark.parametrize("step", [3256.385, 8.791449571, 0.104695, 1.5e-4])
def test_the_step_is_found_to_single_precision(step):
    assert grid_step(scaled(step)) == pytest.approx(step, rel=3e-8)
    assert grid_step(scaled(step, seed=1) - np.float32(7 * step)) == pytest.approx(step, rel=3e-7)


def test_whole_numbers_interpolated_values_and_masks_have_no_step():
    rng = np.random.default_rng(0)
    for values in (scaled(1.0), scaled(4.0), rng.normal(size=5000), np.array([0.0, 0.37]), np.full(50, np.nan)):
        assert np.isnan(grid_step(values))


def test_pairs_share_a_step_that_few_patients_have():
    step = np.array([2.5, np.nan, 0.7, 2.5 * (1 + 1e-9), 0.7, 0.7, 0.7, 0.7, 9.1, 9.1])
    names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "i"]
    assert [pair[:2] for pair in same_step(step, names)] == [(0, 3)], "0.7 is the scanner's, 9.1 one patient's"
    assert same_step(np.array([2.5, 2.5 * (1 + 2e-5)]), ["a", "b"]) == []
