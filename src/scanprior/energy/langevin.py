"""Gibbs-Langevin sampling of Gaussian-Bernoulli machines (Liao et al. 2022), at the temperature of the model.

Each step draws h given v, then moves v along the gradient of E(v, h) with noise. Every row is its own chain: neither its
drift nor its noise knows how many rows there are. (Dividing the drift by the number of rows, as a mean over a batch does,
samples at a temperature as high as the batch is large.) Given h the drift is linear, so that a step is integrated exactly,
as an Ornstein-Uhlenbeck process, and needs no Metropolis correction at any length.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from typing_extensions import override

from scanprior.energy.objectives import Persistent, refuse_unbounded
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Gaussian
from scanprior.energy.workspace import Workspace


@torch.no_grad()
def gibbs_langevin(rbm: RBM, v: Tensor, steps: int, generator: Generator, *, step_size: float = 0.5) -> Tensor:
    """`steps` Gibbs-Langevin steps from `v` (chains, visible); a new tensor of the same shape.

    dv = -variance * dE/dv dt + sqrt(2 variance) dW for a time `step_size`, h being drawn anew before each step. A long
    time forgets v altogether, which is Gibbs sampling; a short one lets h change while v is still under way.

    Raises:
        ValueError: the visible units are not Gaussian, or the step size is not positive.
    """
    _check(rbm, step_size)
    keep = math.exp(-step_size)
    for _ in range(steps):
        h = rbm.hidden.sample(rbm.hidden_field(v), generator)
        v = _move(rbm, v, rbm.visible.mean(rbm.visible_field(h)), keep, generator)
    return v


class Langevin(Persistent):
    """Persistent chains that go on by `k` Gibbs-Langevin steps per update, for Gaussian visible units.

    Args:
        chains: number of chains, which begin at draws from the visible biases.
        step_size: time of a step, see `gibbs_langevin`.
    """

    def __init__(self, k: int = 10, chains: int = 100, *, step_size: float = 0.5) -> None:
        super().__init__()
        if k < 1 or chains < 1:
            raise ValueError(f"Langevin sampling needs at least 1 step and 1 chain; got {k}, {chains}")
        self.k, self.chains, self.step_size = k, chains, step_size

    @override
    def negatives(self, batch: int) -> int:
        return self.chains

    @override
    def check(self, rbm: RBM) -> None:
        _check(rbm, self.step_size)
        refuse_unbounded(rbm.visible, rbm.hidden)

    @override
    def begin(self, rbm: RBM, generator: Generator) -> None:
        if self.chain.shape != (self.chains, rbm.visible.size):
            field = torch.zeros(self.chains, rbm.visible.size, dtype=rbm.weight.dtype, device=rbm.weight.device)
            self.chain = rbm.visible.sample(field, generator)

    @override
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        self.chain.copy_(gibbs_langevin(work.rbm, self.chain, self.k, generator, step_size=self.step_size))
        visible = work.visible[n : n + self.chains].copy_(self.chain)
        work.up_(work.show_visible_(visible), work.hidden[n : n + self.chains], draw=None, generator=generator)
        return self.chains


def _move(rbm: RBM, v: Tensor, mean: Tensor, keep: float, generator: Generator) -> Tensor:
    """Where a chain at `v` is after a while, pulled to `mean`: `keep` of the way is left, and the noise makes up for it."""
    noise = torch.empty_like(v).normal_(generator=generator)
    if isinstance(rbm.visible, Gaussian):
        noise.mul_(torch.exp(0.5 * rbm.visible.log_variance))
    return mean + keep * (v - mean) + math.sqrt(1.0 - keep**2) * noise


def _check(rbm: RBM, step_size: float) -> None:
    if not isinstance(rbm.visible, Gaussian):
        raise ValueError(
            f"Langevin steps need Gaussian visible units; these are {rbm.visible.kind}: use Gibbs sampling"
        )
    if not step_size > 0:
        raise ValueError(f"the step size must be positive; got {step_size}")
