"""How likely a machine finds data: log Z exactly for small machines, by annealed importance sampling for others.

All of it in float64, on copies: in float32 a long annealing run drifts by hundredths of a nat.
References: Neal (2001); Salakhutdinov & Murray (2008), section 4.1; Burda et al. (2015) for the reverse.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Gaussian, NoClosedForm, Units

CHUNK = 1 << 14


class Estimate(NamedTuple):
    """An estimated log Z with an interval of three standard errors of Z itself, and the effective number of chains."""

    mean: float
    low: float
    high: float
    ess: float


@torch.no_grad()
def log_partition_exact(rbm: RBM) -> float:
    """log Z by summing over every state of the side that has fewer, at most 2^20 states.

    Raises:
        NoClosedForm: neither side can be enumerated, or the other has no closed form.
    """
    rbm = copy.deepcopy(rbm).double()
    sides: list[tuple[int, Units, Callable[[Tensor], Tensor]]] = []
    reasons: list[str] = []
    for units, free_energy in ((rbm.hidden, rbm.hidden_free_energy), (rbm.visible, rbm.free_energy)):
        try:
            sides.append((units.state_count(), units, free_energy))
        except NoClosedForm as reason:
            reasons.append(str(reason))
    if not sides:
        raise NoClosedForm(f"log Z needs a side that can be enumerated: {'; '.join(reasons)}. Use `ais` instead")
    _, units, free_energy = min(sides, key=lambda side: side[0])
    return float(torch.cat([-free_energy(chunk) for chunk in units.states().split(CHUNK)]).logsumexp(0))


@torch.no_grad()
def log_likelihood(rbm: RBM, data: Tensor, log_z: float) -> Tensor:
    """log p(v) in nats of each row of `data` (n, visible), float64 (n,)."""
    rbm = copy.deepcopy(rbm).double()
    return torch.cat([-rbm.free_energy(chunk.double()) for chunk in data.split(CHUNK)]) - log_z


def mean_log_likelihood(rbm: RBM, data: Tensor, log_z: Estimate) -> Estimate:
    """Mean log p(v) over the rows of `data`; the interval is that of log Z (high log Z: low likelihood)."""
    at_zero = float(log_likelihood(rbm, data, 0.0).mean())
    return Estimate(at_zero - log_z.mean, at_zero - log_z.high, at_zero - log_z.low, log_z.ess)


def ladder(*pieces: tuple[float, int]) -> Tensor:
    """Inverse temperatures from 0 to 1 in straight pieces (upper end, steps), float64.

    `ladder((0.5, 500), (0.9, 4000), (1.0, 10000))` is the one of Salakhutdinov & Murray (2008).
    """
    parts, low = [torch.zeros(1, dtype=torch.float64)], 0.0
    for high, steps in pieces:
        parts.append(torch.linspace(low, high, steps + 1, dtype=torch.float64)[1:])
        low = high
    if low != 1.0:
        raise ValueError(f"the last piece of a ladder must end at 1; this one ends at {low}")
    return torch.cat(parts)


@torch.no_grad()
def ais(
    rbm: RBM, *, generator: Generator, chains: int = 100, betas: Tensor | None = None, data: Tensor | None = None
) -> Estimate:
    """log Z by annealed importance sampling from the base-rate model (weights zero) to `rbm`.

    E of the estimated Z is Z, so log Z is underestimated on average.

    Args:
        betas: inverse temperatures from 0 to 1, see `ladder`; default 1,000 even steps.
        data: (n, visible); its means make the base-rate model. Without it, that has the machine's visible bias.
    """
    path = _Path(rbm, data)
    betas = _from_zero_to_one(betas)
    path.move_to(0.0)
    v = path.base_sample(chains, generator)
    log_weights = torch.zeros(chains, dtype=torch.float64, device=v.device)
    for beta in betas[1:].tolist():
        field = path.field(v)
        log_weights += path.free_energy(v, field)
        path.move_to(beta)
        log_weights -= path.free_energy(v, field)
        v = path.sweep(field, generator)
    return _estimate(log_weights, path.base_log_z, sign=1.0)


@torch.no_grad()
def reverse_ais(
    rbm: RBM, starts: Tensor, *, generator: Generator, betas: Tensor | None = None, data: Tensor | None = None
) -> Estimate:
    """log Z by annealing from the machine's own samples `starts` (chains, visible) back to the base-rate model.

    E of the mean weight is Z_base / Z, and log Z = log Z_base - log(mean weight): overestimated on average, so that
    `ais` and this bracket the truth. It needs `starts` from equilibrium; from data or short chains it bounds nothing.
    """
    path = _Path(rbm, data)
    betas = _from_zero_to_one(betas)
    path.move_to(1.0)
    v = starts.to(torch.float64)
    log_weights = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    for beta in betas.flip(0)[1:].tolist():
        field = path.field(v)
        v = path.sweep(field, generator)
        field = path.field(v)
        log_weights += path.free_energy(v, field)
        path.move_to(beta)
        log_weights -= path.free_energy(v, field)
    return _estimate(log_weights, path.base_log_z, sign=-1.0)


def _from_zero_to_one(betas: Tensor | None) -> Tensor:
    """`betas`, or the default ladder; anything else would weigh another pair of machines than the two at its ends."""
    if betas is None:
        return ladder((1.0, 1000))
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not bool((betas.diff() > 0).all()):
        raise ValueError("the inverse temperatures must rise from 0 to 1; see `ladder`")
    return betas


class _Path:
    """Machines between the base-rate model (beta 0) and `rbm` (beta 1): weights x beta, biases mixed."""

    def __init__(self, rbm: RBM, data: Tensor | None) -> None:
        self._rbm = copy.deepcopy(rbm).double()
        self._visible_bias = self._rbm.visible.bias.clone()
        self._hidden_bias = self._rbm.hidden.bias.clone()
        self._base_bias = self._visible_bias
        if data is not None:
            data = data.double()
            self._rbm.visible.start_from(data.mean(0), data.var(0, unbiased=False))
            self._base_bias = self._rbm.visible.bias.clone()
            if isinstance(self._rbm.visible, Gaussian) and isinstance(rbm.visible, Gaussian):
                self._rbm.visible.log_variance.copy_(rbm.visible.log_variance)  # only means are annealed
        self._offset = self._rbm.hidden.scale(self._rbm.hidden_offset)
        self.move_to(0.0)
        rows = torch.zeros(1, self._rbm.visible.size, dtype=torch.float64, device=self._offset.device)
        columns = torch.zeros(1, self._rbm.hidden.size, dtype=torch.float64, device=self._offset.device)
        self.base_log_z = float(self._rbm.visible.log_partition(rows) + self._rbm.hidden.log_partition(columns))

    def move_to(self, beta: float) -> None:
        self._beta = beta
        self._rbm.visible.bias.copy_((1.0 - beta) * self._base_bias + beta * self._visible_bias)
        self._rbm.hidden.bias.copy_(beta * self._hidden_bias)

    def base_sample(self, chains: int, generator: Generator) -> Tensor:
        zero = torch.zeros(chains, self._rbm.visible.size, dtype=torch.float64, device=self._offset.device)
        return self._rbm.visible.sample(zero, generator)

    def field(self, v: Tensor) -> Tensor:
        """The hidden field at beta 1: one product serves the weights before and after the move, and the sweep."""
        return self._rbm.hidden_field(v)

    def free_energy(self, v: Tensor, field: Tensor) -> Tensor:
        field = self._beta * field
        return self._rbm.visible.energy(v) - self._rbm.hidden.log_partition(field) + field @ self._offset

    def sweep(self, field: Tensor, generator: Generator) -> Tensor:
        h = self._rbm.hidden.sample(self._beta * field, generator)
        return self._rbm.visible.sample(self._beta * self._rbm.visible_field(h), generator)


def _estimate(log_weights: Tensor, base: float, *, sign: float) -> Estimate:
    n = len(log_weights)
    log_mean = float(log_weights.logsumexp(0)) - math.log(n)
    relative = torch.exp(log_weights - log_mean)  # mean 1
    error = 3.0 * float(relative.std()) / math.sqrt(n) if n > 1 else math.inf
    low, high = math.log(max(1.0 - error, 1e-300)), math.log1p(error)
    ends = sorted((base + sign * (log_mean + low), base + sign * (log_mean + high)))
    return Estimate(base + sign * log_mean, ends[0], ends[1], float(n**2 / relative.square().sum()))
