"""The restricted Boltzmann machine: two layers of units of any kind, and the weights between them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.units import Gaussian, Units


class RBM(nn.Module):
    """E(v, h) = E_visible(v) + E_hidden(h) - (scale(v) - scale(mu)) . W (scale(h) - scale(lambda)).

    mu and lambda are offsets (zero: the plain machine). With the mean activations as offsets the gradient comes closer
    to the natural one, and learning does not care whether a bit is coded 0 or 1 (Melchior, Fischer & Wiskott 2016).

    Args:
        visible, hidden: the two layers.
        centered: whether the offsets are used; the training step then keeps `hidden_offset` near the mean activation.
        std: standard deviation of the first weights.
        generator: draws the first weights; without one, a fresh generator with seed 0.
    """

    visible_offset: Tensor
    hidden_offset: Tensor

    def __init__(
        self,
        visible: Units,
        hidden: Units,
        *,
        centered: bool = True,
        std: float = 0.01,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.visible, self.hidden, self.centered = visible, hidden, centered
        generator = generator if generator is not None else Generator().manual_seed(0)
        self.weight = nn.Parameter(std * torch.randn(visible.size, hidden.size, generator=generator))
        self.register_buffer("visible_offset", torch.zeros(visible.size))
        self.register_buffer("hidden_offset", torch.zeros(hidden.size))

    def hidden_field(self, v: Tensor) -> Tensor:
        """What the visible states `v` (batch, visible) add to the hidden bias, (batch, hidden)."""
        return (self.visible.scale(v) - self.visible.scale(self.visible_offset)) @ self.weight

    def visible_field(self, h: Tensor) -> Tensor:
        """What the hidden states `h` (batch, hidden) add to the visible bias, (batch, visible)."""
        return (self.hidden.scale(h) - self.hidden.scale(self.hidden_offset)) @ self.weight.t()

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """The joint energy (batch,) of `v` (batch, visible) and `h` (batch, hidden)."""
        shown = self.hidden.scale(h) - self.hidden.scale(self.hidden_offset)
        return self.visible.energy(v) + self.hidden.energy(h) - (self.hidden_field(v) * shown).sum(-1)

    def free_energy(self, v: Tensor) -> Tensor:
        """-log of the sum over h of exp(-E(v, h)), (batch,): -log p(v) up to log Z."""
        field = self.hidden_field(v)
        constant = field @ self.hidden.scale(self.hidden_offset)
        return self.visible.energy(v) - self.hidden.log_partition(field) + constant

    def hidden_free_energy(self, h: Tensor) -> Tensor:
        """-log of the sum over v of exp(-E(v, h)), (batch,): -log p(h) up to log Z."""
        field = self.visible_field(h)
        constant = field @ self.visible.scale(self.visible_offset)
        return self.hidden.energy(h) - self.visible.log_partition(field) + constant

    @torch.no_grad()
    def gibbs(self, v: Tensor, steps: int, generator: Generator, *, known: Tensor | None = None) -> Tensor:
        """`steps` full sweeps of block Gibbs sampling from `v` (batch, visible); a new tensor of the same shape.

        Where `known` (bool, broadcast to `v`) is true the visible states stay as given, and the others are drawn from their
        distribution given these: missing voxels, or one modality from another.
        """
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
        """Begin at the data: visible bias, variance and offset from the data's `mean` and `variance` (visible,)."""
        self.visible.start_from(mean, variance)
        if self.centered:
            self.visible_offset.copy_(mean)
            zero = torch.zeros(1, self.hidden.size, dtype=self.weight.dtype, device=self.weight.device)
            self.hidden_offset.copy_(self.hidden.mean(zero)[0])

    @torch.no_grad()
    def fold(self, mean: Tensor, std: Tensor) -> None:
        """Turn a machine trained on (v - mean) / std, Gaussian and of variance 1, into the same machine on v itself.

        With `mean` and `std` (visible,): the hidden units get the very same fields, the visible ones the same density.
        """
        if not isinstance(self.visible, Gaussian):
            raise ValueError(f"only Gaussian visible units can take in a standardiser; these are {self.visible.kind}")
        self.visible.bias.mul_(std).add_(mean)
        self.visible.log_variance.add_(2 * torch.log(std))
        self.weight.mul_(std[:, None])
        self.visible_offset.mul_(std).add_(mean)

    @torch.no_grad()
    def upward(self) -> tuple[Tensor, Tensor]:
        """Weight (hidden, visible) and bias (hidden,) of the linear layer that gives the hidden units' total input."""
        weight = self.visible.scale(self.weight.t())
        return weight, self.hidden.bias - self.visible.scale(self.visible_offset) @ self.weight

    @torch.no_grad()
    def downward(self) -> tuple[Tensor, Tensor]:
        """Weight (visible, hidden) and bias (visible,) of the linear layer that gives the visible units' total."""
        weight = self.hidden.scale(self.weight)
        return weight, self.visible.bias - self.weight @ self.hidden.scale(self.hidden_offset)
