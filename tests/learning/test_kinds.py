"""Priors of every kind: what each has learned, and the same bits after a stop."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Generator, Tensor

from scanprior.errors import ScanpriorError
from scanprior.learning.catalogue import PriorKind
from scanprior.learning.kinds import pretrainer
from scanprior.learning.patch_prior import PatchPrior
from scanprior.learning.prior import load_prior, save_prior
from scanprior.learning.shuffling import Shuffle

ROWS = 400


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


def gathered() -> Tensor:
    """Patches of three causes, so that voxels belong together; every voxel with a mean and a spread of its own."""
    generator = Generator().manual_seed(0)
    causes = torch.randn(ROWS, 3, generator=generator) @ torch.randn(3, 27, generator=generator)
    return causes * torch.linspace(1, 4, 27) + torch.linspace(-5, 5, 27)


class Stop(BaseException):
    """Not an Exception, so that nothing on the way treats it as one of its own."""


def train(kind: str, work: Path, *, stop: int = 0) -> PatchPrior:
    data = gathered()

    def log(_values: dict[str, float], *, step: int) -> None:
        if step == stop:
            raise Stop

    return pretrainer(kind)(
        lambda rows: data[rows], ROWS, patch_size=(3, 3, 3), seeds=seeds, work=work, layers=(12, 6), hidden="rectified",
        objective="cd1", centered=True, epochs=6, batch_size=20, learning_rate=None, held_out=None, log=log,
        progress=lambda done, total: None, accelerator="cpu", places=lambda rows: data[rows, :3],
    ).prior  # fmt: skip


@pytest.mark.parametrize("kind", get_args(PriorKind))
def test_stopped_in_either_layer_it_ends_with_the_same_bytes(kind: str, tmp_path: Path) -> None:
    whole = train(kind, tmp_path / "whole")
    save_prior(whole, tmp_path / "a", {})
    for stop in (36,) if kind == "conv_autoencoder" else (36, 156):  # in the second epoch of either layer
        with pytest.raises(Stop):
            train(kind, tmp_path / "stopped", stop=stop)
    save_prior(train(kind, tmp_path / "stopped"), tmp_path / "b", {})
    assert (tmp_path / "a/prior.safetensors").read_bytes() == (tmp_path / "b/prior.safetensors").read_bytes()


@pytest.mark.parametrize("kind", get_args(PriorKind))
def test_saved_it_comes_back_as_what_it_was(kind: str, tmp_path: Path) -> None:
    prior, patches = train(kind, tmp_path / "work"), gathered()[:5]
    save_prior(prior, tmp_path, {})
    again = load_prior(tmp_path)
    assert torch.equal(again.encode(patches), prior.encode(patches))
    assert torch.equal(again.reconstruct(patches), prior.reconstruct(patches))
    assert (again.generates, again.summary()) == (prior.generates, prior.summary())
    assert prior.summary() in (tmp_path / "model_card.md").read_text()
    assert prior.filters(4).shape[0] == 4
    if not prior.generates:
        with pytest.raises(TypeError, match="nothing can be drawn"):
            prior.generate(2, Generator().manual_seed(0))


def test_on_shuffled_patches_a_prior_learns_no_pattern_but_keeps_the_real_normaliser(tmp_path: Path) -> None:
    patches = gathered()
    own, shuffled = train("rectified", tmp_path / "own"), train("shuffled", tmp_path / "shuffled")
    assert torch.equal(own.mean, shuffled.mean) and torch.equal(own.std, shuffled.std)

    @torch.no_grad()
    def error(prior: PatchPrior) -> float:
        return float(((prior.reconstruct(patches) - patches) / own.std).square().mean())

    assert error(own) < 0.3 < 0.6 < error(shuffled)


def test_shuffling_moves_voxels_within_a_patch_and_a_patch_always_alike() -> None:
    patches, rows = torch.randn(5, 27), torch.tensor([3, 8, 3, 1003, 4])
    patches[2] = patches[0]
    shuffle = Shuffle(27, seed=1)
    moved = shuffle(rows, patches)
    assert torch.equal(moved.sort().values, patches.sort().values)
    assert torch.equal(moved[0], moved[2]) and not torch.equal(moved[0], patches[0])
    assert torch.equal(moved, Shuffle(27, seed=1)(rows, patches))
    assert not torch.equal(moved, Shuffle(27, seed=2)(rows, patches))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ScanpriorError, match="kind 'sparse'"):
        pretrainer("sparse")
