"""Parallel tempering: persistent chains at several temperatures that swap places, so that no mode holds a chain for good.

Desjardins et al. (2010); Cho, Raiko & Ilin (2010). The chains at inverse temperature beta sample exp(-beta E(v, h)), so a
swap is judged by the joint energies of the two states: with free energies, or their product with beta, it would be biased.
Gaussian visible units have no distribution at beta 0. With them beta weighs the coupling of the two layers alone: the path
begins, as that of Cho, Ilin & Raiko (2011) for such machines, at independent units about the data's means.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from typing_extensions import override

from scanprior.energy.objectives import Persistent
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, Softmax
from scanprior.energy.workspace import Workspace


class Tempered(Persistent):
    """`chains` persistent chains at each of `temperatures` inverse temperatures from 0 to 1, `k` sweeps and one round of swaps.

    Those at 1 are the negative phase. Both layers must be Bernoulli or softmax units; the visible one may be Gaussian.
    """

    rounds: Tensor

    def __init__(self, temperatures: int = 10, chains: int = 32, k: int = 1) -> None:
        super().__init__()
        if temperatures < 2 or chains < 1 or k < 1:
            raise ValueError(f"tempering needs 2 temperatures, 1 chain, 1 sweep; got {temperatures}, {chains}, {k}")
        self.temperatures, self.chains, self.k = temperatures, chains, k
        self.register_buffer("rounds", torch.zeros((), dtype=torch.long))
        self._betas, self._scratch = torch.empty(0), dict[str, Tensor]()

    @override
    def negatives(self, batch: int) -> int:
        return self.chains

    @override
    def check(self, rbm: RBM) -> None:
        for units, known in ((rbm.visible, Bernoulli | Softmax | Gaussian), (rbm.hidden, Bernoulli | Softmax)):
            if not isinstance(units, known):
                raise ValueError(
                    f"tempering knows how to heat Bernoulli and softmax units, and Gaussian visible ones, not "
                    f"{units.kind} ones: use contrastive divergence"
                )

    @override
    @torch.no_grad()
    def begin(self, rbm: RBM, generator: Generator) -> None:
        rows, like = self.temperatures * self.chains, rbm.weight
        betas = torch.linspace(0, 1, self.temperatures, dtype=like.dtype, device=like.device)
        self._betas = betas.repeat_interleave(self.chains)[:, None]
        sizes = {"v": rbm.visible.size, "noise v": rbm.visible.size, "total v": rbm.visible.size}
        sizes |= {"shown h": rbm.hidden.size, "noise h": rbm.hidden.size, "total h": rbm.hidden.size}
        self._scratch = {
            name: torch.empty(rows, size, dtype=like.dtype, device=like.device) for name, size in sizes.items()
        }
        if self.chain.shape != (rows, rbm.hidden.size):
            field = torch.zeros(rows, rbm.hidden.size, dtype=like.dtype, device=like.device)
            self.chain = rbm.hidden.sample(field, generator)
        self.chain = self.chain.to(like)  # an objective may have served a machine elsewhere before

    @override
    def negative(self, work: Workspace, n: int, generator: Generator) -> int:
        for _ in range(self.k):
            self.sweep(work.rbm, work, generator)
        visible, hidden = work.visible[n : n + self.chains], work.hidden[n : n + self.chains]
        visible.copy_(self._scratch["v"][-self.chains :])
        work.up_(work.show_visible_(visible), hidden, draw=None, generator=generator)
        return self.chains

    def sweep(self, rbm: RBM, work: Workspace, generator: Generator) -> None:
        """One Gibbs sweep of every chain at its own temperature, then swaps between neighbours."""
        v, total_v, total_h, shown = (self._scratch[name] for name in ("v", "total v", "total h", "shown h"))
        whole = not rbm.visible.unbounded  # whether beta weighs the whole energy, or the coupling alone
        work.show_hidden_(shown.copy_(self.chain))
        torch.addmm(rbm.visible.bias, shown if whole else shown.mul_(self._betas), rbm.weight.t(), out=total_v)
        total_v = total_v.mul_(self._betas) if whole else total_v
        rbm.visible.draw_(total_v, v, self._scratch["noise v"], generator)
        torch.mm(work.show_visible_(total_v.copy_(v)), rbm.weight, out=total_h)
        field = total_h.clone()
        if whole:
            total_h.add_(rbm.hidden.bias).mul_(self._betas)
        else:
            total_h.mul_(self._betas).add_(rbm.hidden.bias)
        rbm.hidden.draw_(total_h, self.chain, self._scratch["noise h"], generator)
        energy = -(field * work.show_hidden_(shown.copy_(self.chain))).sum(1)
        if whole:
            energy += rbm.visible.energy(v) + rbm.hidden.energy(self.chain)
        self._swap(energy, generator)

    def _swap(self, energy: Tensor, generator: Generator) -> None:
        """Swap the states of neighbouring temperatures with probability min(1, exp((beta_i - beta_j)(E_i - E_j)))."""
        first = int(self.rounds) % 2
        self.rounds += 1
        pairs = (self.temperatures - first) // 2
        place = torch.arange(len(energy), device=energy.device).view(self.temperatures, self.chains)
        low = place[first : first + 2 * pairs : 2].flatten()
        high = low + self.chains
        beta = self._betas[:, 0]
        log_ratio = (beta[low] - beta[high]) * (energy[low] - energy[high])
        uniform = torch.empty_like(log_ratio).uniform_(generator=generator)
        swapped = uniform.log() < log_ratio
        low, high = low[swapped], high[swapped]
        order = place.flatten().clone()
        order[low], order[high] = high, low
        self.chain.copy_(self.chain[order])
        self._scratch["v"].copy_(self._scratch["v"][order])
