"""Positions are seeded, legal, balanced, and blind to labels where they must be."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.patches.sampling import NEAR, balanced_positions, uniform_positions

MASK = np.random.default_rng(0).random((20, 20, 20)) < 0.4
LABELS = np.zeros(MASK.shape, np.uint8)
LABELS[2:6, 2:6, 2:6] = 1
LABELS[12:14, 12:14, 12:14] = 2


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_uniform_positions_are_distinct_legal_and_seeded() -> None:
    positions = uniform_positions(MASK, 200, rng())
    assert positions.shape == (200, 3) and len(np.unique(positions, axis=0)) == 200
    assert MASK[tuple(positions.T)].all()
    np.testing.assert_array_equal(positions, uniform_positions(MASK, 200, rng()))
    assert not np.array_equal(positions, uniform_positions(MASK, 200, rng(1)))


def test_uniform_positions_cover_the_mask_evenly() -> None:
    counts = sum(np.bincount(uniform_positions(MASK, 400, rng(seed))[:, 0] // 5, minlength=4) for seed in range(30))
    share = np.array([MASK[5 * slab : 5 * slab + 5].mean() for slab in range(4)])
    np.testing.assert_allclose(counts / counts.sum(), share / share.sum(), atol=0.02)


def test_small_mask_is_used_up_before_a_voxel_comes_again() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 1, :3] = True
    _, counts = np.unique(uniform_positions(mask, 8, rng()), axis=0, return_counts=True)
    assert sorted(counts) == [2, 3, 3]


def test_classes_are_balanced_and_named_rightly() -> None:
    positions, classes = balanced_positions(np.ones_like(MASK), LABELS, 3, 90, rng())
    np.testing.assert_array_equal(np.bincount(classes), [30, 30, 30])
    np.testing.assert_array_equal(LABELS[tuple(positions.T)], classes)


def test_three_quarters_of_the_background_are_near_the_foreground() -> None:
    positions, classes = balanced_positions(np.ones_like(MASK), LABELS, 3, 90, rng())
    background, foreground = positions[classes == 0], np.argwhere(LABELS > 0)
    distance = np.abs(background[:, None] - foreground).sum(-1).min(1)
    assert (distance <= NEAR).sum() == 22


def test_absent_class_gets_nothing_and_forbidden_voxels_are_not_taken() -> None:
    mask = np.ones_like(MASK)
    mask[:10] = False
    positions, classes = balanced_positions(mask, LABELS, 4, 80, rng())
    assert set(classes) == {0, 2} and mask[tuple(positions.T)].all()


def test_empty_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="no voxel"):
        uniform_positions(np.zeros((3, 3, 3), bool), 5, rng())
    with pytest.raises(ValueError, match="no voxel"):
        balanced_positions(np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), int), 2, 5, rng())
