"""Training of convolutional machines: the only place that writes their parameters.

What the dense step is for `RBM` (`energy.step`), for `ConvolutionalRBM`: a block of mini-batches per call, the same
schedule, explicit generator, momentum, weight decay on kernels only. A step is the mean of the likelihood's gradient
over the places of the hidden maps, so that learning rates mean the same for large and small maps.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor
from torch.nn.grad import conv2d_weight, conv3d_weight

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.maps import is_gaussian
from scanprior.energy.objectives import CD, PCD, Objective, refuse_unbounded
from scanprior.energy.replicas import average_
from scanprior.energy.step import (
    OFFSET_EVERY,
    OFFSET_RATE,
    STATS_ROWS,
    Schedule,
    Stats,
    main_variance,
    schedule_of,
)
from scanprior.energy.training import BATCHES_PER_BLOCK, CHECKED_ROWS, LARGEST_SEED, STATISTICS_ROWS, History, blocks
from scanprior.energy.units import Gaussian, ReLU
from scanprior.energy.velocity import VelocityStepper

WINDOWS = 10_000


class ConvolutionalStepper(VelocityStepper):
    """Trains `rbm` with `CD` or `PCD`; velocities, chains, step count and generator are its state (see `Stepper`).

    Args:
        steps: how many mini-batches the whole training has; the schedule is laid out over them.
        seed: seeds the generator of every random number of the training.
        learning_rate: the step size that `schedule.rate` is relative to.
        schedule: none: `schedule_of` the objective.

    Raises:
        ValueError: there is no step for the objective, or a variance is to be learned.
    """

    def __init__(
        self, rbm: ConvolutionalRBM, objective: Objective, *, steps: int, seed: int, learning_rate: float,
        schedule: Schedule | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            rbm.weight, rbm.visible.bias, rbm.hidden.bias, steps=steps, seed=seed, learning_rate=learning_rate
        )  # fmt: skip
        self.rbm, self.objective = rbm, _trainable(rbm, objective)
        self.schedule = schedule or schedule_of(objective)

    @torch.no_grad()
    def block(self, data: Iterable[Tensor]) -> Stats:
        """Train on the mini-batches of `data`, each (batch, channels, *size), one update each.

        Raises:
            Diverged: when a parameter is no longer a finite number after the block.
        """
        batch: Tensor | None = None
        for batch in data:
            self._update(batch)
        if batch is None:
            raise ValueError("a block needs at least one mini-batch")
        self.require_finite(batch)
        return self._stats(batch[:STATS_ROWS])

    def _update(self, v: Tensor) -> None:
        """One mini-batch: both phases, then every parameter."""
        rbm, hidden, visible = self.rbm, self.rbm.hidden, self.rbm.visible
        progress = self.step / max(1, self.steps)
        momentum = self.schedule.momentum_at(progress)
        rate = self.learning_rate * self.schedule.rate(progress)
        step = rate * (1.0 - momentum) / hidden.places
        mean = hidden.total(rbm.hidden_field(v))
        h = hidden.draw_(mean, self.generator)
        activation = mean.transpose(0, 1).flatten(1).mean(1)
        if rbm.centered and self.step % OFFSET_EVERY == 0:
            everywhere = activation.clone()
            average_(everywhere)
            self._move_offset(everywhere)
        believed, again = self._negative(h)

        counts = len(v) / len(believed)  # as many chains as there are count the same as the rows
        up = torch.cat([rbm.shown_hidden(mean), rbm.shown_hidden(again).mul_(-counts)])
        down = torch.cat([rbm.shown_visible(v), rbm.shown_visible(believed)])
        weight_of = conv3d_weight if len(rbm.kernel) == 3 else conv2d_weight
        gradient = weight_of(down, list(rbm.weight.shape), up, stride=rbm.stride)  # pyright: ignore[reportArgumentType]  # both phases in one product
        self.weight_velocity.mul_(momentum).add_(gradient, alpha=step / len(v))
        surprise = visible.units.scale(_sums(v) - counts * _sums(believed))
        self.visible_velocity.mul_(momentum).add_(surprise, alpha=step / len(v))
        self.hidden_velocity.mul_(momentum).add_(_sums(up), alpha=step / len(v))
        if self.schedule.sparsity is not None:
            pull = (activation - self.schedule.sparsity).mul_(self.schedule.sparsity_cost)
            self.hidden_velocity.sub_(pull, alpha=step * hidden.places)
        average_(self.weight_velocity, self.visible_velocity, self.hidden_velocity)
        rbm.weight.mul_(1.0 - rate * self.schedule.weight_decay).add_(self.weight_velocity)
        visible.bias.add_(self.visible_velocity)
        hidden.bias.add_(self.hidden_velocity)
        self.step += 1

    def _negative(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Visible states and hidden means after the objective's Gibbs sweeps, from the draw `h` or from its chains."""
        rbm, objective = self.rbm, self.objective
        persistent = isinstance(objective, PCD)
        if persistent:
            h = self._chain(objective)
        sample = persistent or objective.sample_visible
        v = mean = h
        for sweep in range(objective.k):
            total = rbm.visible.total(rbm.visible_field(h))
            v = rbm.visible.draw_(total, self.generator) if sample else rbm.visible.mean_(total)
            mean = rbm.hidden.total(rbm.hidden_field(v))
            if persistent or sweep < objective.k - 1:
                h = rbm.hidden.draw_(mean, self.generator)  # leaves the mean in its place
            else:
                rbm.hidden.mean_(mean)
        if persistent:
            objective.chain = h
        return v, mean

    def _chain(self, objective: PCD) -> Tensor:
        """Where the chains are: hidden maps (chains, maps, *grid); at first, a draw from the biases."""
        hidden = self.rbm.hidden
        shape = (objective.chains, hidden.channels, *hidden.grid)
        if objective.chain.shape != shape:
            objective.chain = hidden.sample(torch.zeros(shape).to(self.rbm.weight), self.generator)
        return objective.chain

    def _move_offset(self, activation: Tensor) -> None:
        """Let the hidden offset follow the mean `activation` (maps,); the visible bias takes up what that changes.

        With offsets at the mean, a voxel near the border, which fewer hidden units reach, still has its mean right. One
        bias per channel can take up the mean of the change only, so the model moves a little, less and less as the
        activations settle.
        """
        rbm = self.rbm
        change = (activation - rbm.hidden_offset).mul_(OFFSET_RATE)
        rbm.hidden_offset.add_(change)
        shown = rbm.hidden.scale(rbm.hidden.per_channel(change)[None]).expand(1, -1, *rbm.hidden.grid)
        rbm.visible.bias.add_(rbm.down(shown).mean(dim=(0, *range(2, 2 + len(rbm.kernel)))))

    def error(self, v: Tensor) -> Tensor:
        """Mean squared error of the reconstruction of `v` (batch, channels, *size) by means, up and down."""
        rbm = self.rbm
        return (rbm.visible.mean(rbm.visible_field(rbm.hidden.mean(rbm.hidden_field(v)))) - v).square().mean()

    def _stats(self, v: Tensor) -> Stats:
        return Stats(self.error(v), self.rbm.hidden.mean(self.rbm.hidden_field(v)).mean())


