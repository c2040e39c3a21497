"""A stack of convolutional machines, and the convolutional network that it turns into (Lee et al. 2009, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.dbn import RANGE
from scanprior.energy.maps import MaxPooledMaps
from scanprior.energy.units import Gaussian, ReLU


class ConvolutionalDBN(nn.Module):
    """Layers of convolutional machines, each one's visible maps being the (pooled) hidden maps of the one below."""

    def __init__(self, layers: Sequence[ConvolutionalRBM]) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a convolutional deep belief net needs at least one machine")
        for below, above in pairwise(layers):
            upper, lower = (above.visible.channels, above.visible.grid), (below.hidden.channels, shown_grid(below))
            if upper != lower:
                raise ValueError(
                    f"{lower[0]} hidden maps of {lower[1]} can't carry {upper[0]} visible maps of {upper[1]}"
                )
        self.layers = nn.ModuleList(layers)

    @property
    def machines(self) -> list[ConvolutionalRBM]:
        """The machines from the bottom up."""
        return list(self.layers)  # pyright: ignore[reportReturnType]

    def encode(self, v: Tensor, depth: int | None = None) -> Tensor:
        """The mean activations of hidden layer `depth` (default: the top), (batch, channels, *size) -> (batch, maps, *grid)."""
        for rbm in self.machines[:depth]:
            v = rbm.hidden.mean(rbm.hidden_field(v))
            v = rbm.hidden.pool(v) if isinstance(rbm.hidden, MaxPooledMaps) else v
        return v

    def decode(self, h: Tensor, depth: int | None = None) -> Tensor:
        """The visible means below the states `h` of layer `depth` (default: the top), by means all the way."""
        for rbm in reversed(self.machines[:depth]):
            h = rbm.hidden.spread(h) if isinstance(rbm.hidden, MaxPooledMaps) else h
            h = rbm.visible.mean(rbm.visible_field(h))
        return h

    @torch.no_grad()
    def generate(self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None) -> Tensor:
        """`n` samples (n, channels, *size): Gibbs sampling in the top machine, then one pass down by means.

        Gaussian and rectified maps bound each other from no side, so that a chain of both is held to five standard
        deviations around the biases; maps above rectified ones are never below zero.
        """
        top = self.machines[-1]
        if start is not None:
            v = self.encode(start, len(self.machines) - 1)
        else:
            v = top.visible.sample(torch.zeros(n, top.visible.channels, *top.visible.grid).to(top.weight), generator)
        bottom = len(self.machines) == 1
        for sweep in range(sweeps):
            field = top.visible_field(top.hidden.sample(top.hidden_field(v), generator))
            last = bottom and sweep == sweeps - 1
            v = self._held(top, top.visible.mean(field) if last else top.visible.sample(field, generator))
        return self.decode(v, len(self.machines) - 1)

    def _held(self, rbm: ConvolutionalRBM, v: Tensor) -> Tensor:
        units = rbm.visible.units
        if isinstance(units, Gaussian) and rbm.hidden.units.unbounded:
            width = RANGE * torch.exp(0.5 * units.log_variance)
            shape = rbm.visible.per_channel
            v = torch.maximum(torch.minimum(v, shape(rbm.visible.bias + width)), shape(rbm.visible.bias - width))
        place = self.machines.index(rbm)
        rectified = place > 0 and isinstance(self.machines[place - 1].hidden.units, ReLU)
        return v.clamp_min(0) if rectified else v


def shown_grid(rbm: ConvolutionalRBM) -> tuple[int, ...]:
    """Sides of the maps that the next machine sees."""
    return rbm.hidden.pooled if isinstance(rbm.hidden, MaxPooledMaps) else rbm.hidden.grid
