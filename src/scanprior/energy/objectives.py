"""Where the negative phase comes from: contrastive divergence and persistent chains.

An objective makes visible and hidden states that stand for what the model believes, owns its chains, and never writes a
parameter. References: Hinton (2002) for contrastive divergence, Tieleman (2008) for persistent chains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Gaussian, Units
from scanprior.energy.workspace import Workspace


class Objective(nn.Module, ABC):
    """Makes the negative phase of the gradient, with `k` Gibbs sweeps per update."""

    k: int
    persistent = False
    """whether its chains go on from update to update"""

    @abstractmethod
    def negatives(self, batch: int) -> int:
        """How many negative rows go with mini-batches of at most `batch` rows."""

    @abstractmethod
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        """Fill the negative rows of `work.visible` (shown) and `work.hidden` (means), from row `n` on; return how many.

        `work.draw[:n]` holds hidden states drawn given the `n` data rows; it may be overwritten.
        """

    def weigh_(self, work: Workspace, hidden: Tensor, n: int, negatives: int) -> tuple[Tensor, Tensor]:
        """Multiply the rows of `hidden` by how often each counts in the gradient, the negative ones below zero, in place.

        By default as many chains as there are count the same as the `n` data rows. Returns these weights (rows,), and
        whether each row counts for the hidden bias (rows,).
        """
        hidden[n:].mul_(-n / negatives)
        return work.signs(n, negatives)

    def one_sweep_means(self, work: Workspace, n: int) -> Tensor | None:
        """The visible means (n, visible) that the negative rows were drawn around, one sweep from the data; else none."""

    def begin(self, rbm: RBM, generator: Generator) -> None:
        """Get ready for training `rbm`; chains that a checkpoint has brought back are left as they are."""

    def check(self, rbm: RBM) -> None:
        """Refuse a machine that this objective can't train."""


class CD(Objective):
    """Contrastive divergence: `k` Gibbs sweeps from the data.

    `sample_visible`: draw the reconstruction instead of taking its mean. The mean has less variance (Hinton 2012,
    section 3.2), but a learned variance needs the draw: with means it grows without bound.
    """

    def __init__(self, k: int = 1, *, sample_visible: bool = False) -> None:
        super().__init__()
        self.k, self.sample_visible = _positive(k, "k"), sample_visible

    @override
    def negatives(self, batch: int) -> int:
        return batch

    @override
    def check(self, rbm: RBM) -> None:
        if isinstance(rbm.visible, Gaussian) and rbm.visible.learn_variance and not self.sample_visible:
            raise ValueError(
                "CD with mean reconstructions can't learn the variance of Gaussian units (it grows without bound): "
                "use CD(k, sample_visible=True) or PCD"
            )

    @override
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        draw, visible, hidden = work.draw[:n], work.visible[n : 2 * n], work.hidden[n : 2 * n]
        for sweep in range(self.k):
            work.down_(work.show_hidden_(draw), visible, sample=self.sample_visible, generator=generator)
            last = sweep == self.k - 1
            work.up_(work.show_visible_(visible), hidden, draw=None if last else draw, generator=generator)
        return n

    @override
    def one_sweep_means(self, work: Workspace, n: int) -> Tensor | None:
        return work.total_visible[:n] if self.k == 1 and self.sample_visible else None


class Persistent(Objective):
    """Chains that go on from update to update; where they are is part of the training's state."""

    persistent = True
    chain: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("chain", torch.empty(0))

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # How many hidden units a chain has is known only once training began.
        self.chain = torch.empty_like(state_dict.get(prefix + "chain", self.chain), device=self.chain.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class PCD(Persistent):
    """Persistent contrastive divergence: `chains` Markov chains that go on from update to update by `k` sweeps."""

    def __init__(self, k: int = 1, chains: int = 100) -> None:
        super().__init__()
        self.k, self.chains = _positive(k, "k"), _positive(chains, "chains")

    @override
    def negatives(self, batch: int) -> int:
        return self.chains

    @override
    def check(self, rbm: RBM) -> None:
        refuse_unbounded(rbm.visible, rbm.hidden)

    @torch.no_grad()
    @override
    def begin(self, rbm: RBM, generator: Generator) -> None:
        if self.chain.shape != (self.chains, rbm.hidden.size):
            field = torch.zeros(self.chains, rbm.hidden.size, dtype=rbm.weight.dtype, device=rbm.weight.device)
            self.chain = rbm.hidden.sample(field, generator)

    @override
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        visible, hidden = work.visible[n : n + self.chains], work.hidden[n : n + self.chains]
        draw = work.draw[: self.chains].copy_(self.chain)
        for _ in range(self.k):
            work.down_(work.show_hidden_(draw), visible, sample=True, generator=generator)
            work.up_(work.show_visible_(visible), hidden, draw=draw, generator=generator)
        self.chain.copy_(draw)
        return self.chains


def refuse_unbounded(visible: Units, hidden: Units) -> None:
    """Refuse a machine whose chains nothing holds."""
    if visible.unbounded and hidden.unbounded:
        raise ValueError(
            f"persistent chains between {visible.kind} and {hidden.kind} units can run away to infinity, "
            "because nothing bounds either side: use contrastive divergence (cd1, cd2), or Bernoulli hidden units"
        )


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}")
    return value