def _trainable(rbm: ConvolutionalRBM, objective: Objective) -> CD | PCD:
    """The objective, unless there is no correct step for it."""
    if not isinstance(objective, CD | PCD):
        raise ValueError(
            "convolutional machines are trained by contrastive divergence (cd1, cd2, …) only, or with persistent chains where "
            "Bernoulli units hold them"
        )
    if isinstance(objective, PCD):
        refuse_unbounded(rbm.visible.units, rbm.hidden.units)
    if isinstance(rbm.visible.units, Gaussian) and rbm.visible.units.learn_variance:
        raise ValueError("convolutional machines do not learn the variance: standardise the data instead")
    return objective


@torch.no_grad()
def safe_convolutional_rate(rbm: ConvolutionalRBM, data: Tensor, *, batch_size: int, sweeps: int, seed: int) -> float:
    """As `safe_learning_rate`, for windows of the data (n, channels, *size) that the kernels see.

    A voxel is put together from `overlap` windows, and so much sooner does a reconstruction overshoot.
    """
    unbounded = is_gaussian(rbm.visible) + isinstance(rbm.hidden.units, ReLU)
    if unbounded == 0:
        return 0.1
    seen = windows(data, rbm.kernel, rbm.stride, WINDOWS, Generator().manual_seed(seed))
    share = (2.0 if unbounded == 1 else 0.5 / sweeps) / rbm.overlap
    total = float(seen.var(0, unbiased=False).sum())
    return min(0.1, share / max(main_variance(seen) + total / batch_size, 1e-6))


