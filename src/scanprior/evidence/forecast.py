"""Before any training: what gain this cohort could detect, as a sentence, a table and a curve, from assumed spreads."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scanprior.evidence.metrics import Metric
from scanprior.evidence.power import Needed, Spread, auc_spread, chances, detectable, patients_needed

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
# Skewness of the same: scores without a floor have patients who lose much, ranks and hits have hardly any.
SKEWNESS: dict[str, tuple[float, float, float]] = {
    "dice": (0.0, -0.7, -1.3),
    "accuracy": (0.0, 0.0, 0.0),
    "log_loss": (0.0, -0.7, -1.3),
    "brier": (0.0, -0.7, -1.3),
    "auc": (0.0, 0.0, 0.0),
}
CASES = ("favourable", "usual", "unfavourable")
AUC_BASE = 0.75
# Between draws, and what neither explains, as shares of the patients' spread: from the hippocampus arms' scores.
DRAWS, NOISE = 0.2, 0.75
STEPS = 9
BAR = 20


class Row(NamedTuple):
    """One assumption and what follows from it."""

    case: str
    spread: Spread
    detectable: float  # true gain that ends as "helps" in 4 of 5 studies; infinite where no gain does
    helps_at_margin: float  # chance of "helps" when the true gain is the margin
    equivalent_at_zero: float  # chance of "equivalent" when there is no difference
    needed: Needed | None  # patients and draws that decide 4 of 5 studies whose true gain is twice the margin


class Forecast(NamedTuple):
    """The sentence, the table, and per case the chance of "helps" at each true gain."""

    sentence: str
    rows: tuple[Row, ...]
    gains: tuple[float, ...]
    helps: tuple[tuple[float, ...], ...]  # (cases, gains)


def forecast(metric: Metric, patients: int, draws: int, *, margin: float, level: float = 0.95,
             positives: int | None = None) -> Forecast:  # fmt: skip
    """What a study with so many test patients and draws could show; `positives` of them in the smaller class (AUC)."""
    spreads = [spread_for(metric, patients, case, positives) for case in range(len(CASES))]
    rows = tuple(
        _row(case, spread, patients, draws, margin, level, LARGEST[metric])
        for case, spread in zip(CASES, spreads, strict=True)
    )
    most = next((1.5 * row.detectable for row in reversed(rows) if math.isfinite(row.detectable)), 4 * margin)
    gains = tuple(float(gain) for gain in np.linspace(0.0, most, STEPS))
    helps = tuple(
        tuple(chances(gain, spread, patients, draws, margin=margin, level=level).helps for gain in gains)
        for spread in spreads
    )
    return Forecast(_sentence(metric, rows, patients, draws, margin), rows, gains, helps)


def spread_for(metric: Metric, patients: int, case: int, positives: int | None = None) -> Spread:
    """The assumed spread of a case (0 favourable, 1 usual, 2 unfavourable)."""
    base = PATIENTS[metric][case]
    if metric == "auc":
        few = patients // 2 if positives is None else positives
        base = auc_spread(AUC_BASE, base, max(few, 1), max(patients - few, 1))
    return Spread(base, DRAWS * base, NOISE * base, SKEWNESS[metric][case])


def table(found: Forecast) -> str:
    """The rows as text."""
    lines = [
        "patients differ     detectable gain   helps at the margin   equivalent at zero   what decides twice the margin"
    ]
    for row in found.rows:
        gain = f"{_digits(row.detectable)}" if math.isfinite(row.detectable) else "none"
        needed = "more than 20,000 patients"
        if row.needed is not None:
            needed = f"{row.needed.patients} patients, {row.needed.draws} draws"
        lines.append(
            f"{DIFFER[row.case]:<18}{gain:>17}{row.helps_at_margin:>22.0%}{row.equivalent_at_zero:>21.0%}{needed:>32}"
        )
    return "\n".join(lines)


def figure(found: Forecast) -> str:
    """The chance of "helps" against the true gain, as bars of text."""
    lines = ["chance of the verdict “helps”, by true gain and by how much patients differ"]
    lines.append(f"{'true gain':<11}" + "".join(f"{DIFFER[row.case]:<{BAR + 8}}" for row in found.rows).rstrip())
    for number, gain in enumerate(found.gains):
        cells = [f"{'█' * round(BAR * case[number]):·<{BAR}} {case[number]:>4.0%}   " for case in found.helps]
        lines.append(f"{gain:<11.3f}" + "".join(cells).rstrip())
    return "\n".join(lines)


def _row(case: str, spread: Spread, patients: int, draws: int, margin: float, level: float, largest: float) -> Row:
    at_margin = chances(margin, spread, patients, draws, margin=margin, level=level)
    at_zero = chances(0.0, spread, patients, draws, margin=margin, level=level)
    needed = patients_needed(2 * margin, spread, 2, draws, margin=margin, level=level)
    gain = detectable(spread, patients, draws, margin=margin, level=level)
    gain = gain if gain <= largest else math.inf
    return Row(case, spread, gain, at_margin.helps, at_zero.equivalent, needed)


DIFFER = {"favourable": "little", "usual": "as usual", "unfavourable": "much"}
# The largest gain there can be: of the area under the curve from chance to perfection.
LARGEST: dict[Metric, float] = {"auc": 0.5, "dice": 1.0, "accuracy": 1.0, "brier": 1.0, "log_loss": math.inf}
NAMES = {
    "auc": "AUC",
    "dice": "Dice",
    "accuracy": "accuracy",
    "log_loss": "log-likelihood per patient",
    "brier": "Brier score",
}


def _sentence(metric: Metric, rows: tuple[Row, ...], patients: int, draws: int, margin: float) -> str:
    best, usual, worst = (_digits(row.detectable) if math.isfinite(row.detectable) else "none" for row in rows)
    size = f"{patients} test patients and {draws} draw{'s' if draws > 1 else ''}"
    if draws < 2:
        return (
            f"With {size} no verdict is possible, since one draw says nothing about other choices of labelled patients."
        )
    if usual == "none":
        but = "" if best == "none" else f" (one of {best} if patients differ little)"
        return f"With {size} there is no gain of {NAMES[metric]} that four of five such studies would find{but}."
    text = (
        f"With {size}, four of five such studies would find a true gain of {usual} {NAMES[metric]} "
        f"({best} if patients differ little, {worst} if they differ much)"
    )
    if rows[1].detectable > 2 * margin:
        return f"{text}; a gain as small as the declared margin of {margin:g} would most likely stay inconclusive."
    return f"{text}; the declared margin is {margin:g}."


def _digits(value: float) -> str:
    """Two significant digits."""
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
