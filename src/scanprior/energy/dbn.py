"""The deep belief net: a stack of restricted Boltzmann machines, and the feed-forward networks it turns into."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax, Units


class DBN(nn.Module):
    """Layers of machines, each one's visible units being the hidden units of the one below.

    The top machine is the prior of the model; the lower ones are directed downward (Hinton, Osindero & Teh 2006).
    """

    def __init__(self, layers: Sequence[RBM]) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a deep belief net needs at least one machine")
        for below, above in pairwise(layers):
            if below.hidden.size != above.visible.size:
                raise ValueError(
                    f"a machine with {below.hidden.size} hidden units can't carry one with {above.visible.size} visible"
                )
        self.layers = nn.ModuleList(layers)

    @property
    def machines(self) -> list[RBM]:
        """The machines from the bottom up."""
        return list(self.layers)  # pyright: ignore[reportReturnType]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per layer: visible, hidden, hidden, …"""
        return (self.machines[0].visible.size, *(rbm.hidden.size for rbm in self.machines))

    def encode(self, v: Tensor, depth: int | None = None) -> Tensor:
        """The mean activations of hidden layer `depth` (default: the top), (batch, visible) -> (batch, hidden)."""
        for rbm in self.machines[:depth]:
            v = rbm.hidden.mean(rbm.hidden_field(v))
        return v

    def decode(self, h: Tensor, depth: int | None = None) -> Tensor:
        """The visible means below the states `h` of hidden layer `depth` (default: the top), by means all the way."""
        for rbm in reversed(self.machines[:depth]):
            h = rbm.visible.mean(rbm.visible_field(h))
        return h

    @torch.no_grad()
    def generate(self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None) -> Tensor:
        """`n` samples (n, visible): Gibbs sampling in the top machine, then one pass down; the last step gives means.

        Args:
            sweeps: Gibbs sweeps at the top.
            start: data (n, visible) whose encoding the top chains begin at; none: the top machine's biases.
        """
        top = self.machines[-1]
        if start is not None:
            states = self.encode(start, len(self.machines) - 1)
        else:
            zero = torch.zeros(n, top.visible.size, dtype=top.weight.dtype, device=top.weight.device)
            states = top.visible.sample(zero, generator)
        states = top.gibbs(states, max(0, sweeps - 1), generator)
        states = top.hidden.sample(top.hidden_field(states), generator)
        for rbm in reversed(self.machines[1:]):
            states = rbm.visible.sample(rbm.visible_field(states), generator)
            if isinstance(rbm.visible, Gaussian):
                states = _into_range(states, self.machines[self.machines.index(rbm) - 1].hidden)
        bottom = self.machines[0]
        return bottom.visible.mean(bottom.visible_field(states))

    def encoder(self) -> nn.Sequential:
        """The upward pass as linear layers and activations, with copies of the parameters."""
        up = [module for rbm in self.machines for module in (_linear(*rbm.upward()), rbm.hidden.activation())]
        return nn.Sequential(*up)

    def unroll(self) -> nn.Sequential:
        """Encoder and mirrored decoder, copies: an autoencoder to fine-tune (Hinton & Salakhutdinov 2006)."""
        down = [
            module for rbm in reversed(self.machines) for module in (_linear(*rbm.downward()), rbm.visible.activation())
        ]
        return nn.Sequential(*self.encoder(), *down)

    def classifier(self, classes: int, *, generator: Generator | None = None, dropout: float = 0.0) -> nn.Sequential:
        """The encoder and a linear layer that gives `classes` logits; all of it is to be fine-tuned.

        Args:
            generator: draws the weights of the last layer; without one, a fresh generator with seed 0.
            dropout: share of activations left out after each hidden layer while training.
        """
        modules: list[nn.Module] = []
        for rbm in self.machines:
            modules += [_linear(*rbm.upward()), rbm.hidden.activation()]
            modules += [nn.Dropout(dropout)] if dropout else []
        generator = generator if generator is not None else Generator().manual_seed(0)
        top = self.sizes[-1]
        weight = torch.randn(classes, top, generator=generator, dtype=torch.float32) * (0.1 / top**0.5)
        return nn.Sequential(*modules, _linear(weight, torch.zeros(classes)))


def visible_above(hidden: Units) -> Units:
    """Visible units for the machine on top of `hidden`: Gaussian above rectified and Gaussian units, else the same.

    Above rectified units the next machine is trained on standardised activations, and the standardiser is folded into
    it afterwards (`RBM.fold`): its Gaussian units then carry each activation's own mean and variance.
    """
    if isinstance(hidden, ReLU | Gaussian):
        return Gaussian(hidden.size)
    if isinstance(hidden, Softmax):
        return Softmax(hidden.groups, hidden.n)
    return Bernoulli(hidden.size)


def needs_standardiser(hidden: Units) -> bool:
    """Whether activations of `hidden` are standardised before the next machine learns them."""
    return isinstance(hidden, ReLU | Gaussian)


def _into_range(states: Tensor, units: Units) -> Tensor:
    """A machine above rectified units takes them for Gaussian; what it makes up below zero is zero."""
    return states.clamp_min(0) if isinstance(units, ReLU) else states


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().clone().contiguous())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer
