"""On a GPU: priors and arms learn, end on the processor, and the same seeds give the same bits, also after a kill."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from easy import patient_bags, voxel_bags

from scanprior.learning import pretraining_loop
from scanprior.learning.arm import Setup
from scanprior.learning.convolutional_pretraining import pretrain_autoencoder, pretrain_machines, pretrain_placed
from scanprior.learning.pretraining import pretrain
from scanprior.learning.registry import make_arm
from scanprior.learning.same_bits import same_bits
from scanprior.learning.tuning import trial_settings

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
SETUP = partial(Setup, 3, (7, 7, 5), (12, 8), accelerator="gpu")


class Killed(Exception):  # noqa: N818 - it is said as it is
    """What ends a training in its midst."""


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


def pretrained(way: str, work: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a small prior; `stop`: the number of mini-batches after which it is killed."""
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(330, 6, generator=generator) @ torch.randn(6, 7 * 7 * 5, generator=generator)
    places = data[:, :3] + 1

    def log(values: dict[str, float], step: int) -> None:
        if stop is not None and step >= stop:
            raise Killed

    ways = {
        "dense": partial(pretrain, layers=(12, 8)), "machines": pretrain_machines, "autoencoder": pretrain_autoencoder,
        "persistent": partial(pretrain, layers=(12, 8), hidden="bernoulli", objective="pcd1"),
        "placed": partial(pretrain_placed, places=lambda rows: places[rows]),
    }  # fmt: skip
    result = ways[way](
        lambda rows: data[rows], len(data), patch_size=(7, 7, 5), seeds=seeds, work=work, epochs=3, batch_size=10, log=log,
        held_out=torch.arange(0, 330, 15), accelerator="gpu",
    )  # fmt: skip
    assert not any(value.is_cuda for value in result.prior.state_dict().values()), "what is saved opens without a GPU"
    return result.prior.state_dict()


@pytest.mark.parametrize("way", ["dense", "persistent", "machines", "autoencoder", "placed"])
def test_a_prior_repeats_itself_and_goes_on_after_a_kill(way, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining_loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    same_bits()
    whole = pretrained(way, tmp_path / "whole")
    with pytest.raises(Killed):
        pretrained(way, tmp_path / "killed", stop=40)
    again = pretrained(way, tmp_path / "killed")
    assert whole.keys() == again.keys()
    for name, values in whole.items():
        assert torch.equal(values, again[name]), name


@pytest.mark.parametrize("name", ["mlp", "cnn", "logistic", "scratch", "pca_logistic"])
def test_an_arm_learns_and_repeats_itself(name):
    same_bits()
    train, valid, test = voxel_bags([1, 2, 3]), voxel_bags([4]), voxel_bags([5, 6])
    arm = make_arm(name, SETUP())
    first, again = (arm.fit(train, valid, 7, settings=trial_settings(arm.space, 0, seeds)) for _ in range(2))
    logits = first.predictor.bag_logits(test)
    assert (logits.argmax(1) == test.targets).mean() > 0.6
    np.testing.assert_array_equal(logits, again.predictor.bag_logits(test))
    elsewhere = make_arm(name, Setup(3, (7, 7, 5), (12, 8))).restore(first.predictor.state())
    np.testing.assert_allclose(elsewhere.bag_logits(test), logits, rtol=1e-3, atol=1e-3)
    dense = first.predictor.dense_logits(test.store, 0, test.centres[test.scan_rows == 0])
    np.testing.assert_allclose(dense, logits[test.scan_rows == 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["cnn", "scratch"])
def test_an_arm_of_patients_repeats_itself(name):
    same_bits()
    train, valid = patient_bags(list(range(8))), patient_bags([8, 9, 10, 11])
    arm = make_arm(name, Setup(2, (7, 7, 5), (12, 8), pooled=True, accelerator="gpu"))
    first, again = (arm.fit(train, valid, 7, settings=trial_settings(arm.space, 0, seeds)) for _ in range(2))
    assert np.isfinite(first.score)
    np.testing.assert_array_equal(first.predictor.bag_logits(valid), again.predictor.bag_logits(valid))
