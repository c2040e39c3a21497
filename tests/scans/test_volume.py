"""Grids: reorientation moves voxels, never values or places; one image has one digest."""

import itertools

import numpy as np
import pytest

from scanprior.scans.refused import Refused
from scanprior.scans.volume import Volume, axes, on_grid_of, to_ras, voxel_digest


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield order, signs


def turned(volume, order, signs):
    """The same image stored with other axes."""
    array = np.transpose(volume.array, order)
    affine = volume.affine.copy()
    affine[:3, :3] = affine[:3, :3][:, order]
    for axis, sign in enumerate(signs):
        if sign < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(array, affine)


@pytest.fixture
def volume():
    array = np.random.default_rng(0).integers(-500, 500, (5, 6, 7)).astype(np.int16)
    angle = 0.2
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [1.0, 1.5, 3.0]
    affine[:3, 3] = [-30, 12, 5]
    return Volume(array, affine)


def test_every_storage_order_comes_back_to_one_ras_image_and_one_digest(volume):
    for order, signs in signed_permutations():
        other = turned(volume, order, signs)
        back = to_ras(other)
        assert np.array_equal(back.array, volume.array)
        assert np.allclose(back.affine, volume.affine)
        assert voxel_digest(other) == voxel_digest(volume)
        assert np.array_equal(on_grid_of(volume, other.shape, other.affine).array, other.array)


def test_the_digest_sees_one_voxel_and_the_shape_but_not_the_number_type(volume):
    assert voxel_digest(Volume(volume.array.astype(np.float64), volume.affine)) == voxel_digest(volume)
    changed = volume.array.copy()
    changed[1, 2, 3] += 1
    assert voxel_digest(Volume(changed, volume.affine)) != voxel_digest(volume)
    assert voxel_digest(Volume(np.zeros((2, 3, 4)), np.eye(4))) != voxel_digest(Volume(np.zeros((4, 3, 2)), np.eye(4)))
    fractions = volume.array + np.float32(0.5)
    assert voxel_digest(Volume(fractions, volume.affine)) != voxel_digest(volume)


def test_spacing_and_axes(volume):
    assert np.allclose(volume.spacing, (1.0, 1.5, 3.0))
    along, direction = axes(turned(volume, (2, 0, 1), (1, -1, 1)).affine)
    assert list(along) == [2, 0, 1]
    assert list(direction) == [1, -1, 1]


def test_a_label_map_of_another_grid_is_refused(volume):
    affine = volume.affine.copy()
    affine[0, 3] += 0.5
    with pytest.raises(Refused, match="grid-mismatch"):
        on_grid_of(volume, volume.shape, affine)
    with pytest.raises(Refused, match="grid-mismatch"):
        on_grid_of(volume, (5, 6, 8), volume.affine)
    affine[0, 3] -= 0.45
    assert np.array_equal(on_grid_of(volume, volume.shape, affine).array, volume.array)
