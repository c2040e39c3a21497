"""Slices of predicted label maps in a table."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.learning.slices import fullest, pack, unpack


def test_a_slice_comes_back_as_it_was() -> None:
    classes = np.random.default_rng(0).integers(0, 4, (7, 5), dtype=np.uint8)
    assert (unpack(pack(classes.T[::-1].T), (7, 5)) == classes[:, ::-1]).all()
    with pytest.raises(ValueError, match="reshape"):
        unpack(pack(classes), (7, 6))


def test_the_fullest_slice_has_most_foreground() -> None:
    truth = np.zeros((4, 4, 9), np.uint8)
    assert fullest(truth) == 4
    truth[0, 0, 2] = truth[:2, 0, 7] = 2
    assert fullest(truth) == 7