def windows(data: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], n: int, generator: Generator) -> Tensor:
    """`n` random windows (n, channels x voxels) of `data` (rows, channels, *size) as kernels of a machine see them."""
    view = data
    for axis, (width, step) in enumerate(zip(kernel, stride, strict=True), start=2):
        view = view.unfold(axis, width, step)
    grid = view.shape[2 : 2 + len(kernel)]
    at = [torch.randint(len(data), (n,), generator=generator)]
    at += [torch.randint(side, (n,), generator=generator) for side in grid]
    return view.movedim(1, 1 + len(kernel))[tuple(place.to(data.device) for place in at)].flatten(1)


def fit_convolutional(
    rbm: ConvolutionalRBM, data: Tensor, *, epochs: int, generator: Generator, objective: CD | PCD | None = None,
    batch_size: int = 100, schedule: Schedule | None = None, start: bool = True,
) -> History:  # fmt: skip
    """Train `rbm` in place on `data` (n, channels, *size) in memory; see `fit_rbm`.

    Raises:
        ValueError: when `data` has the wrong shape or a number in it is not finite.
        Diverged: when training leaves the finite numbers.
    """
    check_maps(data, rbm)
    objective = objective or CD(1)
    schedule = schedule or schedule_of(objective)
    if start:
        others = [axis for axis in range(data.ndim) if axis != 1]
        rbm.start_from(data.mean(others), data.var(others, unbiased=False))
    batches = -(-len(data) // batch_size)
    seed = int(torch.randint(LARGEST_SEED, (1,), generator=generator))
    rate = schedule.learning_rate
    if rate is None:
        rate = safe_convolutional_rate(
            rbm, data[:STATISTICS_ROWS], batch_size=batch_size, sweeps=objective.k, seed=seed
        )
    stepper = ConvolutionalStepper(
        rbm, objective, steps=epochs * batches, seed=seed, learning_rate=rate, schedule=schedule
    )
    history = History([], [], [])
    for _ in range(epochs):
        order = torch.randperm(len(data), generator=generator)
        stats = [stepper.block(data[batch] for batch in rows) for rows in blocks(order, batch_size, BATCHES_PER_BLOCK)]
        history.reconstruction.append(float(torch.stack([s.reconstruction for s in stats]).mean()))
        history.activation.append(float(torch.stack([s.activation for s in stats]).mean()))
        history.weight_norm.append(float(rbm.weight.detach().square().mean().sqrt()))
    return history


def check_maps(data: Tensor, rbm: ConvolutionalRBM) -> None:
    """Refuse data that isn't (n, channels, *size) of `rbm`, has no rows, or a number that its visible units can't take."""
    expected = (rbm.visible.channels, *rbm.visible.grid)
    if tuple(data.shape[1:]) != expected or not len(data):
        raise ValueError(f"the data has the shape {tuple(data.shape)}; expected rows of {expected}")
    for place, rows in enumerate(data.split(CHECKED_ROWS)):
        bad = rbm.visible.units.outside(rows.movedim(1, -1)).movedim(-1, 1)
        if bool(bad.any()):
            row, channel, *voxel = bad.nonzero()[0].tolist()
            channels = rows[row][(slice(None), *voxel)]
            said = f"{float(channels[channel]):g} in channel {channel}"
            if rbm.visible.kind == "softmax":  # it takes them together to see what is wrong
                said = ", ".join(f"{value:g}" for value in channels.tolist()) + " in its channels"
            finite = bool(torch.isfinite(channels).all())
            must = f"{rbm.visible.kind} units can't take it" if finite else "it must be finite"
            raise ValueError(f"row {row + place * CHECKED_ROWS}, voxel {tuple(voxel)} of the data has {said}; {must}")


def _sums(states: Tensor) -> Tensor:
    """Sums per channel of (batch, channels, *grid)."""
    return states.transpose(0, 1).flatten(1).sum(1)
