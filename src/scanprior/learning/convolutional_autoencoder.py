"""The convolutional denoising autoencoder and its training step (Masci, Meier, Ciresan & Schmidhuber 2011).

The encoder is the convolutional part of the `cnn` arm's network; the decoder mirrors it with kernels of its own. All layers
are trained at once to give back the patch from a copy with noise and missing voxels (Vincent et al. 2010).
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
from scanprior.learning.network import ConvLayer, start

NOISE = 0.3  # standard deviation of the noise, in that of the voxels
MASKED = 0.25  # share of voxels set to the mean
RATE = 1e-3  # of Adam
WEIGHT_DECAY = 1e-4
WARM_UP = 0.02  # share of the training in which the rate rises


class ConvolutionalAutoencoder(nn.Module):
    """Convolutions with rectified units up, transposed ones down; maps are (batch, 1, *size).

    Args:
        layers: the convolutions, from the bottom up.
        generator: draws the first weights; none leaves them unset, to be filled from saved ones.
    """

    def __init__(self, layers: Sequence[ConvLayer], generator: Generator | None = None) -> None:
        super().__init__()
        self.plan = tuple(layers)
        self.up = nn.ModuleList([skip_init(nn.Conv3d, *one.channels, one.kernel, stride=one.stride) for one in layers])
        self.down = nn.ModuleList(
            [
                skip_init(nn.ConvTranspose3d, *one.channels[::-1], one.kernel, stride=one.stride)
                for one in reversed(layers)
            ]
        )
        if generator is None:
            return
        start(nn.Sequential(*self.up, skip_init(nn.Linear, 1, 1)), "rectified", generator)
        with torch.no_grad():
            for one, layer in zip(reversed(layers), self._transposed, strict=True):
                # As many hidden units reach a voxel as there are kernel places per step, in every map.
                reached = one.channels[1] * math.prod(k / s for k, s in zip(one.kernel, one.stride, strict=True))
                layer.weight.normal_(0, math.sqrt(2 / reached), generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()

    @property
    def _transposed(self) -> list[nn.ConvTranspose3d]:
        return [layer for layer in self.down if isinstance(layer, nn.ConvTranspose3d)]

    def encode(self, v: Tensor) -> Tensor:
        """Maps of the top layer."""
        for layer in self.up:
            v = layer(v).relu()
        return v

    def decode(self, h: Tensor) -> Tensor:
        """Voxels from the maps of the top layer."""
        for layer in self.down[:-1]:
            h = layer(h).relu()
        return self.down[-1](h)

    def forward(self, v: Tensor) -> Tensor:
        """Up and down."""
        return self.decode(self.encode(v))


class ConvolutionalDenoisingStepper(AdamStepper):
    """Trains `net` by denoising; Adam's moments, step count and generator are its state.

    Args:
        steps: how many mini-batches the whole training has; after a short rise the rate falls by a half cosine.
        seed: seeds the generator of noise and masks.
    """

    def __init__(self, net: ConvolutionalAutoencoder, *, steps: int, seed: int, learning_rate: float = RATE) -> None:
        super().__init__(steps=steps, seed=seed, learning_rate=learning_rate)
        self.net = net

    @override
    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.net.parameters(), lr=self.learning_rate, weight_decay=WEIGHT_DECAY, fused=True)

    def rate(self, progress: float) -> float:
        """The learning rate, relative to the full one, at `progress` in [0, 1)."""
        if progress < WARM_UP:
            return (progress + 1 / max(1, self.steps)) / (WARM_UP + 1 / max(1, self.steps))
        return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))

    def block(self, batches: Iterable[Tensor]) -> Stats:
        """Train on mini-batches (n, 1, *size), one update each; returns what the last one looked like.

        Raises:
            Diverged: when the loss is no longer a finite number.
        """
        (_, generator), batch, loss = self.tools, torch.empty(0), torch.zeros(())
        for batch in batches:
            spoilt = torch.empty_like(batch).normal_(0, NOISE, generator=generator).add_(batch)
            spoilt.mul_(torch.empty_like(batch).uniform_(generator=generator).ge_(MASKED))
            loss = functional.mse_loss(self.net(spoilt), batch)
            self.learn(loss, self.learning_rate * self.rate(self.step / max(1, self.steps)))
        if not bool(torch.isfinite(loss)):
            raise Diverged(
                f"training diverged by step {self.step}: the loss is no longer finite. Lower the learning rate "
                f"(it was {self.learning_rate:g}), or look for rows that are not standardised"
            )
        with torch.no_grad():
            shown = batch[:STATS_ROWS]
            return Stats(self.error(shown), self.net.encode(shown).mean())

    def error(self, v: Tensor) -> Tensor:
        """Mean squared error of the reconstruction of `v` (batch, 1, *size), nothing missing."""
        return functional.mse_loss(self.net(v), v)
