"""Reorientation moves no voxel in the world, resampling keeps the field of view, and nothing happens without need."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from scanprior.patches.resampling import resample, to_ras

RNG = np.random.default_rng(0)
ARRAY = RNG.normal(size=(5, 6, 7)).astype(np.float32)


def affine(spacing: tuple[float, float, float], order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    matrix = np.zeros((4, 4))
    for axis in range(3):
        matrix[order[axis], axis] = signs[axis] * spacing[axis]
    matrix[:3, 3], matrix[3, 3] = (3.0, -4.0, 5.5), 1
    return matrix


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_every_voxel_keeps_its_place_in_the_world(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    old = affine((1.0, 2.0, 3.0), order, signs)
    new = to_ras(ARRAY, old)
    assert (np.diag(new.affine)[:3] > 0).all()
    place = {tuple(np.round(old[:3, :3] @ ijk + old[:3, 3], 6)): ARRAY[ijk] for ijk in np.ndindex(ARRAY.shape)}
    for ijk in np.ndindex(new.array.shape):
        assert place[tuple(np.round(new.affine[:3, :3] @ ijk + new.affine[:3, 3], 6))] == new.array[ijk]


def test_oblique_axes_go_to_the_nearest_direction_once_each() -> None:
    angle = np.deg2rad(44)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    np.testing.assert_array_equal(to_ras(ARRAY, matrix).array, ARRAY)


def test_singular_affine_is_refused() -> None:
    with pytest.raises(ValueError, match="singular"):
        to_ras(ARRAY, np.diag([1.0, 0.0, 1.0, 1.0]))


def test_same_spacing_is_the_identity_bit_for_bit() -> None:
    matrix = affine((1.0, 1.0, 1.0002), (0, 1, 2), (1, 1, 1))
    grid = resample(ARRAY, matrix, (1.0, 1.0, 1.0))
    assert grid.array is ARRAY and grid.affine is matrix


def test_linear_ramp_stays_a_ramp_in_the_world() -> None:
    matrix = affine((2.0, 2.0, 3.0), (0, 1, 2), (1, 1, 1))
    world = lambda m, shape: np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ m[:3, :3].T + m[:3, 3]  # noqa: E731
    ramp = world(matrix, (12, 12, 12)) @ [0.5, -1.0, 2.0]
    grid = resample(ramp.astype(np.float32), matrix, (1.0, 1.5, 1.0))
    assert grid.array.shape == (24, 16, 36)
    expected = world(grid.affine, grid.array.shape) @ [0.5, -1.0, 2.0]
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(grid.array[inner], expected[inner], atol=1e-3)


def test_nearest_neighbour_invents_no_label() -> None:
    labels = RNG.integers(0, 2, (9, 9, 9)).astype(np.uint8) * 7
    grid = resample(labels, affine((2.0, 2.0, 2.0), (0, 1, 2), (1, 1, 1)), (1.3, 1.3, 1.3), nearest=True)
    assert set(np.unique(grid.array)) == {0, 7} and grid.array.dtype == np.uint8
