"""Training on data that lies in memory: one machine, or a stack of them from the bottom up."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from scanprior.energy.objectives import CD, Objective
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper, safe_learning_rate, schedule_of
from scanprior.energy.units import Units

BATCHES_PER_BLOCK = 16
LARGEST_SEED = 2**62
STATISTICS_ROWS = 10_000
CHECKED_ROWS = 200


class History(NamedTuple):
    """One entry per epoch."""

    reconstruction: list[float]
    """mean squared error of the reconstruction by means, per visible unit"""
    activation: list[float]
    """mean activation of the hidden units"""
    weight_norm: list[float]
    """root mean square of the weights"""


def fit_rbm(
    rbm: RBM,
    data: Tensor,
    *,
    epochs: int,
    generator: Generator,
    objective: Objective | None = None,
    batch_size: int = 100,
    schedule: Schedule | None = None,
    start: bool = True,
    bfloat16: bool = False,
) -> History:
    """Train `rbm` in place on `data` (n, visible); an epoch uses every row once, its last mini-batch may be smaller.

    Args:
        objective: where the negative phase comes from; none: `CD(1)`.
        schedule: none: that of the objective (`schedule_of`).
        start: begin at the data's means (`RBM.start_from`); false goes on from the parameters as they are.
        bfloat16: make the products in bfloat16, where the processor can (`scanprior.energy.products`).

    Raises:
        ValueError: when `data` has the wrong width, or a number in it is none that the visible units can take.
        Diverged: when training leaves the finite numbers.
    """
    check_data(data, rbm.visible)
    if start:
        rbm.start_from(data.mean(0), data.var(0, unbiased=False))
    batches = -(-len(data) // batch_size)
    seed = int(torch.randint(LARGEST_SEED, (1,), generator=generator, device=generator.device))
    objective = objective or CD(1)
    schedule = schedule or schedule_of(objective)
    rate = schedule.learning_rate
    if rate is None:
        rate = safe_learning_rate(rbm, data[:STATISTICS_ROWS], batch_size=batch_size, sweeps=objective.k)
    stepper = Stepper(
        rbm,
        objective,
        batch_size=batch_size,
        steps=epochs * batches,
        seed=seed,
        learning_rate=rate,
        schedule=schedule,
        bfloat16=bfloat16,
    )
    history = History([], [], [])
    for _ in range(epochs):
        order = torch.randperm(len(data), generator=generator, device=generator.device).to(data.device)
        stats = [stepper.block(data, rows) for rows in blocks(order, batch_size)]
        history.reconstruction.append(float(torch.stack([s.reconstruction for s in stats]).mean()))
        history.activation.append(float(torch.stack([s.activation for s in stats]).mean()))
        history.weight_norm.append(float(rbm.weight.detach().square().mean().sqrt()))
    return history


def blocks(order: Tensor, batch_size: int, batches: int = BATCHES_PER_BLOCK) -> list[Tensor]:
    """Cut `order` (n,) into blocks of row numbers (batches, batch_size); a smaller last mini-batch is its own block."""
    whole = len(order) // batch_size * batch_size
    cut = list(order[:whole].view(-1, batch_size).split(batches)) if whole else []
    return [*cut, order[None, whole:]] if whole < len(order) else cut


def check_data(data: Tensor, units: Units) -> None:
    """Refuse data (n, visible) of the wrong width, without rows, or with a number that `units` can't take."""
    if data.ndim != 2 or data.shape[1] != units.size or not len(data):
        raise ValueError(f"the data has the shape {tuple(data.shape)}; expected rows of {units.size} visible units")
    for place, rows in enumerate(data.split(CHECKED_ROWS)):  # a mask of everything would take a quarter of the data
        bad = units.outside(rows)
        if bool(bad.any()):
            row, column = (int(i) for i in bad.nonzero()[0])
            value = float(rows[row, column])
            must = "it must be finite" if not math.isfinite(value) else f"{units.kind} units can't take it"
            raise ValueError(f"row {row + place * CHECKED_ROWS}, column {column} of the data is {value:g}; {must}")


class Standardiser(NamedTuple):
    """Mean and standard deviation (columns,) of some rows; a constant column gets the standard deviation 1."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Standardiser:
        """From `rows` (n, columns); one that varies less than a thousandth of the typical column counts as constant."""
        mean, std = rows.mean(0), rows.std(0, unbiased=False)
        typical = std.median().clamp_min(torch.finfo(rows.dtype).tiny)
        return cls(mean, torch.where(std > 1e-3 * typical, std, torch.ones_like(std)))

    def __call__(self, rows: Tensor) -> Tensor:
        """Standardised rows."""
        return torch.addcmul(-self.mean / self.std, rows, 1 / self.std)

    def apply_(self, rows: Tensor) -> Tensor:
        """Standardise `rows` in place; the same bits in a third of the time, which fresh memory costs."""
        return torch.addcmul(-self.mean / self.std, rows, 1 / self.std, out=rows)
