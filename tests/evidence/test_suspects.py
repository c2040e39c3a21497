"""Copies are proof, likeness is doubt, strangers are left alone; one person of two hippocampi is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from scanprior.evidence.grid import grid_step
from scanprior.evidence.likeness import find_copy, thumbnail
from scanprior.evidence.suspects import Scan, as_bright, brightness, suspects

NAN = float("nan")


def volumes(number: int = 12, side: int = 20, seed: int = 0) -> list[np.ndarray]:
    """Strangers with a common anatomy, cut to different sizes."""
    rng = np.random.default_rng(seed)
    shared = ndimage.gaussian_filter(rng.normal(size=(side,) * 3), 3)
    found = []
    for _ in range(number):
        own = ndimage.gaussian_filter(rng.normal(size=(side,) * 3), 2)
        noisy = shared / shared.std() + own / own.std() + 0.1 * rng.normal(size=(side,) * 3)
        found.append(noisy[tuple(slice(a, side - b) for a, b in rng.integers(0, 3, (3, 2)))])
    return found


def names(number: int) -> list[Scan]:
    return [Scan(f"P-{i:02}", NAN, NAN) for i in range(number)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.copy(), "the same voxels"),
        (lambda v: v[::-1], "mirrored along i"),
        (lambda v: v[:, ::-1, ::-1], "mirrored along j, k"),
        (lambda v: 3 * v[2:, :-3, 1:] + 5, "shifted by"),
    ],
)
def test_a_copy_under_another_patient_is_proof(change, words):
    cohort = volumes()
    cohort[3] = change(cohort[0])
    found = [leak for leak in suspects(names(12), cohort.__getitem__) if leak.proof]
    assert [leak.patients for leak in found] == [("P-00", "P-03")]
    assert words in found[0].sentence and found[0].check == "copied-voxels"


def test_a_second_scan_of_one_person_is_doubted_and_settled_by_naming_the_two():
    cohort = volumes()
    cohort[7] = cohort[2] + 0.15 * np.random.default_rng(1).normal(size=cohort[2].shape)
    found = suspects(names(12), cohort.__getitem__)
    assert ("suspect", False, ("P-02", "P-07")) in [(leak.check, leak.proof, leak.patients) for leak in found]
    settled = suspects(names(12), cohort.__getitem__, [["P-07", "P-02"]])
    assert all(leak.patients != ("P-02", "P-07") for leak in settled)


def test_scans_of_one_patient_and_lone_patients_are_not_doubted():
    cohort = volumes(3)
    cohort[1] = cohort[0]
    assert suspects([Scan("P-a", 2.5, 1.0)] * 3, cohort.__getitem__) == [] == suspects([], cohort.__getitem__)
    assert suspects([Scan("P-a", 2.5, 1.0), Scan("P-a", 2.5, 1.0), Scan("P-b", NAN, 1.0)], cohort.__getitem__) == []


def test_strangers_are_never_proof_and_flat_or_empty_shapes_do_no_harm():
    for seed in range(3):
        cohort = volumes(10, 16, seed)
        cohort[1], cohort[4] = np.zeros((16, 16, 16)), np.ones((16, 16, 16))
        assert not any(leak.proof for leak in suspects(names(10), cohort.__getitem__))
    masks = [np.pad(np.ones((6, 6, 6)), 4)] * 4
    assert not any(leak.proof for leak in suspects(names(4), masks.__getitem__)), "two values prove nothing"


def test_the_place_of_a_copy_is_found():
    one = np.random.default_rng(0).normal(size=(14, 12, 10))
    found = find_copy(one, one[3:, ::-1, :-2])
    assert found.mirrored == (1,) and found.shift == (3, 0, 0) and found.correlation == pytest.approx(1.0)
    assert find_copy(one, np.random.default_rng(1).normal(size=one.shape)).correlation < 0.3


def test_thumbnails_are_small_and_standardised():
    found = thumbnail(np.random.default_rng(0).normal(size=(70, 20, 30)) * 9 + 4, 32)
    assert max(found.shape) <= 32 and found.mean() == pytest.approx(0, abs=1e-5) and found.std() == pytest.approx(1)


def test_brightness_is_compared_where_it_tells_something():
    assert as_bright(Scan("a", NAN, 100.0), Scan("b", NAN, 108.0))
    assert not as_bright(Scan("a", NAN, 100.0), Scan("b", NAN, 130.0))
    assert as_bright(Scan("a", NAN, -500.0), Scan("b", NAN, NAN)) and np.isnan(brightness(np.ones(4)))


def test_both_sides_of_one_person_share_their_grid(scanprior_data: Path):
    """Float scans 3 and 4 are one person's, 7 another's; uint8 scans have no grid."""
    nibabel = pytest.importorskip("nibabel")
    images = scanprior_data / "hippocampus" / "images"
    raw = [np.asarray(nibabel.load(images / f"hippocampus_{n:03}.nii.gz").dataobj) for n in (3, 4, 245, 1)]
    scans = [Scan(f"P-{i}", grid_step(values), NAN) for i, values in enumerate(raw)]
    found = suspects(scans, raw.__getitem__)
    assert [(leak.patients, leak.proof) for leak in found] == [(("P-0", "P-1"), False)]
    assert "one grid" in found[0].sentence and np.isnan(scans[3].step)
