"""The interval of a mean score or difference over patients and draws: a two-way bootstrap with a pivot for each side.

Patients × draws is a crossed design: the same patients are tested in every draw, so that their errors don't average out
over draws, nor the draws' errors over patients. The patients' side is a bootstrap-t (Efron & Tibshirani 1993, section
12.5), because paired differences are skewed and there may be 30 of them, or a Student t, because a bootstrap-t is too
narrow for heavy tails: on each side the wider of the two. The draws' side is a Student t with draws − 1 degrees of
freedom, because five draws can't be resampled. The sides are added as in the Behrens–Fisher problem. Why this variant
and no other: docs/explanation/validation.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array
from scanprior.evidence.statistic import Statistic

REPLICATES = 4000
# A replicate of hardly varying patients has a standard error near 0 and an arbitrarily large pivot; bounded at a tenth.
SMALLEST_SE = 0.1


class Resampling(NamedTuple):
    """Bootstrap weights of patients, shared by everything that is compared."""

    stratum: NDArray[np.int64]  # (patients,) resampled within these; −1 = left out
    weights: Array  # (replicates, patients) how often each patient was drawn
    seed: int

    @property
    def patients(self) -> int:
        """How many patients are resampled."""
        return int((self.stratum >= 0).sum())


class Cells(NamedTuple):
    """An arm's score, or any linear combination of arms' scores, in every draw and budget."""

    observed: Array  # (draws, budgets); NaN where there is no score
    replicates: Array  # (replicates, draws, budgets)
    influence: Array  # (draws, budgets, patients)

    def minus(self, other: Cells) -> Cells:
        """The difference of two arms that were resampled with the same weights."""
        return Cells(
            self.observed - other.observed, self.replicates - other.replicates, self.influence - other.influence
        )


class Interval(NamedTuple):
    """An estimate with its interval; low and high are NaN when the data say nothing about it, and `note` says why."""

    estimate: float
    low: float
    high: float
    se_patients: float
    se_draws: float  # 0 with one draw, since nothing is known
    se_noise: float  # what neither patient nor draw explains; a part of both of the above
    p: float  # two-sided, of the hypothesis 0, from the same distribution as the interval
    patients: int
    draws: int
    note: str


class Inference(NamedTuple):
    """The primary summary (mean over the budgets that have scores) and each budget's own interval."""

    primary: Interval
    budgets: tuple[Interval, ...]


def resample(stratum: NDArray[np.int64], *, seed: int, replicates: int = REPLICATES) -> Resampling:
    """Draw patients with replacement within each stratum of (patients,)."""
    rng = np.random.default_rng([seed, 0])
    weights = np.zeros((replicates, len(stratum)))
    for kind in range(int(stratum.max(initial=-1)) + 1):
        rows = np.flatnonzero(stratum == kind)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=replicates)
    return Resampling(stratum, weights, seed)


def cells_of(statistic: Statistic, resampling: Resampling) -> Cells:
    """A statistic's values in the sample and in every replicate, and each patient's influence."""
    unit = (resampling.stratum >= 0).astype(float)[None]
    observed = statistic.cells(unit)[0]
    influence = np.where(np.isnan(observed)[:, :, None], np.nan, statistic.influence())
    return Cells(observed, statistic.cells(resampling.weights), influence)


def two_way(cells: Cells, resampling: Resampling, *, level: float = 0.95) -> Inference:
    """Intervals over patients and draws of the mean over budgets, and of each budget.

    A draw that lacks a budget gets the other draws' mean there; a budget or draw without any score is left out of the
    primary; the note says so.
    """
    budgets = tuple(
        interval(*_kept(cells.observed[:, b], cells.replicates[:, :, b], cells.influence[:, b]), resampling, level)
        for b in range(cells.observed.shape[1])
    )
    combined, notes = over_budgets(cells)
    primary = interval(*combined, resampling, level)
    return Inference(primary._replace(note="; ".join(filter(None, [primary.note, *notes]))), budgets)


