"""The training step: the only place that writes the parameters of a restricted Boltzmann machine.

It takes a block of mini-batches at once, so that whoever drives it (`fit_rbm`, a Lightning module) pays its own cost
once per block. Per mini-batch it does four products: up, down, up, and one product of the stacked phases that gives
both halves of the gradient and carries the momentum along.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from scanprior.energy.crew import Crew
from scanprior.energy.objectives import Objective
from scanprior.energy.products import require_bfloat16
from scanprior.energy.rbm import RBM
from scanprior.energy.replicas import average_
from scanprior.energy.units import LOG_VARIANCE_CEILING, LOG_VARIANCE_FLOOR, Gaussian
from scanprior.energy.velocity import VelocityStepper
from scanprior.energy.workspace import Workspace

OFFSET_EVERY = 10
OFFSET_RATE = 0.1
STATS_ROWS = 25


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How fast to learn (Hinton 2012, sections 7-11).

    Attributes:
        learning_rate: step size per mini-batch mean; none: `safe_learning_rate` of the machine and its data.
        final_rate: the learning rate at the last step, as a share of the first; it falls in a straight line.
        decay_from: the share of the training after which it starts to fall.
        momentum, final_momentum: the share of the last update that goes on, in the first `switch` of the training and
            after. The learning rate is multiplied by (1 - momentum), so that the effective step does not depend on it.
        weight_decay: weights (never biases) shrink by learning rate x this in each step.
        variance_rate: learning rate of a Gaussian's log variance, relative to `learning_rate`.
        sparsity: wanted mean activation of every hidden unit, pulled to with strength `sparsity_cost`; none: free. The
            pull is a further term of the hidden biases' gradient (Lee, Ekanadham & Ng 2008; Hinton 2012, section 11),
            so it enters a step in full, as the others do, and momentum carries it on.
    """

    learning_rate: float | None = None
    final_rate: float = 0.0
    decay_from: float = 0.5
    momentum: float = 0.5
    final_momentum: float = 0.9
    switch: float = 0.2
    weight_decay: float = 1e-4
    variance_rate: float = 0.1
    sparsity: float | None = None
    sparsity_cost: float = 0.1

    def rate(self, progress: float) -> float:
        """The learning rate, relative to the first, at `progress` in [0, 1]."""
        falling = max(0.0, progress - self.decay_from) / max(1e-12, 1.0 - self.decay_from)
        return 1.0 - (1.0 - self.final_rate) * min(1.0, falling)

    def momentum_at(self, progress: float) -> float:
        """The momentum at `progress` in [0, 1]."""
        return self.momentum if progress < self.switch else self.final_momentum


DEFAULT = Schedule()
STEADY = Schedule(final_momentum=0.5)  # more carries the weights away from chains that go on from update to update


def schedule_of(objective: Objective) -> Schedule:
    """The schedule that an objective is trained with unless another is asked for."""
    return STEADY if objective.persistent else DEFAULT


@torch.no_grad()
def safe_learning_rate(rbm: RBM, data: Tensor, *, batch_size: int, sweeps: int = 1) -> float:
    """A step size that neither side can blow up, from a sample of the data (n, visible).

    Where both sides are bounded, 0.1. Gaussian and rectified units answer in proportion, so that the weights along the
    data's main direction grow by learning rate x its variance per step: beyond 1 they overshoot (13^3 patches of MRI,
    standardised, have a main variance of 630), and every further Gibbs sweep multiplies that. The step is then a share
    of the reciprocal of that variance as a mini-batch sees it, which is larger in a small one.
    """
    unbounded = rbm.visible.unbounded + rbm.hidden.unbounded
    if unbounded == 0:
        return 0.1
    share = 2.0 if unbounded == 1 else 0.5 / sweeps
    if isinstance(rbm.visible, Gaussian) and rbm.visible.learn_variance:
        share *= 0.02  # what the weights see is divided by the variance, which may fall to a fiftieth
    seen = rbm.visible.scale(torch.ones_like(rbm.visible.bias)).to(data)  # of one unit's change
    total = float((data.var(0, unbiased=False) * seen.square()).sum())
    return min(0.1, share / max(main_variance(data, seen) + total / batch_size, 1e-6))


def main_variance(data: Tensor, scale: Tensor | None = None, rounds: int = 30) -> float:
    """Variance of `data` (n, visible), times `scale` (visible,), along its first principal component, by power iteration.

    Neither centred nor scaled data are made: they would be as large as the data.
    """
    scale = torch.ones_like(data[0]) if scale is None else scale
    mean, direction = data.mean(0), data.std(0, unbiased=False) * scale
    for _ in range(rounds):
        seen = scale * direction / direction.norm().clamp_min(1e-12)
        along = data @ seen - mean @ seen
        direction = scale * (data.t() @ along - mean * along.sum())
    return max(float(direction.norm()) / len(data), 1e-6)


