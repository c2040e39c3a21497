"""Whether a machine is learning, and what: pure functions of a machine and some data, for logs and figures.

Hinton (2012), sections 5, 6, 15 and 16: watch the reconstruction, but trust the gap of free energies; look at the histogram
of the hidden activations and at the filters. How fast Gibbs chains forget says whether persistent chains can be trusted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.rbm import RBM

OFF, ON = 0.01, 0.99


class Reconstruction(NamedTuple):
    """Squared error of the data seen through the hidden layer, by means up and down."""

    mean: Tensor
    """() over rows and units"""
    by_unit: Tensor
    """(visible,) or (channels, *size) over rows: where in the patch it fails"""


class Gap(NamedTuple):
    """Mean free energies, each up to the same log Z; the gap grows when the machine learns its training rows by heart."""

    train: Tensor
    validation: Tensor
    gap: Tensor
    """validation - train, in nats"""
    error: Tensor
    """standard error of the gap"""


class Activations(NamedTuple):
    """How the mean activations of the hidden units lie between zero, or the least, and the largest (1 for units that are 0 or 1)."""

    edges: Tensor
    """(bins + 1,)"""
    counts: Tensor
    """(bins,) of all rows and units together"""
    off: Tensor
    """() share of the units (maps) that no row turns on: no activation further from zero than a hundredth of the largest"""
    saturated: Tensor
    """() share of the units (maps) that hardly any row tells apart: within a hundredth of the largest for every row"""


class Norms(NamedTuple):
    """Sizes of the weights."""

    by_hidden: Tensor
    """(hidden,) or (maps,) Euclidean norm of each filter"""
    rms: Tensor
    largest: Tensor
    """the largest single weight"""


class Autocorrelation(NamedTuple):
    """How much a chain remembers."""

    values: Tensor
    """(lags + 1,) from 1 at lag 0"""
    time: Tensor
    """() sweeps per independent state, 1 + 2 x the sum over the lags up to five times itself (Sokal 1997, section 3)"""


class Chains(NamedTuple):
    """Two sets of chains of one machine; in equilibrium one can't tell which began where."""

    from_data: Tensor
    """(chains, visible) last states"""
    from_noise: Tensor
    activity_from_data: Tensor
    """(sweeps, chains) what was measured after each sweep"""
    activity_from_noise: Tensor
    distance: Tensor
    """() between the means of both halves' second halves, in standard deviations: well below 1 when both have arrived"""


@torch.no_grad()
def reconstruction(rbm: RBM | ConvolutionalRBM, v: Tensor) -> Reconstruction:
    """How well `v` (n, visible) or (n, channels, *size) comes back through the hidden means."""
    again = rbm.visible.mean(rbm.visible_field(rbm.hidden.mean(rbm.hidden_field(v))))
    error = (again - v).square()
    return Reconstruction(error.mean(), error.mean(0))


@torch.no_grad()
def free_energy_gap(rbm: RBM | ConvolutionalRBM, train: Tensor, validation: Tensor) -> Gap:
    """Free energies of rows trained on and not, (n, visible) or (n, channels, *size) each.

    Raises:
        NoClosedForm: rectified units have no free energy; compare reconstructions instead.
    """
    seen, unseen = rbm.free_energy(train), rbm.free_energy(validation)
    variances = [energies.var(unbiased=False) / len(energies) for energies in (seen, unseen)]
    return Gap(seen.mean(), unseen.mean(), unseen.mean() - seen.mean(), (variances[0] + variances[1]).sqrt())


