"""Small machines with random parameters, and their exact gradients by enumeration."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from scanprior.energy.likelihood import log_partition_exact
from scanprior.energy.objectives import Objective
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Gaussian, Units
from scanprior.energy.workspace import Workspace

PLAIN = Schedule(momentum=0.0, final_momentum=0.0, weight_decay=0.0, final_rate=1.0, variance_rate=1.0)


def machine(visible: Units, hidden: Units, *, seed: int = 1, spread: float = 0.5, centered: bool = True) -> RBM:
    """A machine whose parameters and offsets are all random, float64."""
    rbm = RBM(visible, hidden, centered=centered).double()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in rbm.state_dict().items():
            if centered or "offset" not in name:
                tensor.normal_(0, spread, generator=generator)
    return rbm


def draws(rbm: RBM, n: int, *, seed: int = 2) -> Tensor:
    """`n` rows drawn from the visible biases alone, float64."""
    zero = torch.zeros(n, rbm.visible.size, dtype=torch.float64)
    return rbm.visible.sample(zero, Generator().manual_seed(seed))


class Exact(Objective):
    """The model itself as negative phase: visible states that were drawn, or enumerated, beforehand."""

    k = 1

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows

    def negatives(self, batch: int) -> int:
        return len(self.rows)

    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        visible = work.visible[n : n + len(self.rows)].copy_(self.rows)
        work.up_(work.show_visible_(visible), work.hidden[n : n + len(self.rows)], draw=None, generator=generator)
        return len(self.rows)


def update_of(
    rbm: RBM, data: Tensor, objective: Objective, *, seed: int = 0, schedule: Schedule = PLAIN
) -> dict[str, Tensor]:
    """What one step of size 1 adds to every parameter."""
    before = {name: parameter.detach().clone() for name, parameter in rbm.named_parameters()}
    offset = rbm.hidden_offset.clone()
    stepper = Stepper(rbm, objective, batch_size=len(data), steps=100, seed=seed, learning_rate=1.0, schedule=schedule)
    stepper.step = 1  # not a step that moves the offsets
    stepper.block(data[None])
    assert torch.equal(offset, rbm.hidden_offset)
    change = {name: parameter.detach() - before[name] for name, parameter in rbm.named_parameters()}
    with torch.no_grad():
        for name, parameter in rbm.named_parameters():
            parameter.copy_(before[name])
    return change


def likelihood_gradient(rbm: RBM, data: Tensor, log_z: Tensor) -> dict[str, Tensor]:
    """The gradient of the mean of log p over `data`, by autograd of the free energy and of `log_z`."""
    objective = (-rbm.free_energy(data)).mean() - log_z
    parameters = {name: p for name, p in rbm.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(objective, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True))


def log_z_of(rbm: RBM) -> Tensor:
    """log Z by enumeration of the side that has states, differentiable."""
    if isinstance(rbm.hidden, Gaussian):
        total = (-rbm.free_energy(rbm.visible.states())).logsumexp(0)
    else:
        total = (-rbm.hidden_free_energy(rbm.hidden.states())).logsumexp(0)
    assert abs(float(total.detach()) - log_partition_exact(rbm)) < 1e-9
    return total
