"""Networks that turn patches into class logits: stacks of dense layers, and small 3-D convolutions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init  # torch's own random start would draw from the global generator

from scanprior.learning.kernels import kernels

Size = tuple[int, int, int]
Convolution = tuple[Tensor, Tensor]  # weight (maps, channels, *kernel) and bias (maps,)
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


class ConvLayer(NamedTuple):
    """One convolution of the small network: how many maps it takes and gives, and its geometry."""

    channels: tuple[int, int]
    size: Size  # sides of the maps below
    kernel: Size
    stride: Size


def conv_layers(size: Size, width: int) -> list[ConvLayer]:
    """Three valid convolutions down to a single voxel, the first with stride 2, for patches of odd sides.

    13³ → 5³ kernels, stride 2 → 5³ → 3³ kernels → 3³ → 3³ kernels → 1. A stride costs a quarter of a max-pooling in its
    place (9 against 36 ms per step of 128 patches).
    """
    first, stride, second, third = (_sides(part) for part in zip(*(kernels(side) for side in size), strict=True))
    middle = _sides((side - k) // s + 1 for side, k, s in zip(size, first, stride, strict=True))
    top = _sides(side - k + 1 for side, k in zip(middle, second, strict=True))
    return [
        ConvLayer((1, width), size, first, stride),
        ConvLayer((width, 2 * width), middle, second, (1, 1, 1)),
        ConvLayer((2 * width, 4 * width), top, third, (1, 1, 1)),
    ]


def conv_network(size: Size, classes: int, *, width: int, dropout: float) -> nn.Sequential:
    """The convolutions of `conv_layers`, rectified, and a dense layer on top, uninitialised; logits (n, classes).

    No padding and no statistics over a patch, so its dense form is exact everywhere (learning/dense.py).
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (1, *size))]
    for one in conv_layers(size, width):
        layers += [skip_init(nn.Conv3d, *one.channels, one.kernel, stride=one.stride), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), Dropout(dropout), skip_init(nn.Linear, 4 * width, classes))


def convolutions(network: nn.Module) -> list[nn.Conv3d]:
    """The convolutions of a network from the bottom up."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]


def weights_of(network: nn.Module) -> list[Convolution]:
    """Copies of the weight and bias of every convolution of a network."""
    with_bias = [(layer.weight, layer.bias) for layer in convolutions(network) if layer.bias is not None]
    return [(weight.detach().clone(), bias.detach().clone()) for weight, bias in with_bias]


@torch.no_grad()
def set_convolutions(network: nn.Module, values: Sequence[Convolution]) -> None:
    """Give the convolutions of a network these weights and biases."""
    for layer, (weight, bias) in zip(convolutions(network), values, strict=True):
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)


def _sides(sides: Iterable[int]) -> Size:
    i, j, k = sides
    return i, j, k


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
