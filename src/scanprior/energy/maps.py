"""Units of one kind at every place of a grid, sharing their bias: the two sides of a convolutional machine.

States, fields and means are (batch, channels, *grid). Hidden maps may compete in blocks of which at most one unit is on
(probabilistic max-pooling, Lee, Grosse, Ranganath & Ng 2009, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.units import Bernoulli, Gaussian, Units


class Maps(nn.Module):
    """`units` (one per channel) at every place of `grid`, with one bias per channel; same questions as to `Units`."""

    def __init__(self, units: Units, grid: Sequence[int]) -> None:
        super().__init__()
        if not grid or min(grid) < 1:
            raise ValueError(f"a grid needs at least one place along every axis; got {tuple(grid)}")
        self.units, self.grid = units, tuple(grid)

    @property
    def kind(self) -> str:
        """The kind of the units."""
        return self.units.kind

    @property
    def channels(self) -> int:
        """How many maps there are."""
        return self.units.size

    @property
    def places(self) -> int:
        """How many units share a bias."""
        return math.prod(self.grid)

    @property
    def bias(self) -> nn.Parameter:
        """One per channel, (channels,)."""
        return self.units.bias

    def scale(self, states: Tensor) -> Tensor:
        """What the weights see of `states`: see `Units.scale`."""
        return self.units.scale(states.movedim(1, -1)).movedim(-1, 1)

    def per_channel(self, values: Tensor) -> Tensor:
        """`values` (channels,) in a shape that broadcasts to states."""
        return values.view(-1, *[1] * len(self.grid))

    def total(self, field: Tensor) -> Tensor:
        """Bias + field, a new tensor."""
        return field + self.per_channel(self.bias)

    def mean(self, field: Tensor) -> Tensor:
        """The expected states given the other side's `field`."""
        return self.mean_(self.total(field))

    @torch.no_grad()
    def sample(self, field: Tensor, generator: Generator) -> Tensor:
        """States drawn given the other side's `field`; no gradient flows through a draw."""
        return self.draw_(self.total(field), generator)

    @torch.no_grad()
    def sample_rest(self, field: Tensor, given: Tensor, known: Tensor, generator: Generator) -> Tensor:
        """As `sample`, given the states of `given` where `known` (bool, broadcast to them) is true."""
        field, given, known = (tensor.movedim(1, -1) for tensor in (field, given, known.expand_as(given)))
        return self.units.sample_rest(field, given, known, generator).movedim(-1, 1)

    def mean_(self, total: Tensor) -> Tensor:
        """Turn `total` = bias + field into the mean, in place."""
        self.units.mean_(total.movedim(1, -1))
        return total

    def draw_(self, total: Tensor, generator: Generator) -> Tensor:
        """Turn `total` into the mean, in place, and return a draw."""
        last = total.movedim(1, -1)
        draw = torch.empty_like(total)
        noise = torch.empty(last.shape, dtype=total.dtype, device=total.device)  # drawn 8 times faster when contiguous
        self.units.draw_(last, draw.movedim(1, -1), noise, generator)
        return draw

    def energy(self, states: Tensor) -> Tensor:
        """The side's own part of the energy (batch,)."""
        return self.units.energy(states.movedim(1, -1)).flatten(1).sum(1)

    def log_partition(self, field: Tensor) -> Tensor:
        """log of the sum (integral) over all states of exp(field . scale(s) - energy(s)), (batch,)."""
        return self.units.log_partition(field.movedim(1, -1)).flatten(1).sum(1)

    @torch.no_grad()
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        """Begin at the data's `mean` and `variance` per channel (channels,)."""
        self.units.start_from(mean, variance)


class MaxPooledMaps(Maps):
    """Bernoulli maps in blocks of `block` neighbours, of which at most one is on (probabilistic max-pooling).

    A block of one map is one choice among its units and "none": P(h_i = 1) = exp(x_i) / (1 + sum of exp(x_j)). `pool`
    tells whether any is on; that is what the next machine sees.
    """

    def __init__(self, channels: int, grid: Sequence[int], block: Sequence[int]) -> None:
        super().__init__(Bernoulli(channels), grid)
        if len(block) != len(grid) or min(block) < 1 or any(g % b for g, b in zip(grid, block, strict=True)):
            raise ValueError(f"blocks of {tuple(block)} do not tile maps of {tuple(grid)} units")
        self.block = tuple(block)
        self.pooled = tuple(g // b for g, b in zip(grid, block, strict=True))

    def _blocks(self, maps: Tensor) -> Tensor:
        """(batch, channels, *pooled, units of a block), a copy."""
        axes = len(self.grid)
        split = maps.reshape(*maps.shape[:2], *[n for pair in zip(self.pooled, self.block, strict=True) for n in pair])
        order = (0, 1, *range(2, 2 + 2 * axes, 2), *range(3, 3 + 2 * axes, 2))
        return split.permute(order).flatten(-axes)

    def _maps(self, blocks: Tensor) -> Tensor:
        """The inverse of `_blocks`."""
        axes = len(self.grid)
        split = blocks.unflatten(-1, self.block)
        order = (0, 1, *[place for axis in range(axes) for place in (2 + axis, 2 + axes + axis)])
        return split.permute(order).reshape(*blocks.shape[:2], *self.grid)

    def pool(self, states: Tensor) -> Tensor:
        """Of states: whether a block has a unit that is on; of means: the probability. (batch, channels, *pooled)."""
        return self._blocks(states).sum(-1)

    def spread(self, pooled: Tensor) -> Tensor:
        """Hidden means (batch, channels, *grid) under `pooled` states, every unit of a block being as likely as the others."""
        units = math.prod(self.block)
        return self._maps((pooled / units).unsqueeze(-1).expand(*pooled.shape, units))

    @override
    def mean_(self, total: Tensor) -> Tensor:
        return total.copy_(self._maps(self._with_none(self._blocks(total)).softmax(-1)[..., :-1]))

    @override
    def energy(self, states: Tensor) -> Tensor:
        """The side's own part of the energy (batch,); infinite where two units of a block are on."""
        crowded = (self._blocks(states).sum(-1) > 1.5).flatten(1).any(1)
        return super().energy(states).masked_fill(crowded, math.inf)

    @override
    def draw_(self, total: Tensor, generator: Generator) -> Tensor:
        logits = self._with_none(self._blocks(total))
        total.copy_(self._maps(logits.softmax(-1)[..., :-1]))
        gumbel = torch.empty_like(logits).exponential_(generator=generator).log_().neg_()
        winner = (logits + gumbel).argmax(-1, keepdim=True)
        return self._maps(torch.zeros_like(logits).scatter_(-1, winner, 1.0)[..., :-1])

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        return self._with_none(self._blocks(self.total(field))).logsumexp(-1).flatten(1).sum(1)

    def _with_none(self, blocks: Tensor) -> Tensor:
        return torch.cat([blocks, torch.zeros_like(blocks[..., :1])], -1)


def is_gaussian(maps: Maps) -> bool:
    """Whether the units are Gaussian."""
    return isinstance(maps.units, Gaussian)
