"""Dice by hand, with the empty cases."""

from __future__ import annotations

import numpy as np

from scanprior.learning.overlap import dice


def test_dice_by_hand() -> None:
    truth = np.array([0, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(dice(np.array([1, 1, 0, 2, 2, 0]), truth, 3), [2 / 4, 4 / 5])


def test_empty_against_empty_is_one_and_against_something_zero() -> None:
    np.testing.assert_array_equal(dice(np.array([0, 1]), np.array([0, 0]), 3), [0.0, 1.0])
