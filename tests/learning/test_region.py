"""The region for dense prediction: near the training labels, aligned at volume centres, shrinking as maps add up."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.learning.region import dilation, region, union


def label(shape: tuple[int, int, int], *voxels: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    for voxel in voxels:
        array[voxel] = 2
    return array


@pytest.mark.parametrize(("maps", "expected"), [(1, 5), (2, 4), (4, 3), (8, 2), (16, 1), (60, 1)])
def test_dilation_shrinks_with_every_doubling(maps: int, expected: int) -> None:
    assert dilation(3, maps) == expected
    assert dilation(0, maps) == 0


def test_region_is_the_dilated_union_where_centres_are_allowed() -> None:
    maps = [label((9, 9, 9), (4, 4, 4)), label((9, 9, 9), (4, 4, 6))]
    inside = np.zeros((9, 9, 9), bool)
    inside[tuple(region(union(maps, 0), np.ones((9, 9, 9), bool)).T)] = True
    np.testing.assert_array_equal(np.argwhere(inside), [[4, 4, 4], [4, 4, 6]])
    grown = region(union(maps * 2, 1), np.ones((9, 9, 9), bool))
    assert len(grown) == 7 + 7 - 1  # two crosses that share a voxel
    centres = np.ones((9, 9, 9), bool)
    centres[:5] = False
    assert (region(union(maps * 2, 1), centres)[:, 0] == 5).all()


def test_volumes_of_other_sizes_are_aligned_at_their_centres() -> None:
    together = union([label((9, 9, 9), (4, 4, 4)), label((13, 5, 7), (6, 2, 3))], 0)
    for shape in [(5, 5, 5), (9, 9, 9), (21, 3, 15)]:
        np.testing.assert_array_equal(region(together, np.ones(shape, bool)), [[side // 2 for side in shape]])


def test_labels_near_the_edge_do_not_wrap_around() -> None:
    voxels = region(union([label((5, 5, 5), (0, 2, 2))], 3), np.ones((5, 5, 5), bool))
    assert len(np.unique(voxels, axis=0)) == len(voxels)
    assert np.abs(voxels - [0, 2, 2]).sum(1).max() <= dilation(3, 1)