class Stats(NamedTuple):
    """What the last mini-batch of a block looked like: single numbers, as tensors so that nothing waits."""

    reconstruction: Tensor
    """mean squared error of the reconstruction by means, up and down, per visible unit, in the units of the data"""
    activation: Tensor
    """mean activation of the hidden units"""


class Stepper(VelocityStepper):
    """Trains `rbm` with `objective`; velocities, chains, step count and generator are its state, so training can go on.

    Several processes may take such steps together (`energy.replicas`), each with mini-batches and chains of its own.

    Args:
        batch_size: most rows of a mini-batch.
        steps: how many mini-batches the whole training has; the schedule is laid out over them.
        seed: seeds the generator of every random number of the training.
        learning_rate: the step size that `schedule.rate` is relative to.
        schedule: none: `schedule_of` the objective.
        bfloat16: make the products in bfloat16 (`scanprior.energy.products`); refused where the processor has none.
    """

    variance_velocity: Tensor

    def __init__(
        self, rbm: RBM, objective: Objective, *, batch_size: int, steps: int, seed: int, learning_rate: float,
        schedule: Schedule | None = None, bfloat16: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            rbm.weight, rbm.visible.bias, rbm.hidden.bias, steps=steps, seed=seed, learning_rate=learning_rate
        )  # fmt: skip
        objective.check(rbm)
        if isinstance(rbm.hidden, Gaussian) and rbm.hidden.learn_variance:
            raise ValueError("the variance of Gaussian units is learned on the visible side only")
        if bfloat16:
            require_bfloat16(rbm.weight.device)
        self.rbm, self.objective, self.schedule = rbm, objective, schedule or schedule_of(objective)
        self.batch_size, self._bfloat16 = batch_size, bfloat16
        self._work: Workspace | None = None
        self._crew = Crew(1)
        self.register_buffer("variance_velocity", torch.zeros_like(rbm.visible.bias))

    @override
    def _sum_of_velocities(self) -> Tensor:
        return super()._sum_of_velocities() + self.variance_velocity.sum()

    @torch.no_grad()
    def block(self, data: Tensor | Iterable[Tensor], rows: Tensor | None = None) -> Stats:
        """Train on several mini-batches, one update each.

        Args:
            data: with `rows`, all data (n, visible); without, the mini-batches themselves, as one tensor
                (batches, batch, visible) or one after the other, made only when they are needed.
            rows: row numbers (batches, batch) of the mini-batches; `batch` may be smaller than `batch_size`.

        Raises:
            ValueError: there is no mini-batch, or one of another shape, or the data aren't finite.
            Diverged: when a parameter is no longer a finite number after the block.
        """
        work = self._work or self._begin()
        n, batch = 0, work.visible
        if isinstance(data, Tensor) and data.shape[-1:] != (self.rbm.visible.size,):
            raise ValueError(
                f"the data has the shape {tuple(data.shape)}; expected rows of {self.rbm.visible.size} visible units"
            )
        with self._crew.block(lambda: self.step):
            for batch in data if rows is None else rows:
                n = len(batch)
                if rows is None and (batch.ndim != 2 or batch.shape[1] != self.rbm.visible.size):
                    raise ValueError(
                        f"a mini-batch has the shape {tuple(batch.shape)}; expected rows of {self.rbm.visible.size}"
                    )
                if n > self.batch_size:
                    raise ValueError(f"a mini-batch has {n} rows; this step was made for at most {self.batch_size}")
                positive = work.visible[:n]
                if isinstance(data, Tensor) and rows is not None:
                    torch.index_select(data, 0, batch, out=positive)
                else:
                    positive.copy_(batch)
                self._update(work, n)
            if not n:
                raise ValueError("a block needs at least one mini-batch")
            self.require_finite(data if isinstance(data, Tensor) else batch)
            return self._stats(work, n)

    def _begin(self) -> Workspace:
        """Scratch and threads, as many as torch has now."""
        if self.rbm.weight.device.type == "cpu" and not self._bfloat16:
            self._crew = Crew(torch.get_num_threads())
        negatives = self.objective.negatives(self.batch_size)
        self._work = Workspace(self.rbm, self.batch_size, negatives, crew=self._crew, bfloat16=self._bfloat16)
        self.objective.begin(self.rbm, self.generator)
        return self._work

    def _update(self, work: Workspace, n: int) -> None:
        """One mini-batch: both phases, then every parameter; `work.visible[:n]` holds the data."""
        rbm = self.rbm
        progress = self.step / max(1, self.steps)
        momentum = self.schedule.momentum_at(progress)
        rate = self.learning_rate * self.schedule.rate(progress)
        step = rate * (1.0 - momentum) / n
        work.products.refresh()
        work.show_visible_(work.visible[:n])
        work.up_(work.visible[:n], work.hidden[:n], draw=work.draw[:n], generator=self.generator)
        negatives = self.objective.negative(work, n, self.generator)
        visible, hidden = work.visible[: n + negatives], work.hidden[: n + negatives]
        sparsity = self.schedule.sparsity
        surplus = None if sparsity is None else hidden[:n].mean(0).sub_(sparsity)
        if rbm.centered and self.step % OFFSET_EVERY == 0:
            activation = hidden[:n].mean(0)
            average_(activation)
            self._move_offset(activation)
        work.show_hidden_(hidden)
        signs, ones = self.objective.weigh_(work, hidden, n, negatives)

        if isinstance(rbm.visible, Gaussian) and rbm.visible.learn_variance:
            gradient = self._variance_gradient(rbm.visible, work, n, visible, hidden, signs)
            self.variance_velocity.mul_(momentum).add_(gradient, alpha=step * self.schedule.variance_rate)
        work.products.add_outer_(self.weight_velocity, visible, hidden, beta=momentum, alpha=step)
        self.visible_velocity.addmv_(visible.t(), signs, beta=momentum, alpha=step)
        self.hidden_velocity.addmv_(hidden.t(), ones, beta=momentum, alpha=step)
        if surplus is not None:
            self.hidden_velocity.sub_(surplus, alpha=step * n * self.schedule.sparsity_cost)
        # All processes had the same velocities before, so the mean of them now is that with the mean gradient.
        average_(self.weight_velocity, self.visible_velocity, self.hidden_velocity, self.variance_velocity)
        torch.add(self.weight_velocity, rbm.weight, alpha=1.0 - rate * self.schedule.weight_decay, out=rbm.weight)
        rbm.visible.bias.add_(self.visible_velocity)
        rbm.hidden.bias.add_(self.hidden_velocity)
        if isinstance(rbm.visible, Gaussian) and rbm.visible.learn_variance:
            rbm.visible.log_variance.add_(self.variance_velocity).clamp_(LOG_VARIANCE_FLOOR, LOG_VARIANCE_CEILING)
        self.step += 1

    def _move_offset(self, activation: Tensor) -> None:
        """Let the hidden offset follow the mean `activation` (hidden,); the visible bias takes up what that changes."""
        hidden = self.rbm.hidden
        change = (activation - self.rbm.hidden_offset).mul_(OFFSET_RATE)
        self.rbm.hidden_offset.add_(change)
        self.rbm.visible.bias.addmv_(self.rbm.weight, hidden.scale(change))

    def _variance_gradient(
        self, units: Gaussian, work: Workspace, n: int, visible: Tensor, hidden: Tensor, signs: Tensor
    ) -> Tensor:
        """-dE/dz = (v - b)^2 / (2 var) - (v - mu) / var * (W h), z = log variance (Cho, Ilin & Raiko 2011), both phases.

        After one sweep from the data both phases share the drawn h; with v integrated out of the negative one, what is
        left is (residual^2 / var - 1) / 2, without a further product. The 1 is what means instead of draws would lose.
        The rows are shown states; the hidden ones of the negative phase carry its sign and weight already.
        """
        variance = torch.exp(units.log_variance)
        means = self.objective.one_sweep_means(work, n)
        if means is not None:
            residual = means.sub_(work.visible_states(visible[:n]))
            return residual.square_().sum(0).div_(variance).sub_(n).mul_(0.5)
        deviation = work.visible_states(visible).sub_(units.bias)
        gradient = signs @ deviation.square_() / (2.0 * variance)
        return gradient - (visible * (hidden @ self.rbm.weight.t())).sum(0)

    def _stats(self, work: Workspace, n: int) -> Stats:
        """Reconstruction by means, up and down, of a part of the last mini-batch: it costs the time of two products."""
        n = min(n, STATS_ROWS)
        data, reconstruction = work.visible_states(work.visible[:n]), work.visible[:n]
        work.up_(work.visible[:n], work.hidden[:n], draw=None, generator=self.generator)
        activation = work.hidden[:n].mean()
        work.down_(work.show_hidden_(work.hidden[:n]), reconstruction, sample=False, generator=self.generator)
        return Stats((data - reconstruction).square().mean(), activation)
