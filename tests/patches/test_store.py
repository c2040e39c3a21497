"""The store gives exactly the voxels around a centre, whatever mix of scans and borders is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanprior.patches import store as module
from scanprior.patches.store import PatchStore

RNG = np.random.default_rng(0)
VOLUMES = [RNG.normal(size=shape).astype(np.float32) for shape in [(7, 9, 8), (5, 5, 5), (12, 6, 9)]]


@pytest.mark.parametrize("size", [(3, 3, 3), (5, 7, 3), (13, 13, 13), (1, 5, 5)])
def test_every_patch_equals_the_padded_slice(size: tuple[int, int, int]) -> None:
    store = PatchStore(VOLUMES, size)
    rows = np.concatenate([np.full(volume.size, row) for row, volume in enumerate(VOLUMES)])
    centres = np.concatenate([np.argwhere(np.ones(volume.shape, bool)) for volume in VOLUMES])
    shuffled = RNG.permutation(len(rows))
    patches = store.gather(rows[shuffled], centres[shuffled])
    assert patches.shape == (len(rows), store.visible) and patches.dtype == np.float32
    half = [side // 2 for side in size]
    padded = [np.pad(volume, [(side, side) for side in half], mode="edge") for volume in VOLUMES]
    for number in range(0, len(rows), 37):
        (i, j, k), row = centres[shuffled[number]], rows[shuffled[number]]
        expected = padded[row][i : i + size[0], j : j + size[1], k : k + size[2]]
        np.testing.assert_array_equal(patches[number], expected.ravel())


@pytest.mark.parametrize("size", [(3, 3, 3), (5, 7, 3), (13, 13, 13), (2, 4, 1)])
def test_a_patch_is_inside_when_no_voxel_of_it_is_padding(size: tuple[int, int, int]) -> None:
    store = PatchStore(VOLUMES, size)
    for row, volume in enumerate(VOLUMES):
        centres = np.argwhere(np.ones(volume.shape, bool))
        marked = np.pad(np.ones(volume.shape), [(side, side) for side in size])
        whole = [
            marked[tuple(slice(c - s // 2 + s, c - s // 2 + 2 * s) for c, s in zip(centre, size, strict=True))].all()
            for centre in centres
        ]
        assert store.inside(np.full(len(centres), row), centres).tolist() == whole


def test_result_is_a_fresh_array() -> None:
    store = PatchStore(VOLUMES, (3, 3, 3))
    first = store.gather(np.array([0]), np.array([[1, 1, 1]]))
    before = first.copy()
    first += 1
    np.testing.assert_array_equal(store.gather(np.array([0]), np.array([[1, 1, 1]])), before)


def test_centres_outside_are_refused() -> None:
    store = PatchStore(VOLUMES, (3, 3, 3))
    for centre in ([7, 0, 0], [-1, 0, 0], [0, 9, 0]):
        with pytest.raises(IndexError, match="outside"):
            store.gather(np.array([0]), np.array([centre]))


def test_box_holds_the_patches_of_its_corners() -> None:
    store = PatchStore(VOLUMES, (3, 5, 3))
    low, high = np.array([2, 1, 3]), np.array([9, 4, 7])
    box = store.box(2, low, high)
    assert box.shape == (10, 8, 7)
    np.testing.assert_array_equal(box[:3, :5, :3].ravel(), store.gather(np.array([2]), low[None])[0])
    np.testing.assert_array_equal(box[-3:, -5:, -3:].ravel(), store.gather(np.array([2]), high[None])[0])


def test_big_stores_page_from_disk_with_the_same_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, centres = np.array([0, 1, 2]), np.array([[1, 2, 3], [4, 4, 4], [11, 0, 8]])
    expected = PatchStore(VOLUMES, (5, 5, 5)).gather(rows, centres)
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    np.testing.assert_array_equal(PatchStore(VOLUMES, (5, 5, 5)).gather(rows, centres), expected)


def test_opens_prepared_files(tmp_path: Path) -> None:
    files = []
    for number, volume in enumerate(VOLUMES):
        np.save(tmp_path / f"{number}.image.npy", volume)
        files.append(tmp_path / f"{number}.image.npy")
    patch = PatchStore.open(files, (3, 3, 3)).gather(np.array([1]), np.array([[2, 2, 2]]))
    np.testing.assert_array_equal(patch[0], VOLUMES[1][1:4, 1:4, 1:4].ravel())
