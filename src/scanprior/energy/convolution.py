"""The convolutional restricted Boltzmann machine: weights are kernels, shared by all places (Lee et al. 2009)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from scanprior.energy.maps import Maps, MaxPooledMaps
from scanprior.energy.units import Gaussian, Units


class ConvolutionalRBM(nn.Module):
    """E(v, h) = E_visible(v) + E_hidden(h) - sum over maps k, places p of (scale(v - mu) * W)_kp scale(h - lambda)_kp.

    `*` is a valid cross-correlation, so that the hidden means given v are one layer of a convolutional network. The
    visible side is (batch, channels, *size), the hidden side (batch, maps, *grid), in two or three dimensions. mu and
    lambda are offsets per channel and map, as in `RBM`.

    Args:
        visible: units of one voxel, one per channel.
        hidden: units of one place of the hidden maps, one per map.
        size: sides of the visible maps.
        kernel: sides of the kernels.
        stride: step between the places of neighbouring hidden units.
        pooling: sides of the blocks in which at most one hidden unit is on; Bernoulli hidden units only.
        centered, std, generator: as in `RBM`.

    Raises:
        ValueError: the sizes don't fit each other.
    """

    visible_offset: Tensor
    hidden_offset: Tensor

    def __init__(
        self,
        visible: Units,
        hidden: Units,
        *,
        size: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int] | None = None,
        pooling: Sequence[int] | None = None,
        centered: bool = True,
        std: float = 0.01,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        stride = tuple(stride) if stride is not None else (1,) * len(size)
        grid = hidden_grid(size, kernel, stride)
        self.kernel, self.stride, self.centered = tuple(kernel), stride, centered
        self.visible = Maps(visible, size)
        self.hidden = Maps(hidden, grid) if pooling is None else _pooled(hidden, grid, pooling)
        generator = generator if generator is not None else Generator().manual_seed(0)
        self.weight = nn.Parameter(std * torch.randn(hidden.size, visible.size, *kernel, generator=generator))
        self.register_buffer("visible_offset", torch.zeros(visible.size))
        self.register_buffer("hidden_offset", torch.zeros(hidden.size))

    @property
    def overlap(self) -> float:
        """Hidden units of one map that see a voxel in the middle."""
        product = 1.0
        for side, step in zip(self.kernel, self.stride, strict=True):
            product *= side / step
        return product

    def shown_visible(self, v: Tensor) -> Tensor:
        """What the weights see of `v` (batch, channels, *size): scaled, and centred."""
        return self.visible.scale(v) - self.visible.scale(self._offset(self.visible, self.visible_offset))

    def shown_hidden(self, h: Tensor) -> Tensor:
        """What the weights see of `h` (batch, maps, *grid): scaled, and centred."""
        return self.hidden.scale(h) - self.hidden.scale(self._offset(self.hidden, self.hidden_offset))

    def hidden_field(self, v: Tensor) -> Tensor:
        """What the visible states `v` add to the hidden bias, (batch, maps, *grid)."""
        return self.up(self.shown_visible(v))

    def visible_field(self, h: Tensor) -> Tensor:
        """What the hidden states `h` add to the visible bias, (batch, channels, *size)."""
        return self.down(self.shown_hidden(h))

    def up(self, shown: Tensor) -> Tensor:
        """Shown visible states through the kernels."""
        convolve = functional.conv3d if len(self.kernel) == 3 else functional.conv2d
        return convolve(shown, self.weight, stride=self.stride)

    def down(self, shown: Tensor) -> Tensor:
        """Shown hidden states through the transposed kernels."""
        convolve = functional.conv_transpose3d if len(self.kernel) == 3 else functional.conv_transpose2d
        return convolve(shown, self.weight, stride=self.stride)

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """The joint energy (batch,) of `v` and `h`."""
        together = (self.hidden_field(v) * self.shown_hidden(h)).flatten(1).sum(1)
        return self.visible.energy(v) + self.hidden.energy(h) - together

    def free_energy(self, v: Tensor) -> Tensor:
        """-log of the sum over h of exp(-E(v, h)), (batch,): -log p(v) up to log Z."""
        field = self.hidden_field(v)
        offset = self.hidden.scale(self._offset(self.hidden, self.hidden_offset))
        return self.visible.energy(v) - self.hidden.log_partition(field) + (field * offset).flatten(1).sum(1)

    def hidden_free_energy(self, h: Tensor) -> Tensor:
        """-log of the sum over v of exp(-E(v, h)), (batch,): -log p(h) up to log Z."""
        field = self.visible_field(h)
        offset = self.visible.scale(self._offset(self.visible, self.visible_offset))
        return self.hidden.energy(h) - self.visible.log_partition(field) + (field * offset).flatten(1).sum(1)

    @torch.no_grad()
    def gibbs(self, v: Tensor, steps: int, generator: Generator, *, known: Tensor | None = None) -> Tensor:
        """`steps` full sweeps of block Gibbs sampling from `v`; where `known` (bool, broadcast to `v`) is true v stays."""
        given = v
        for _ in range(steps):
            h = self.hidden.sample(self.hidden_field(v), generator)
            field = self.visible_field(h)
            if known is None:
                v = self.visible.sample(field, generator)
            else:
                v = self.visible.sample_rest(field, given, known, generator)
        return v

    @torch.no_grad()
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        """Begin at the data: visible bias, variance and offset from the data's `mean` and `variance` (channels,)."""
        self.visible.start_from(mean, variance)
        if self.centered:
            self.visible_offset.copy_(mean)
            nothing = torch.zeros(1, self.hidden.channels, *self.hidden.grid).to(self.weight)
            self.hidden_offset.copy_(self.hidden.mean(nothing)[0].flatten(1).mean(1))

    @torch.no_grad()
    def fold(self, mean: Tensor, std: Tensor) -> None:
        """Turn a machine trained on (v - mean) / std, Gaussian and of variance 1, into the same machine on v itself.

        With `mean` and `std` (channels,): see `RBM.fold`.
        """
        units = self.visible.units
        if not isinstance(units, Gaussian):
            raise ValueError(f"only Gaussian visible units can take in a standardiser; these are {units.kind}")
        units.bias.mul_(std).add_(mean)
        units.log_variance.add_(2 * torch.log(std))
        self.weight.mul_(std.view(1, -1, *[1] * len(self.kernel)))
        self.visible_offset.mul_(std).add_(mean)

    @torch.no_grad()
    def upward(self) -> tuple[Tensor, Tensor]:
        """Weight (maps, channels, *kernel) and bias (maps,) of the convolution that gives the hidden units' total."""
        weight = self.visible.scale(self.weight)
        shown = self.visible.units.scale(self.visible_offset)
        return weight, self.hidden.bias - torch.einsum("kc...,c->k", self.weight, shown)

    @staticmethod
    def _offset(maps: Maps, offset: Tensor) -> Tensor:
        return maps.per_channel(offset)[None]


def hidden_grid(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
    """Sides of the hidden maps under valid kernels; refuses sizes that leave voxels at the far end unseen."""
    if not 2 <= len(size) <= 3 or not len(size) == len(kernel) == len(stride):
        raise ValueError(
            f"size, kernel and stride need two or three sides each; got {tuple(size)}, {tuple(kernel)}, {tuple(stride)}"
        )
    for axis, (side, width, step) in enumerate(zip(size, kernel, stride, strict=True)):
        if not 1 <= width <= side:
            raise ValueError(f"axis {axis}: a kernel of {width} does not fit into maps of {side}")
        if not 1 <= step <= width or (side - width) % step:
            raise ValueError(
                f"axis {axis}: kernels of {width} in steps of {step} do not cover maps of {side} to the last voxel"
            )
    return tuple((side - width) // step + 1 for side, width, step in zip(size, kernel, stride, strict=True))


def _pooled(hidden: Units, grid: Sequence[int], pooling: Sequence[int]) -> MaxPooledMaps:
    if hidden.kind != "bernoulli":
        raise ValueError(f"probabilistic max-pooling is defined for bernoulli hidden units; these are {hidden.kind}")
    return MaxPooledMaps(hidden.size, grid, pooling)