def over_budgets(cells: Cells, shares: Array | None = None) -> tuple[tuple[Array, Array, Array], list[str]]:
    """Weighted sum over budgets (mean without `shares`): (draws,), (replicates, draws), (draws, patients); and notes.

    `shares` (budgets,) must be 0 for budgets without scores.
    """
    known = ~np.isnan(cells.observed)
    draws, present = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    notes: list[str] = []
    if 0 < len(present) < known.shape[1]:
        notes.append(f"{known.shape[1] - len(present)} of {known.shape[1]} budgets have no scores")
    if not known[np.ix_(draws, present)].all():
        notes.append("some draws lack a budget, where the other draws' mean stands in")
    factor = np.full(len(present), 1 / max(len(present), 1)) if shares is None else shares[present]
    parts = (
        _filled(cells.observed[np.ix_(draws, present)], 0) @ factor,
        _filled(cells.replicates[:, draws][:, :, present], 1) @ factor,
        np.einsum("rbp,b->rp", _filled(cells.influence[draws][:, present], 0), factor),
    )
    return parts, notes


def interval(values: Array, replicates: Array, influence: Array, resampling: Resampling, level: float) -> Interval:
    """One interval from (draws,) values, (replicates, draws) bootstrap values and (draws, patients) influences."""
    nan = float("nan")
    patients, draws = resampling.patients, len(values)
    sizes = np.bincount(resampling.stratum[resampling.stratum >= 0])
    estimate = float(values.mean()) if draws else nan
    nothing = Interval(estimate, nan, nan, nan, nan, nan, nan, patients, draws, "")
    if draws == 0:
        return nothing._replace(note="no scores")
    if min(sizes, default=0) < 2:
        return nothing._replace(note="fewer than 2 patients")
    mean_influence = influence.mean(0)
    se_patients = float(np.sqrt(patient_variance(mean_influence, resampling.stratum)[0]))
    if se_patients <= 1e-12:
        return nothing._replace(note="all patients have the same value, so nothing says how others would vary")
    se_draws = float(values.std(ddof=1) / np.sqrt(draws)) if draws > 1 else 0.0
    own = np.sqrt(patient_variance(mean_influence, resampling.stratum, resampling.weights))
    rng = np.random.default_rng([resampling.seed, 1])
    pivots = (
        (_known_mean(replicates, 1) - estimate) / np.maximum(own, SMALLEST_SE * se_patients),
        rng.standard_t(patients - len(sizes), len(own)),
    )
    noise = rng.standard_t(draws - 1, len(own)) * se_draws if draws > 1 else 0.0
    lows, highs, ps = zip(*(_quantiles(estimate - one * se_patients - noise, level) for one in pivots), strict=True)
    note = "" if draws > 1 else "one draw only: the interval says nothing about other choices of labelled patients"
    se_noise = 0.0
    if draws > 1:
        each = [patient_variance(one - mean_influence, resampling.stratum)[0] for one in influence]
        se_noise = float(np.sqrt(np.sum(each) / (draws - 1) / draws))
    edges = (estimate, min(lows), max(highs))
    return Interval(*edges, se_patients, se_draws, se_noise, max(ps), patients, draws, note)


def _quantiles(spread: Array, level: float) -> tuple[float, float, float]:
    """Low, high and the two-sided p of 0 in a distribution of plausible values."""
    spread = spread[~np.isnan(spread)]
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(int((spread <= 0).sum()), int((spread >= 0).sum()))
    return float(low), float(high), min(1.0, 2 * (beyond + 1) / (len(spread) + 1))


def patient_variance(influence: Array, stratum: NDArray[np.int64], weights: Array | None = None) -> Array:
    """Variance of a mean over patients from their (patients,) influences; (replicates,), one entry without weights."""
    weights = (stratum >= 0).astype(float)[None] if weights is None else weights
    total = np.zeros(len(weights))
    for kind in range(int(stratum.max()) + 1):
        rows = np.flatnonzero(stratum == kind)
        own, share, size = influence[rows], weights[:, rows], len(rows)
        squares = share @ own**2 - (share @ own) ** 2 / size
        total += size / (size - 1) * np.maximum(squares, 0.0)
    return total / (stratum >= 0).sum() ** 2


def _kept(values: Array, replicates: Array, influence: Array) -> tuple[Array, Array, Array]:
    """The draws that have a score at this budget."""
    has = ~np.isnan(values)
    return values[has], replicates[:, has], influence[has]


def _known_mean(values: Array, axis: int) -> Array:
    """Mean of the entries that are not NaN; NaN where there is none."""
    known = ~np.isnan(values)
    number = known.sum(axis)
    return np.where(number > 0, np.where(known, values, 0.0).sum(axis) / np.maximum(number, 1), np.nan)


def _filled(values: Array, draws: int) -> Array:
    """`values` with missing entries replaced by the mean along the axis of the draws."""
    missing = np.isnan(values)
    return np.where(missing, np.expand_dims(_known_mean(values, draws), draws), values) if missing.any() else values
