"""Before any training: what gain this cohort could detect, as a table and a sentence, from assumed spreads."""

from __future__ import annotations

import math
from typing import NamedTuple

from scanprior.evidence.metrics import Metric
from scanprior.evidence.power import Spread, auc_spread, chances, detectable, patients_needed

# Standard deviation of a patient's paired difference in a favourable, a usual and an unfavourable study. Dice, accuracy
# (square root of the share of discordant patients .15, .25, .35) and AUC (correlation of the arms' scores, around an
# AUC of .75) as tabulated for small imaging cohorts; the others from simulated studies with the same separation.
PATIENTS: dict[str, tuple[float, float, float]] = {
    "dice": (0.03, 0.06, 0.10),
    "accuracy": (0.39, 0.50, 0.59),
    "log_loss": (0.20, 0.35, 0.50),
    "brier": (0.06, 0.10, 0.15),
    "auc": (0.8, 0.6, 0.4),
}
CASES = ("favourable", "usual", "unfavourable")
AUC_BASE = 0.75
# Between draws, and what neither explains, as shares of the patients' spread: from the hippocampus arms' scores.
DRAWS, NOISE = 0.2, 0.75


class Row(NamedTuple):
    """One assumption and what follows from it."""

    case: str
    spread: Spread
    detectable: float  # true gain that ends as "helps" in 4 of 5 studies
    helps_at_margin: float  # chance of "helps" when the true gain is the margin
    equivalent_at_zero: float  # chance of "equivalent" when there is no difference
    patients_needed: int | None  # with 20 draws, test patients that decide 4 of 5 studies with twice the margin as gain


class Forecast(NamedTuple):
    """The table and its sentence."""

    rows: tuple[Row, ...]
    sentence: str


def forecast(metric: Metric, patients: int, draws: int, *, margin: float, level: float = 0.95,
             positives: int | None = None) -> Forecast:  # fmt: skip
    """What a study with so many test patients and draws could show; `positives` of them in the smaller class (AUC)."""
    rows = tuple(
        _row(case, spread_for(metric, patients, index, positives), patients, draws, margin, level)
        for index, case in enumerate(CASES)
    )
    return Forecast(rows, _sentence(metric, rows, patients, draws, margin))


def spread_for(metric: Metric, patients: int, case: int, positives: int | None = None) -> Spread:
    """The assumed spread of a case (0 favourable, 1 usual, 2 unfavourable)."""
    base = PATIENTS[metric][case]
    if metric == "auc":
        few = patients // 2 if positives is None else positives
        base = auc_spread(AUC_BASE, base, max(few, 1), max(patients - few, 1))
    return Spread(base, DRAWS * base, NOISE * base)


def _row(case: str, spread: Spread, patients: int, draws: int, margin: float, level: float) -> Row:
    at_margin = chances(margin, spread, patients, draws, margin=margin, level=level)
    at_zero = chances(0.0, spread, patients, draws, margin=margin, level=level)
    needed = patients_needed(2 * margin, spread, 2, max(draws, 20), margin=margin, level=level)
    gain = detectable(spread, patients, draws, margin=margin, level=level)
    return Row(case, spread, gain, at_margin.helps, at_zero.equivalent, needed.patients if needed else None)


NAMES = {
    "auc": "AUC",
    "dice": "Dice",
    "accuracy": "accuracy",
    "log_loss": "log-likelihood per patient",
    "brier": "Brier score",
}


def _sentence(metric: Metric, rows: tuple[Row, ...], patients: int, draws: int, margin: float) -> str:
    best, usual, worst = (_digits(row.detectable) for row in rows)
    text = (
        f"With {patients} test patients and {draws} draw{'s' if draws > 1 else ''}, four of five such studies would "
        f"find a true gain of {usual} {NAMES[metric]} ({best} if patients differ little, {worst} if they differ much)"
    )
    if rows[1].detectable > 2 * margin:
        return f"{text}; a gain as small as the declared margin of {margin:g} would most likely stay inconclusive."
    return f"{text}; the declared margin is {margin:g}."


def _digits(value: float) -> str:
    """Two significant digits."""
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
