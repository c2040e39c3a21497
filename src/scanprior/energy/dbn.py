"""The deep belief net: a stack of restricted Boltzmann machines, and the feed-forward networks it turns into."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.joint import Joint, label_log_probability, with_labels
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax, Units

RANGE = 5.0  # standard deviations around the bias that a chain is held to where the units of neither side have ends


class DBN(nn.Module):
    """Layers of machines, each one's visible units being the hidden units of the one below.

    The top machine is the prior of the model; the lower ones are directed downward (Hinton, Osindero & Teh 2006).
    """

    def __init__(self, layers: Sequence[RBM]) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a deep belief net needs at least one machine")
        self.labels = label_count(layers[-1])
        for below, above in pairwise(layers):
            width = above.visible.size - (self.labels if above is layers[-1] else 0)
            if below.hidden.size != width:
                raise ValueError(
                    f"a machine with {below.hidden.size} hidden units can't carry one with {width} visible"
                )
        self.layers = nn.ModuleList(layers)

    @property
    def machines(self) -> list[RBM]:
        """The machines from the bottom up."""
        return list(self.layers)  # pyright: ignore[reportReturnType]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units per layer: visible, hidden, hidden, …; label units are not counted."""
        bottom = self.machines[0].visible.size - (self.labels if len(self.machines) == 1 else 0)
        return (bottom, *(rbm.hidden.size for rbm in self.machines))

    def encode(self, v: Tensor, depth: int | None = None) -> Tensor:
        """The mean activations of hidden layer `depth` (default: the top), (batch, visible) -> (batch, hidden).

        Label units at the top stay at their offset, the classes' shares in a centered machine.
        """
        for rbm in self.machines[:depth]:
            if self.labels and rbm is self.machines[-1]:
                v = torch.cat([v, rbm.visible_offset[-self.labels :].expand(len(v), -1)], 1)
            v = rbm.hidden.mean(rbm.hidden_field(v))
        return v

    def decode(self, h: Tensor, depth: int | None = None) -> Tensor:
        """The visible means below the states `h` of hidden layer `depth` (default: the top), by means all the way."""
        for place, rbm in reversed(list(enumerate(self.machines[:depth]))):
            h = rbm.visible.mean(rbm.visible_field(h))[:, : self.sizes[place]]
        return h

    def label_log_probability(self, v: Tensor) -> Tensor:
        """log p(y | features of the layer below the top) of every class, (batch, visible) -> (batch, classes).

        Exact in the top machine, given means from below (Hinton, Osindero & Teh 2006, section 6).
        """
        return label_log_probability(self.machines[-1], self.encode(v, len(self.machines) - 1))

    @torch.no_grad()
    def generate(
        self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """`n` samples (n, visible): Gibbs sampling in the top machine, then one pass down; the last step gives means.

        Where neither side of the top machine has ends (Gaussian under rectified or Gaussian units), its chain is held to five
        standard deviations around the biases.

        Args:
            sweeps: Gibbs sweeps at the top.
            start: data (n, visible) whose encoding the top chains begin at; none: the top machine's biases.
            labels: class numbers (n,) that the label units keep; none: they are sampled like the rest.
        """
        features = self.encode(start, len(self.machines) - 1) if start is not None else None
        states = top_states(self.machines[-1], n, generator, sweeps=sweeps, start=features, labels=labels)
        for place, rbm in reversed(list(enumerate(self.machines))[1:]):
            states = rbm.visible.sample(rbm.visible_field(states), generator)[:, : self.sizes[place]]
            if isinstance(rbm.visible, Gaussian):
                states = _into_range(states, self.machines[place - 1].hidden)
        bottom = self.machines[0]
        return bottom.visible.mean(bottom.visible_field(states))[:, : self.sizes[0]]

    def encoder(self) -> nn.Sequential:
        """The upward pass as linear layers and activations, with copies of the parameters."""
        up = [module for rbm in self.machines for module in (_linear(*self._upward(rbm)), rbm.hidden.activation())]
        return nn.Sequential(*up)

    def _upward(self, rbm: RBM) -> tuple[Tensor, Tensor]:
        """`RBM.upward` without the columns of label units, which stay at their offset."""
        weight, bias = rbm.upward()
        if not self.labels or rbm is not self.machines[-1]:
            return weight, bias
        return weight[:, : -self.labels], bias + weight[:, -self.labels :] @ rbm.visible_offset[-self.labels :]

    def unroll(self) -> nn.Sequential:
        """Encoder and mirrored decoder, copies: an autoencoder to fine-tune (Hinton & Salakhutdinov 2006)."""
        down: list[nn.Module] = []
        for place, rbm in reversed(list(enumerate(self.machines))):
            weight, bias = rbm.downward()
            rows, units = self.sizes[place], rbm.visible
            if self.labels and rbm is self.machines[-1] and isinstance(units, Joint):
                units = units.kinds[0]
            down += [_linear(weight[:rows], bias[:rows]), units.activation()]
        return nn.Sequential(*self.encoder(), *down)

    def classifier(
        self, classes: int, *, generator: Generator | None = None, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> nn.Sequential:  # fmt: skip
        """The encoder and a linear layer that gives `classes` logits; all of it is to be fine-tuned.

        Args:
            generator: draws the weights of the last layer; without one, a fresh generator with seed 0.
            dropout, input_dropout: share of activations and of inputs left out while training (Hinton et al. 2012).
        """
        modules: list[nn.Module] = [nn.Dropout(input_dropout)] if input_dropout else []
        for rbm in self.machines:
            modules += [_linear(*self._upward(rbm)), rbm.hidden.activation()]
            modules += [nn.Dropout(dropout)] if dropout else []
        generator = generator if generator is not None else Generator().manual_seed(0)
        top = self.sizes[-1]
        weight = torch.randn(classes, top, generator=generator, dtype=torch.float32) * (0.1 / top**0.5)
        return nn.Sequential(*modules, _linear(weight, torch.zeros(classes)))


def label_count(rbm: RBM) -> int:
    """How many label units the visible layer of `rbm` ends with; 0: none."""
    if not isinstance(rbm.visible, Joint) or len(rbm.visible.kinds) != 2:
        return 0
    last = rbm.visible.kinds[-1]
    return last.n if isinstance(last, Softmax) and last.groups == 1 else 0


@torch.no_grad()
def top_states(
    top: RBM, n: int, generator: Generator, *, sweeps: int, start: Tensor | None = None, labels: Tensor | None = None
) -> Tensor:
    """Hidden states (n, hidden) of the top machine after `sweeps` of Gibbs sampling.

    Args:
        start: states (n, visible without labels) the chains begin at; none: a draw from the biases.
        labels: class numbers (n,) that the label units keep.
    """
    classes, known = label_count(top), None
    if labels is not None and not classes:
        raise ValueError("labels were given, but the top machine has no label units")
    if start is None:
        zero = torch.zeros(n, top.visible.size, dtype=top.weight.dtype, device=top.weight.device)
        states = top.visible.sample(zero, generator)
    elif classes:
        drawn = torch.multinomial(label_log_probability(top, start).exp(), 1, generator=generator).flatten()
        states = with_labels(start, drawn, classes)
    else:
        states = start
    if labels is not None:
        states = with_labels(states[:, :-classes], labels, classes)
        known = torch.arange(top.visible.size, device=states.device) >= top.visible.size - classes
    if not (top.visible.unbounded and top.hidden.unbounded):
        states = top.gibbs(states, max(0, sweeps - 1), generator, known=known)
    else:  # nothing but the weights holds such a chain
        width = _reach(top.visible)
        low, high = top.visible.bias - width, top.visible.bias + width
        for _ in range(sweeps - 1):
            states = top.gibbs(states, 1, generator, known=known).clamp(low, high)
    return top.hidden.sample(top.hidden_field(states), generator)


def _reach(units: Units) -> Tensor:
    """How far from the bias states are held (size,): `RANGE` deviations for Gaussian units, no end for others."""
    if isinstance(units, Joint):
        return torch.cat([_reach(part) for part in units.kinds])
    if isinstance(units, Gaussian):
        return RANGE * torch.exp(0.5 * units.log_variance)
    return torch.full_like(units.bias, torch.inf)


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
