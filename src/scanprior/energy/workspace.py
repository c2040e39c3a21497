"""Preallocated tensors for training, and the two half-steps of Gibbs sampling that write into them.

Fresh tensors of this size (100 x 2197 floats) come from the operating system page by page; reusing them is most of
the difference between a textbook loop and one whose time is the five matrix products. Positive and negative phase lie
in one stack, because one product of the stacks is then both halves of the gradient.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from scanprior.energy.crew import Crew
from scanprior.energy.products import BFloat16, Products, Shared
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Gaussian, Units


class Workspace:
    """Scratch for mini-batches of at most `batch` rows and `negatives` chains of `rbm`, on the device of its weights.

    A `crew` of several threads shares the products.

    `visible` and `hidden` hold the positive rows, then the negative ones. What is stored is *shown*: scaled by the
    unit's variance and with the offset taken away, as the weights see it. After a draw of visible states,
    `total_visible` holds the means that they were drawn around.
    """

    def __init__(
        self, rbm: RBM, batch: int, negatives: int, *, crew: Crew | None = None, bfloat16: bool = False
    ) -> None:
        self.rbm = rbm
        weight = rbm.weight.detach()
        if bfloat16:
            self.products: Products = BFloat16(weight, batch + negatives)
        elif crew is not None and crew.threads > 1:
            self.products = Shared(weight, crew, {batch, negatives, batch + negatives} - {0})
        else:
            self.products = Products(weight)

        def scratch(rows: int, columns: int) -> Tensor:
            return torch.empty(rows, columns, dtype=rbm.weight.dtype, device=rbm.weight.device)

        most = max(batch, negatives)
        self.visible = scratch(batch + negatives, rbm.visible.size)
        self.hidden = scratch(batch + negatives, rbm.hidden.size)
        self.draw = scratch(most, rbm.hidden.size)
        self._noise_hidden = scratch(most, rbm.hidden.size)
        self._noise_visible = scratch(most, rbm.visible.size)
        self.total_visible = scratch(most, rbm.visible.size)
        self._signs: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._scaled = {"visible": _has_variance(rbm.visible), "hidden": _has_variance(rbm.hidden)}
        # A machine that was folded (`RBM.fold`) has offsets without being centered.
        offsets = {"visible": rbm.visible_offset, "hidden": rbm.hidden_offset}
        self._shifted = {side: rbm.centered or bool(offset.any()) for side, offset in offsets.items()}

    def show_visible_(self, states: Tensor) -> Tensor:
        """Scale and centre visible states in place."""
        scaled, shifted = self._scaled["visible"], self._shifted["visible"]
        return self._show_(states, self.rbm.visible, self.rbm.visible_offset, scaled=scaled, shifted=shifted)

    def show_hidden_(self, states: Tensor) -> Tensor:
        """Scale and centre hidden states in place."""
        scaled, shifted = self._scaled["hidden"], self._shifted["hidden"]
        return self._show_(states, self.rbm.hidden, self.rbm.hidden_offset, scaled=scaled, shifted=shifted)

    def _show_(self, states: Tensor, units: Units, offset: Tensor, *, scaled: bool, shifted: bool) -> Tensor:
        if shifted:
            states.sub_(offset)
        return states.copy_(units.scale(states)) if scaled else states

    def visible_states(self, shown: Tensor) -> Tensor:
        """The states that `show_visible_` turned into `shown`, as a new tensor."""
        units = self.rbm.visible
        states = shown * torch.exp(units.log_variance) if isinstance(units, Gaussian) else shown
        return states + (self.rbm.visible_offset if self._shifted["visible"] else 0.0)

    def signs(self, n: int, negatives: int) -> tuple[Tensor, Tensor]:
        """Weight of every row in the gradient of the visible bias (1, and -n / negatives), and as many ones."""
        if (n, negatives) not in self._signs:
            signs = torch.ones(n + negatives, dtype=self.visible.dtype, device=self.visible.device)
            self._signs[n, negatives] = signs.clone(), signs
            self._signs[n, negatives][0][n:] = -n / negatives
        return self._signs[n, negatives]

    def up_(self, shown: Tensor, out: Tensor, *, draw: Tensor | None, generator: Generator) -> Tensor:
        """Write the hidden mean given shown visible states into `out`, and a sample of it into `draw`."""
        self.products.up(self.rbm.hidden.bias, shown, out)
        if draw is None:
            return self.rbm.hidden.mean_(out)
        return self.rbm.hidden.draw_(out, draw, self._noise_hidden[: len(out)], generator)

    def down_(self, shown: Tensor, out: Tensor, *, sample: bool, generator: Generator) -> Tensor:
        """Write the visible mean given shown hidden states, or with `sample` a draw, into `out`."""
        total = self.total_visible[: len(out)] if sample else out
        self.products.down(self.rbm.visible.bias, shown, total)
        if not sample:
            return self.rbm.visible.mean_(total)
        self.rbm.visible.draw_(total, out, self._noise_visible[: len(out)], generator)
        return out


def _has_variance(units: Units) -> bool:
    return isinstance(units, Gaussian) and (units.learn_variance or bool(units.log_variance.any()))
