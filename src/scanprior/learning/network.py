"""Networks that turn patches into class logits: stacks of dense layers, and small 3-D convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init  # torch's own random start would draw from the global generator

from scanprior.learning.kernels import kernels

Size = tuple[int, int, int]
SMALLEST_STD = 1e-3  # a voxel that never varies is left at its mean, not blown up


class Standardise(nn.Module):
    """(x − mean) / std with fixed statistics: one per voxel of the patch, or one for all."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach().clone().float())
        self.register_buffer("std", std.detach().clone().float().clamp_min(SMALLEST_STD))

    def forward(self, patches: Tensor) -> Tensor:
        """Same shape."""
        return (patches - self.mean) / self.std


class Dropout(nn.Module):
    """Dropout whose noise comes from the generator that training hands over, never from the global one."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Same shape; the identity outside training."""
        if not self.training or self.rate == 0 or self.generator is None:
            return states
        kept = torch.empty_like(states).uniform_(generator=self.generator).lt_(1 - self.rate)
        return states * kept.mul_(1 / (1 - self.rate))


def activation(hidden: str) -> nn.Module:
    """What a hidden kind computes without noise: rectified or sigmoid."""
    return nn.ReLU() if hidden == "rectified" else nn.Sigmoid()


def dense_network(
    sizes: Sequence[int], hidden: str, *, dropout: float = 0.0, input_dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of the given sizes (visible, hidden …, classes), uninitialised; logits (n, classes)."""
    layers: list[nn.Module] = [Dropout(input_dropout)]
    for before, after in pairwise(sizes[:-1]):
        layers += [skip_init(nn.Linear, before, after), activation(hidden), Dropout(dropout)]
    return nn.Sequential(*layers, skip_init(nn.Linear, sizes[-2], sizes[-1]))


def conv_network(size: Size, classes: int, *, width: int, dropout: float) -> nn.Sequential:
    """Three valid convolutions down to a single voxel, the first with stride 2, uninitialised; logits (n, classes).

    13³ → 5³ kernels, stride 2 → 5³ → 3³ kernels → 3³ → 3³ kernels → 1 → dense. No padding and no statistics over a patch,
    so its dense form is exact everywhere (learning/dense.py). A stride costs a quarter of a max-pooling in its place
    (9 against 36 ms per step of 128 patches).
    """
    first, stride, second, third = zip(*(kernels(side) for side in size), strict=True)
    return nn.Sequential(
        nn.Unflatten(1, (1, *size)),
        skip_init(nn.Conv3d, 1, width, first, stride=stride), nn.ReLU(),
        skip_init(nn.Conv3d, width, 2 * width, second), nn.ReLU(),
        skip_init(nn.Conv3d, 2 * width, 4 * width, third), nn.ReLU(),
        nn.Flatten(), Dropout(dropout), skip_init(nn.Linear, 4 * width, classes),
    )  # fmt: skip


def start(network: nn.Module, hidden: str, generator: torch.Generator) -> None:
    """Random start: He et al. 2015 (normal, fan in) for rectified layers, Glorot & Bengio 2010 (uniform) for sigmoid ones.

    The last layer starts small, so that the first predictions are near even odds; biases start at zero.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv3d)]
    for layer in layers:
        fan_out, fan_in = layer.weight.shape[0], layer.weight[0].numel()
        with torch.no_grad():
            if layer is layers[-1]:
                layer.weight.normal_(0, 0.1 / math.sqrt(fan_in), generator=generator)
            elif hidden == "rectified":
                layer.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            else:
                bound = math.sqrt(6 / (fan_in + fan_out))
                layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
