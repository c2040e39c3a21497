"""Learning to tell where in its scan a patch lies: targets that cost nothing, for the upward pass of a convolutional prior.

A reconstruction asks for every grey value alike; what sets one structure apart from its neighbour is often faint. Scans of
one protocol show the same field of view, so a patch's place is known, and to tell it a network has to know the
structures (akin to context prediction: Doersch, Gupta & Efros 2015). Two things make it harder to tell without knowing them: only
patches that lie wholly inside their scan teach it, since the repeated voxels beyond an edge betray the place; and grey
values are altered, other than before each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init
from typing_extensions import override

from scanprior.energy.step import STATS_ROWS, Stats
from scanprior.energy.velocity import Diverged
from scanprior.learning.adam_stepper import AdamStepper
from scanprior.learning.network import ConvLayer, Convolution, set_convolutions

AXES = 3
RATE = 2e-3  # of Adam
WEIGHT_DECAY = 1e-2
WARM_UP = 50  # mini-batches
GAIN, SHIFT, NOISE = 0.2, 0.3, 0.3  # standard deviations of what alters a patch; the voxels' own is 1


class Placer(nn.Module):
    """Convolutions with rectified units, and a linear layer that tells the place; maps (batch, 1, *size) -> (batch, 3).

    Args:
        layers: the convolutions, from the bottom up.
        start: weight and bias that each begins with.
        generator: draws the last layer's first weights.
    """

    def __init__(self, layers: Sequence[ConvLayer], start: Sequence[Convolution], generator: Generator) -> None:
        super().__init__()
        self.up = nn.ModuleList([skip_init(nn.Conv3d, *one.channels, one.kernel, stride=one.stride) for one in layers])
        top = layers[-1].channels[1]
        self.weight = nn.Parameter(torch.randn(AXES, top, generator=generator) * (0.1 / math.sqrt(top)))
        self.bias = nn.Parameter(torch.zeros(AXES))
        set_convolutions(self.up, start)

    def forward(self, v: Tensor) -> Tensor:
        """The standardised place."""
        for layer in self.up:
            v = layer(v).relu()
        return functional.linear(v.flatten(1), self.weight, self.bias)


class PlacingStepper(AdamStepper):
    """Trains `net` on rows of standardised voxels with their standardised place at the end.

    Args:
        size: sides of the patch.
        steps: how many mini-batches the whole training has; after a short rise the rate falls by a half cosine.
        seed: seeds the generator of what alters the patches.
    """

    def __init__(self, net: Placer, *, size: Sequence[int], steps: int, seed: int, learning_rate: float = RATE) -> None:
        super().__init__(steps=steps, seed=seed, learning_rate=learning_rate)
        self.net, self.size = net, tuple(size)

    @override
    def optimiser(self) -> torch.optim.Optimizer:
        weights = [p for p in self.net.parameters() if p.ndim > 1]
        biases = [p for p in self.net.parameters() if p.ndim == 1]
        return torch.optim.AdamW(
            [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": biases, "weight_decay": 0.0}],
            lr=self.learning_rate, fused=True,
        )  # fmt: skip

    def rate(self, step: int) -> float:
        """The learning rate of a step, relative to the full one."""
        return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / max(1, self.steps)))

    def block(self, batches: Iterable[Tensor]) -> Stats:
        """Train on mini-batches (n, voxels + 3), one update each; returns error and activation of the last one.

        Raises:
            Diverged: when the loss is no longer a finite number.
        """
        (_, generator), batch, loss = self.tools, torch.empty(0), torch.zeros(())
        for batch in batches:
            loss = self.error(altered(batch, generator))
            self.learn(loss, self.learning_rate * self.rate(self.step))
        if not bool(torch.isfinite(loss)):
            raise Diverged(f"training diverged by step {self.step}: the loss is no longer finite")
        with torch.no_grad():
            return Stats(self.error(batch[:STATS_ROWS]), self.net(self._maps(batch[:STATS_ROWS])).abs().mean())

    def error(self, batch: Tensor) -> Tensor:
        """Mean squared error of the place, in units of its variance over the patches, of rows (n, voxels + 3)."""
        return functional.mse_loss(self.net(self._maps(batch)), batch[:, -AXES:])

    def _maps(self, batch: Tensor) -> Tensor:
        return batch[:, :-AXES].unflatten(1, (1, *self.size))


def altered(batch: Tensor, generator: Generator) -> Tensor:
    """Rows (n, voxels + 3) with other brightness, contrast and noise of the voxels; the place at the end stays."""
    voxels, place = batch[:, :-AXES], batch[:, -AXES:]
    gain, shift = torch.randn(2, len(batch), 1, generator=generator, device=batch.device)
    noise = torch.randn(voxels.shape, generator=generator, device=batch.device)
    return torch.cat([voxels * (1 + GAIN * gain) + (SHIFT * shift + NOISE * noise), place], 1)
