"""Convolutional priors: their upward pass is the convolutional part of the `cnn` arm's network, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init
from typing_extensions import override

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolutional_dbn import ConvolutionalDBN
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Units
from scanprior.learning.convolutional_autoencoder import ConvolutionalAutoencoder
from scanprior.learning.network import ConvLayer, Convolution, set_convolutions, weights_of
from scanprior.learning.patch_prior import FORMAT, FORMAT_VERSION, PatchPrior, Size

FAMILY = "convolutional"
SMALLEST = 1e-6  # a map that is always off is left so
KINDS: dict[str, type[Units]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "rectified": ReLU}


class ConvolutionalPrior(PatchPrior):
    """A stack of convolutional machines, or a convolutional autoencoder, over patches, and the network that it starts.

    One mean and one deviation standardise all voxels, so that kernels see the same scale everywhere.

    Args:
        net: models the standardised patches; reconstructs and (machines) generates.
        up: the convolutions that encode and that an arm starts from; none: those of `net`. They may have learned further
            since, as recognition weights apart from the generative ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, net: ConvolutionalDBN | ConvolutionalAutoencoder, *, mean: Tensor, std: Tensor, patch_size: Size,
        up: Sequence[Convolution] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = layers_of(net)
        if self.layers[0].size != tuple(patch_size):
            raise ValueError(f"the net sees {self.layers[0].size} voxels, the patches have {tuple(patch_size)}")
        self.net, self.patch_size = net, patch_size
        self.generates = isinstance(net, ConvolutionalDBN)
        self.register_buffer("mean", mean.detach().clone().view(1))
        self.register_buffer("std", std.detach().clone().view(1))
        self.up = nn.ModuleList(
            [skip_init(nn.Conv3d, *one.channels, one.kernel, stride=one.stride) for one in self.layers]
        )
        set_convolutions(self.up, up if up is not None else convolutions_of(net))

    def normalise(self, patches: Tensor) -> Tensor:
        """(patches - mean) / std as maps, (n, visible) -> (n, 1, *patch_size)."""
        return ((patches - self.mean) / self.std).unflatten(1, (1, *self.patch_size))

    def convolutions(self) -> list[Convolution]:
        """Weight and bias of every convolution upward, on normalised patches; rectified units follow each."""
        return weights_of(self.up)

    @override
    def encode(self, patches: Tensor) -> Tensor:
        maps = self.normalise(patches)
        for layer in self.up:
            maps = layer(maps).relu()
        return maps.flatten(1)

    forward = encode

    @override
    def reconstruct(self, patches: Tensor) -> Tensor:
        return self.net.decode(self.net.encode(self.normalise(patches))).flatten(1) * self.std + self.mean

    @override
    def filters(self, most: int) -> Tensor:
        weight = self.convolutions()[0][0][:, 0]
        strongest = weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:most]
        return weight[strongest]

    @override
    def summary(self) -> str:
        if isinstance(self.net, ConvolutionalDBN):
            kinds = ", ".join(f"{rbm.visible.kind}-{rbm.hidden.kind}" for rbm in self.net.machines)
            what = f"A stack of convolutional restricted Boltzmann machines ({kinds})"
        else:
            what = "A convolutional denoising autoencoder"
        layers = " - ".join(f"{len(weight)} x {_sides(weight.shape[2:])}" for weight, _ in self.convolutions())
        return f"{what}; maps and kernels: {layers}."

    @override
    def structure(self) -> dict[str, Any]:
        base = {"format": FORMAT, "version": FORMAT_VERSION, "family": FAMILY, "patch_size": list(self.patch_size)}
        layers = [{name: list(sides) for name, sides in one._asdict().items()} for one in self.layers]
        if isinstance(self.net, ConvolutionalAutoencoder):
            return {**base, "model": "autoencoder", "layers": layers}
        for layer, rbm in zip(layers, self.net.machines, strict=True):
            layer |= {"visible": rbm.visible.kind, "hidden": rbm.hidden.kind, "centered": rbm.centered}  # pyright: ignore[reportArgumentType]
        return {**base, "model": "machines", "layers": layers}

    @override
    def generate(self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None) -> Tensor:
        if not isinstance(self.net, ConvolutionalDBN):
            raise TypeError("nothing can be drawn from an autoencoder; only machines are a model of the patches")
        begin = None if start is None else self.normalise(start)
        return self.net.generate(n, generator, sweeps=sweeps, start=begin).flatten(1) * self.std + self.mean


