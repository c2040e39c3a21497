"""An arm whose prior was trained in several ways: the way is a setting, and the predictor outlives the choice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from easy import SIZE, voxel_bags

from scanprior.learning.arm import Arm, Setup
from scanprior.learning.pretraining import pretrain
from scanprior.learning.registry import make_arm
from scanprior.learning.tuning import trial_settings
from scanprior.learning.ways import WAY, of_ways


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> list[Arm]:
    """`dbn` from a prior of one epoch and from one of three."""
    train = voxel_bags([1, 2, 3])

    def prior(epochs: int) -> torch.nn.Module:
        work: Path = tmp_path_factory.mktemp("work")
        gather = lambda rows: torch.from_numpy(train.patches(rows.numpy()))  # noqa: E731
        return pretrain(gather, 180, patch_size=SIZE, seeds=seeds, work=work, layers=(12, 8), epochs=epochs).prior

    return [make_arm("dbn", Setup(3, SIZE, (12, 8), prior=prior(epochs))) for epochs in (1, 3)]


def test_one_way_is_the_arm_itself(arms):
    assert of_ways(arms[:1], [0]) is arms[0]


def test_the_way_is_one_more_setting_that_later_trials_draw(arms):
    arm = of_ways(arms, [0, 2])
    assert arm.space == {**arms[0].space, WAY: (0, 2)}
    assert trial_settings(arm.space, 0, seeds)[WAY] == 0
    assert {trial_settings(arm.space, number, seeds)[WAY] for number in range(12)} == {0, 2}


def test_each_way_fits_as_its_own_arm_does_and_is_restored(arms):
    arm, train, valid = of_ways(arms, [0, 2]), voxel_bags([1, 2]), voxel_bags([4])
    settings = trial_settings(arms[0].space, 0, seeds)
    logits = []
    for place, number in enumerate((0, 2)):
        fit = arm.fit(train, valid, 7, settings={**settings, WAY: number})
        alone = arms[place].fit(train, valid, 7, settings=settings)
        logits.append(fit.predictor.bag_logits(valid))
        np.testing.assert_array_equal(logits[-1], alone.predictor.bag_logits(valid))
        np.testing.assert_array_equal(arm.restore(fit.predictor.state()).bag_logits(valid), logits[-1])
    assert not np.array_equal(*logits)