@torch.no_grad()
def activations(rbm: RBM | ConvolutionalRBM, v: Tensor, *, bins: int = 20) -> Activations:
    """Histogram of the hidden means given `v` (n, visible) or (n, channels, *size), and how many units or maps say nothing."""
    means = rbm.hidden.mean(rbm.hidden_field(v)).movedim(1, -1).flatten(0, -2)
    least, top = 0.0, 1.0
    if (rbm.hidden if isinstance(rbm, RBM) else rbm.hidden.units).unbounded:
        least, top = min(0.0, float(means.min())), max(float(means.max()), torch.finfo(means.dtype).tiny)
    counts = torch.histc(means.cpu(), bins, least, top).to(means.device)  # a GPU's asks for atomic sums
    off, on = means.abs().amax(0) < OFF * max(top, -least), means.amin(0) > ON * top
    edges = torch.linspace(least, top, bins + 1, dtype=means.dtype, device=means.device)
    return Activations(edges, counts, off.to(means.dtype).mean(), on.to(means.dtype).mean())


@torch.no_grad()
def weight_norms(rbm: RBM | ConvolutionalRBM) -> Norms:
    """How large the weights are: filters that grow without end say that the step is too large or decay too weak."""
    each = rbm.weight if isinstance(rbm, RBM) else rbm.weight.flatten(1).t()
    return Norms(each.norm(dim=0), each.square().mean().sqrt(), each.abs().max())


def autocorrelation(series: Tensor, *, lags: int | None = None) -> Autocorrelation:
    """Of a scalar measured along several chains, `series` (sweeps, chains), about the mean of all of them.

    Args:
        lags: most lags looked at; none: half the sweeps.
    """
    sweeps = len(series)
    most = min(sweeps - 1, sweeps // 2 if lags is None else lags)
    if most < 1:
        raise ValueError(f"an autocorrelation needs at least 2 sweeps and 1 lag; got {sweeps} sweeps and {most} lags")
    series = series.cpu().double()  # not every device has float64
    centred = series - series.mean()
    variance = centred.square().mean().clamp_min(torch.finfo(torch.float64).tiny)
    values = torch.stack([(centred[: sweeps - lag] * centred[lag:]).mean() / variance for lag in range(most + 1)])
    times = 1.0 + 2.0 * values[1:].cumsum(0)
    # The sum ends where the lag is five times itself: further out there is only noise.
    inside = (torch.arange(1, most + 1, device=times.device) >= 5.0 * times).nonzero()
    return Autocorrelation(values, times[int(inside[0]) if len(inside) else -1])


@torch.no_grad()
def chains(rbm: RBM, data: Tensor, sweeps: int, generator: Generator) -> Chains:
    """Gibbs chains from the rows of `data` (chains, visible) and as many from noise, measured after every sweep.

    What is measured is the mean hidden activation's projection on the direction in which the rows of `data` differ most.
    """
    if sweeps < 2:
        raise ValueError(f"chains need at least 2 sweeps to be compared; got {sweeps}")
    direction = _main_direction(rbm.hidden.mean(rbm.hidden_field(data)))
    zero = torch.zeros_like(data)
    states = [data, rbm.visible.sample(zero, generator)]
    measured: list[list[Tensor]] = [[], []]
    for _ in range(sweeps):
        for which in (0, 1):
            states[which] = rbm.gibbs(states[which], 1, generator)
            measured[which].append(rbm.hidden.mean(rbm.hidden_field(states[which])) @ direction)
    series = [torch.stack(one) for one in measured]
    late = [one[sweeps // 2 :] for one in series]
    spread = torch.cat([one.flatten() for one in late]).std().clamp_min(torch.finfo(data.dtype).tiny)
    return Chains(states[0], states[1], series[0], series[1], (late[0].mean() - late[1].mean()).abs() / spread)


@torch.no_grad()
def filters(rbm: RBM, size: tuple[int, ...], most: int) -> Tensor:
    """The `most` largest filters as pictures or volumes (filters, *size), from the largest down."""
    if math.prod(size) != rbm.visible.size:
        raise ValueError(f"filters of size {size} have {math.prod(size)} voxels; the machine sees {rbm.visible.size}")
    order = rbm.weight.norm(dim=0).argsort(descending=True)[:most]
    return rbm.weight[:, order].t().unflatten(1, size).clone()


def _main_direction(rows: Tensor) -> Tensor:
    """First principal direction (columns,) of `rows` (n, columns); for equal rows, any."""
    return torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][0]