def machine(
    layer: ConvLayer, visible: str, hidden: str, *, centered: bool = True, std: float = 0.01, seed: int = 0
) -> ConvolutionalRBM:
    """A fresh machine with the geometry of a layer of the network and units of these kinds."""
    return ConvolutionalRBM(
        KINDS[visible](layer.channels[0]), KINDS[hidden](layer.channels[1]), size=layer.size, kernel=layer.kernel,
        stride=layer.stride, centered=centered, std=std, generator=Generator().manual_seed(seed),
    )  # fmt: skip


def restore(structure: dict[str, Any]) -> ConvolutionalPrior:
    """A prior of this `structure`, its tensors still to be loaded."""
    layers = [ConvLayer(*(tuple(one[name]) for name in ConvLayer._fields)) for one in structure["layers"]]
    net: ConvolutionalDBN | ConvolutionalAutoencoder
    if structure["model"] == "autoencoder":
        net = ConvolutionalAutoencoder(layers)
    else:
        kinds = [(one["visible"], one["hidden"], one["centered"]) for one in structure["layers"]]
        net = ConvolutionalDBN(
            [machine(layer, v, h, centered=centered) for layer, (v, h, centered) in zip(layers, kinds, strict=True)]
        )
    return ConvolutionalPrior(net, mean=torch.zeros(1), std=torch.ones(1), patch_size=tuple(structure["patch_size"]))


def layers_of(net: ConvolutionalDBN | ConvolutionalAutoencoder) -> tuple[ConvLayer, ...]:
    """The geometry of a net's layers."""
    if isinstance(net, ConvolutionalAutoencoder):
        return net.plan
    return tuple(
        ConvLayer(
            (rbm.visible.channels, rbm.hidden.channels), *map(_triple, (rbm.visible.grid, rbm.kernel, rbm.stride))
        )
        for rbm in net.machines
    )


@torch.no_grad()
def convolutions_of(net: ConvolutionalDBN | ConvolutionalAutoencoder) -> list[Convolution]:
    """Weight and bias of the convolutions upward of a net."""
    if isinstance(net, ConvolutionalDBN):
        return [rbm.upward() for rbm in net.machines]
    return weights_of(net.up)


@torch.no_grad()
def balance(convolutions: Sequence[Convolution], layers: Sequence[ConvLayer], maps: Tensor) -> list[Convolution]:
    """The same rectified network with the scale of a random start in every map (He et al. 2015): what `maps` come to.

    A map may be multiplied by a factor that the layer above takes back, because rectified units are homogeneous. The
    factor makes the map's total as large, in root mean square, as a random start would from the maps below.
    """
    found: list[Convolution] = []
    factor = torch.ones(maps.shape[1])
    for (weight, bias), layer in zip(convolutions, layers, strict=True):
        weight = weight / factor.view(1, -1, 1, 1, 1)
        total = functional.conv3d(maps, weight, bias, stride=layer.stride)
        size = total.square().mean((0, 2, 3, 4)).sqrt().clamp_min(SMALLEST)
        factor = (2 * maps.square().mean()).sqrt() / size
        weight, bias = weight * factor.view(-1, 1, 1, 1, 1), bias * factor
        maps = functional.conv3d(maps, weight, bias, stride=layer.stride).relu()
        found.append((weight, bias))
    return found


def _triple(sides: tuple[int, ...]) -> Size:
    i, j, k = sides
    return i, j, k


def _sides(sides: torch.Size) -> str:
    return "x".join(str(side) for side in sides)
