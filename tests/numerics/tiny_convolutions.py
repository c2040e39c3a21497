"""Small convolutional machines with random parameters, their states, and their energies written out."""

from __future__ import annotations

import torch
from torch import Generator

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.units import Bernoulli, Gaussian


def machine(visible, hidden, seed=1, spread=0.5, **options) -> ConvolutionalRBM:
    """A machine with random parameters and offsets, float64."""
    rbm = ConvolutionalRBM(visible, hidden, **options).double()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in rbm.state_dict().values():
            tensor.normal_(0, spread, generator=generator)
    return rbm


MACHINES = {
    "2-D": lambda: machine(Bernoulli(1), Bernoulli(2), size=(3, 3), kernel=(2, 2)),
    "2-D with two channels": lambda: machine(Bernoulli(2), Bernoulli(2), size=(2, 3), kernel=(2, 2)),
    "2-D with a stride": lambda: machine(Bernoulli(1), Bernoulli(2), size=(3, 4), kernel=(3, 2), stride=(1, 2)),
    "2-D pooled": lambda: machine(Bernoulli(1), Bernoulli(2), size=(3, 3), kernel=(2, 2), pooling=(2, 1)),
    "3-D": lambda: machine(Bernoulli(1), Bernoulli(2), size=(2, 2, 3), kernel=(2, 1, 2)),
    "3-D pooled": lambda: machine(Bernoulli(1), Bernoulli(1), size=(3, 3, 1), kernel=(2, 2, 1), pooling=(2, 2, 1)),
}
GAUSSIAN = {
    "2-D": lambda: machine(Gaussian(2, learn_variance=True), Bernoulli(2), size=(3, 2), kernel=(2, 2)),
    "3-D pooled": lambda: machine(
        Gaussian(1, learn_variance=True), Bernoulli(2), size=(2, 3, 2), kernel=(2, 2, 1), pooling=(1, 1, 2)
    ),
}


def states_of(maps) -> torch.Tensor:
    """Every state of Bernoulli maps, pooled or not, as an enumeration that shares nothing with the code under test."""
    every = Bernoulli(maps.channels * maps.places).states().double().view(-1, maps.channels, *maps.grid)
    if not hasattr(maps, "block"):
        return every
    blocks = every
    for axis, width in enumerate(maps.block, start=2):
        blocks = blocks.unfold(axis, width, width)
    return every[(blocks.flatten(2 + len(maps.grid)).sum(-1) <= 1).flatten(1).all(1)]


def joint(rbm: ConvolutionalRBM, v: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """-E for every pair, (len(v), len(h)), written out voxel by voxel."""
    total = torch.zeros(len(v), len(h), dtype=torch.float64)
    mu, lam = rbm.visible_offset, rbm.hidden_offset
    precision = torch.exp(-rbm.visible.units.log_variance) if isinstance(rbm.visible.units, Gaussian) else None
    weight = rbm.weight if precision is None else rbm.weight * precision.view(1, -1, *[1] * len(rbm.kernel))
    for place in torch.cartesian_prod(*[torch.arange(side) for side in rbm.hidden.grid]):
        start = [int(p) * s for p, s in zip(place, rbm.stride, strict=True)]
        window = v
        for axis, (first, width) in enumerate(zip(start, rbm.kernel, strict=True), start=2):
            window = window.narrow(axis, first, width)
        unit = h[(slice(None), slice(None), *[int(p) for p in place])]
        field = torch.einsum("nc...,kc...->nk", window - mu.view(1, -1, *[1] * len(rbm.kernel)), weight)
        total += field @ (unit - lam).t()
    if precision is None:
        side = v.flatten(2).sum(2) @ rbm.visible.bias
    else:
        residual = (v - rbm.visible.bias.view(1, -1, *[1] * len(rbm.kernel))).square().flatten(2).sum(2)
        side = -0.5 * residual @ precision
    return total + side[:, None] + (h.flatten(2).sum(2) @ rbm.hidden.bias)[None]
