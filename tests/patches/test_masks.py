"""The body is found in heads and in crops without air; patches stay away from what defacing removed."""

from __future__ import annotations

import numpy as np

from scanprior.patches.masks import allowed_mask, body_mask, centres_mask

GRID = np.stack(np.meshgrid(*[np.arange(30)] * 3, indexing="ij"), -1)
BALL = ((GRID - 15) ** 2).sum(-1) <= 100


def test_head_in_air_is_separated_from_it() -> None:
    rng = np.random.default_rng(0)
    image = np.where(BALL, rng.normal(100, 20, BALL.shape), np.abs(rng.normal(0, 2, BALL.shape)))
    body = body_mask(image)
    assert (body & BALL).sum() / BALL.sum() > 0.99
    assert (body & ~BALL).sum() / BALL.sum() < 0.05


def test_dark_cavity_inside_the_body_stays_body() -> None:
    image = np.where(BALL, 100.0, 0.0)
    image[13:17, 13:17, 13:17] = 0
    assert body_mask(image)[15, 15, 15]


def test_small_bright_piece_beside_the_body_is_left_out() -> None:
    image = np.where(BALL, 100.0, 0.0)
    image[0:2, 0:2, 0:2] = 100
    assert not body_mask(image)[0, 0, 0]


def test_crop_without_air_is_all_body() -> None:
    image = np.random.default_rng(1).normal(100, 15, (20, 25, 18))
    assert body_mask(image).mean() > 0.98


def test_air_of_a_ct_is_not_body() -> None:
    image = np.where(BALL, 40.0, -1000.0)
    np.testing.assert_array_equal(body_mask(image), BALL)


def test_tiny_binary_shape_is_its_own_body() -> None:
    image = np.zeros((40, 40, 40))
    image[10:13, 10:14, 10:13] = 1
    np.testing.assert_array_equal(body_mask(image), image > 0)


def test_removed_voxels_are_not_allowed_and_no_patch_touches_them() -> None:
    body = np.ones((12, 12, 12), bool)
    removed = np.zeros_like(body)
    removed[0, :, :] = True
    allowed = allowed_mask(body, removed)
    assert not allowed[0].any() and allowed[1:].all()
    centres = centres_mask(allowed, removed, (5, 3, 3))
    assert not centres[:3].any() and centres[3:].all()  # half of 5 is 2: centres 1 and 2 would touch plane 0
    np.testing.assert_array_equal(centres_mask(body, None, (5, 3, 3)), body)
