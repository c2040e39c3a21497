"""A patient-level test of "no difference": the arms' names are swapped patient by patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array

EXACT_UP_TO = 14
FLIPS = 20_000


def signflip(difference: Array, *, seed: int, stratum: NDArray[np.int64] | None = None) -> float:
    """Two-sided p of the mean over patients of `difference` (patients,), NaN = missing.

    Exact over all 2^n swaps up to 14 patients, else 20,000 random swaps with the observed one counted, so p is never 0.
    With `stratum` (classes) the statistic is the AUC's: `difference` holds differences of placements, and the sum of
    the classes' means is flipped, whose variance is that of the AUC (DeLong et al. 1988). NaN when no patient differs.
    The test is about these patients and the draws as they were made; the interval is about other draws too.
    """
    rows = np.flatnonzero(~np.isnan(difference) if stratum is None else ~np.isnan(difference) & (stratum >= 0))
    if len(rows) == 0 or not np.any(difference[rows]):
        return float("nan")
    kinds = np.zeros(len(rows), dtype=np.int64) if stratum is None else stratum[rows]
    sizes = np.bincount(kinds)
    share = difference[rows] / sizes[kinds]
    observed = abs(share.sum())
    if stratum is not None:
        # Each class's mean is the whole ΔAUC, so the sum holds it twice (2/C each), while its variance comes once.
        share *= 2 / np.count_nonzero(sizes)
        observed = abs(share.sum()) / 2
    if len(rows) <= EXACT_UP_TO:
        codes = np.arange(2 ** len(rows))[:, None]
        signs = ((codes >> np.arange(len(rows))) & 1) * 2.0 - 1.0
        return float(np.mean(np.abs(signs @ share) >= observed * (1 - 1e-12)))
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(FLIPS, len(rows))) * 2.0 - 1.0
    return float((1 + np.sum(np.abs(signs @ share) >= observed * (1 - 1e-12))) / (FLIPS + 1))


def patient_means(values: Array) -> Array:
    """(draws, budgets, patients) to each patient's mean over the draws and budgets in which it has a value."""
    flat = values.reshape(-1, values.shape[-1])
    known = ~np.isnan(flat)
    number = known.sum(0)
    return np.where(number > 0, np.where(known, flat, 0.0).sum(0) / np.maximum(number, 1), np.nan)


def holm(p: list[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given; NaN stays NaN and counts as no test (Holm 1979)."""
    order = sorted((value, index) for index, value in enumerate(p) if not np.isnan(value))
    adjusted = [float("nan")] * len(p)
    running = 0.0
    for rank, (value, index) in enumerate(order):
        running = max(running, min(1.0, value * (len(order) - rank)))
        adjusted[index] = running
    return adjusted
