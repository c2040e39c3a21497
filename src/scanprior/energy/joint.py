"""Layers of several kinds side by side: pixels and label units, or two modalities; and what a machine says about labels.

A machine whose visible layer is `Joint(Bernoulli(784), Softmax(1, 10))` models p(x, y) with one weight matrix, whose last
rows belong to the labels. References: Hinton, Osindero & Teh (2006), section 5; Larochelle & Bengio (2008), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate, pairwise

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.rbm import RBM
from scanprior.energy.units import MOST_STATES, Gaussian, NoClosedForm, Softmax, Units


class Joint(Units):
    """The units of `parts`, one after the other, with one bias (size,); a Gaussian part has the variance 1.

    A Gaussian part's energy leaves out bias^2 / 2, a constant that log Z leaves out as well.
    """

    kind = "joint"

    def __init__(self, *parts: Units) -> None:
        super().__init__(sum(part.size for part in parts))
        for part in parts:
            if isinstance(part, Gaussian) and part.learn_variance:
                raise ValueError("Gaussian units beside others have the variance 1; it can't be learned there")
            # The joint layer's bias stands for that of every part.
            for name, parameter in list(part.named_parameters(recurse=False)):
                delattr(part, name)
                part.register_buffer(name, torch.zeros_like(parameter.data), persistent=False)
        self.parts = nn.ModuleList(parts)
        self.sizes = [part.size for part in parts]
        self.unbounded = any(part.unbounded for part in parts)

    @property
    def kinds(self) -> list[Units]:
        """The parts, in order."""
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def split(self, states: Tensor) -> list[Tensor]:
        """Views of the parts' columns of `states` (batch, size)."""
        ends = list(accumulate(self.sizes, initial=0))
        return [states[..., low:high] for low, high in pairwise(ends)]

    def _sum(self, of: Callable[[Units, Tensor], Tensor], columns: Tensor) -> Tensor:
        return torch.stack([of(part, piece) for part, piece in zip(self.kinds, self.split(columns), strict=True)]).sum(
            0
        )

    @override
    def energy(self, states: Tensor) -> Tensor:
        return self._sum(lambda part, piece: part.energy(piece), states) - states @ self.bias

    @override
    def mean_(self, total: Tensor) -> Tensor:
        for part, piece in zip(self.kinds, self.split(total), strict=True):
            part.mean_(piece)
        return total

    @override
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        pieces = (self.split(total), self.split(draw), self.split(noise))
        for part, mean, drawn, scratch in zip(self.kinds, *pieces, strict=True):
            part.draw_(mean, drawn, scratch, generator)
        return total

    @torch.no_grad()
    @override
    def sample_rest(self, field: Tensor, given: Tensor, known: Tensor, generator: Generator) -> Tensor:
        fields, states, masks = self.split(field + self.bias), self.split(given), self.split(known.expand_as(given))
        pieces = zip(self.kinds, fields, states, masks, strict=True)
        return torch.cat([part.sample_rest(own, s, k, generator) for part, own, s, k in pieces], -1)

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        return self._sum(lambda part, piece: part.log_partition(piece), field + self.bias)

    @override
    def activation(self) -> nn.Module:
        return _SideBySide([part.activation() for part in self.kinds], self.sizes)

    @torch.no_grad()
    @override
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        pieces = (self.split(self.bias), self.split(mean), self.split(variance))
        for part, bias, expected, spread in zip(self.kinds, *pieces, strict=True):
            part.start_from(expected, spread)
            bias.copy_(part.bias)
            part.bias.zero_()

    @override
    def outside(self, states: Tensor) -> Tensor:
        pieces = zip(self.kinds, self.split(states), strict=True)
        return torch.cat([part.outside(piece) for part, piece in pieces], -1)

    @override
    def state_count(self) -> int:
        count = math.prod(part.state_count() for part in self.kinds)
        if count > MOST_STATES:
            raise NoClosedForm(f"{count} joint states are too many to enumerate; {MOST_STATES} at most")
        return count

    @override
    def states(self) -> Tensor:
        self.state_count()
        rows = torch.zeros(1, 0, dtype=self.bias.dtype, device=self.bias.device)
        for part in self.kinds:
            own = part.states()
            rows = torch.cat([rows.repeat_interleave(len(own), 0), own.repeat(len(rows), 1)], 1)
        return rows


class _SideBySide(nn.Module):
    """Each activation on its own columns."""

    def __init__(self, activations: list[nn.Module], sizes: list[int]) -> None:
        super().__init__()
        self.activations, self.sizes = nn.ModuleList(activations), sizes

    @override
    def forward(self, total: Tensor) -> Tensor:
        pieces = total.split(self.sizes, -1)
        return torch.cat([one(piece) for one, piece in zip(self.activations, pieces, strict=True)], -1)


def label_units(rbm: RBM) -> Softmax:
    """The label units of `rbm`: one softmax group as the last part of its visible layer.

    Raises:
        ValueError: there are none.
    """
    last = rbm.visible.kinds[-1] if isinstance(rbm.visible, Joint) else rbm.visible
    if not isinstance(rbm.visible, Joint) or not isinstance(last, Softmax) or last.groups != 1:
        raise ValueError(
            f"this machine has no label units: its visible layer is {rbm.visible.kind}; "
            "make it Joint(<units of the data>, Softmax(1, classes))"
        )
    return last


def with_labels(x: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Data (n, visible) and class numbers (n,) as rows (n, visible + classes) of a machine with label units."""
    return torch.cat([x, nn.functional.one_hot(labels, classes).to(x.dtype)], 1)


def label_log_probability(rbm: RBM, x: Tensor) -> Tensor:
    """log p(y | x) of every class, (n, classes), exactly: hidden units are summed out (Larochelle & Bengio 2008, eq. 2).

    Args:
        x: data (n, visible without the label units).
    """
    classes = label_units(rbm).n
    blank = torch.cat([x, x.new_zeros(len(x), classes)], 1)
    field = rbm.hidden_field(blank)  # of the data, and of labels that are all off
    offset = rbm.hidden.scale(rbm.hidden_offset)
    weights, biases = rbm.weight[-classes:], rbm.visible.bias[-classes:]
    scores = [rbm.hidden.log_partition(field + row) - row @ offset for row in weights]
    return (torch.stack(scores, 1) + biases).log_softmax(1)
