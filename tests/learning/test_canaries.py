"""Cohorts whose right answer is known: what is dealt out anew, what is planted, what the border shows."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from easy import SIZE, scan, write_prepared

from scanprior.evidence.canary import agreed, at_chance, permuted_labels
from scanprior.learning.arm import Setup
from scanprior.learning.canaries import border_table, chance_hits, deal_patches, deal_patients, plant_in_classes
from scanprior.learning.cohort import Cell, PatientCohort, VoxelCohort
from scanprior.learning.experiment import run_arm
from scanprior.learning.registry import make_arm
from scanprior.patches.sampling import balanced_positions
from scanprior.patches.store import PatchStore

NAMES = [f"p{number}" for number in range(8)]


def test_chance_hits_are_the_mean_and_variance_over_all_orders() -> None:
    guesses, targets = np.array([0, 0, 1, 2, 1, 0]), np.array([0, 1, 1, 2, 2, 0])
    hits = [(guesses == np.array(order)).sum() for order in permutations(targets)]
    mean, variance = chance_hits(guesses, targets, 3)
    assert mean == pytest.approx(np.mean(hits)) and variance == pytest.approx(np.var(hits))
    assert chance_hits(np.zeros(6, int), targets, 3) == pytest.approx((2, 0))


def test_labels_are_dealt_out_within_the_fold_that_tests_them() -> None:
    patches = pd.DataFrame({"row": range(8), "patient": NAMES, "i": 0, "j": 0, "k": 0})
    labels = {name: number % 2 for number, name in enumerate(NAMES)}
    cohort = PatientCohort(PatchStore([], SIZE), patches, labels, ("well", "ill"))
    cells = [Cell(0, 4, tuple(NAMES[4:]), (), tuple(NAMES[:4])), Cell(1, 4, tuple(NAMES[:4]), (), tuple(NAMES[4:]))]
    seen = set()
    for seed in range(20):
        dealt = deal_patients(cohort, cells, permuted_labels, seed).labels
        assert [sum(dealt[name] for name in side) for side in (NAMES[:4], NAMES[4:])] == [2, 2]
        seen.add(tuple(dealt.values()))
    assert len(seen) > 10 and cohort.labels == labels


def test_labels_are_dealt_again_while_a_training_side_has_one_class() -> None:
    """Two to train and two to validate: a third of the deals leave one class to train on."""
    names = NAMES[:4]
    patches = pd.DataFrame({"row": range(4), "patient": names, "i": 0, "j": 0, "k": 0})
    cohort = PatientCohort(PatchStore([], SIZE), patches, dict(zip(names, [0, 0, 1, 1], strict=True)), ("well", "ill"))
    cells = [Cell(0, 4, tuple(names[:2]), tuple(names[2:]), ())]
    dealt = [deal_patients(cohort, cells, permuted_labels, seed).labels for seed in range(30)]
    assert all(labels[names[0]] != labels[names[1]] for labels in dealt)
    assert len({tuple(labels.values()) for labels in dealt}) == 4
    # Where it can't be, it ends all the same.
    one = PatientCohort(PatchStore([], SIZE), patches, dict.fromkeys(names, 0), ("well", "ill"))
    assert deal_patients(one, cells, permuted_labels, 0).labels == dict.fromkeys(names, 0)


def voxel_cohort(folder: Path) -> VoxelCohort:
    scans = [scan(number) for number in range(8)]
    rows, centres, targets = [], [], []
    for row, (image, labels) in enumerate(scans):
        write_prepared(folder, NAMES[row], image, labels)
        where, classes = balanced_positions(np.ones(image.shape, bool), labels, 3, 60, np.random.default_rng(row))
        rows += [row] * len(where)
        centres.append(where)
        targets.append(classes)
    place = np.concatenate(centres)
    patches = pd.DataFrame({"row": rows, "patient": [NAMES[row] for row in rows], "i": place[:, 0], "j": place[:, 1],
                            "k": place[:, 2], "target": np.concatenate(targets).astype(np.int16)})  # fmt: skip
    table = pd.DataFrame({"scan": NAMES, "patient": NAMES, "stem": [str(folder / name) for name in NAMES]})
    return VoxelCohort(PatchStore([image for image, _ in scans], SIZE), patches, table, (1, 2), ("dark", "bright"), 1)


@pytest.mark.parametrize("leak", [False, True])
def test_patches_dealt_anew_are_told_only_when_the_tested_are_trained_on(leak: bool, tmp_path: Path) -> None:
    cohort = voxel_cohort(tmp_path)
    dealt = deal_patches(cohort, permuted_labels, seed=5)
    for name in NAMES:
        one, other = (np.bincount(side.bags([name]).targets) for side in (cohort, dealt))
        assert one.tolist() == other.tolist()
    train = tuple(NAMES[2:7]) if leak else tuple(NAMES[:3])
    found = run_arm(
        lambda _fold: make_arm("logistic", Setup(3, SIZE)), [Cell(0, 4, train, ("p3",), tuple(NAMES[4:]))], dealt,
        draw=0, trials=2, work=tmp_path / "work", seeds=lambda *names: len(names),
        log=lambda values, step: None, progress=lambda done, total: None,
    ).predictions  # fmt: skip
    score = agreed(*(found[key].to_numpy(float) for key in ("hits", "expected", "variance", "patches")), folds=1)
    assert at_chance("permuted", score).passed != leak, score


def test_a_planted_class_stands_out_by_three_deviations_each() -> None:
    image, labels = scan(0)
    planted = plant_in_classes(image, labels)
    assert planted.dtype == np.float32
    np.testing.assert_allclose(planted[labels == 2] - image[labels == 2], 6 * image.std(), rtol=1e-5)
    assert (planted[labels == 0] == image[labels == 0]).all()


def test_the_border_is_air_only_and_its_corners_stand_first_and_last() -> None:
    image, body = np.zeros((20, 20, 20), np.float32), np.zeros((20, 20, 20), bool)
    image[0, 0, 0], image[10, 10, 10], body[5:15, 5:15, :] = 8.0, 99.0, True
    image[7, 7, 0] = 50.0  # the body reaches the border here
    table = border_table(image, body)
    assert table.shape == (78,) and table[:3] == pytest.approx([1.0, np.sqrt(7), 8.0])
    assert np.nanmax(table) == 8.0 and np.nanmax(table[3:]) == 0.0
    assert np.isnan(border_table(image, np.ones_like(body))).all()
