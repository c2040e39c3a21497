"""One way to write each kind of number, so that the page reads as one hand's work."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS, NARROW = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
METRICS = {
    "dice": ("Dice", "mean Dice over the classes"),
    "auc": ("AUC", "area under the ROC curve"),
    "log_loss": ("log score", "log of the probability given to the truth (negated log-loss)"),
    "brier": ("Brier score", "negated Brier score"),
    "accuracy": ("accuracy", "share of patients classified rightly"),
}


def metric_name(metric: str) -> str:
    """The metric's short name, as axes and sentences use it."""
    return METRICS.get(metric, (metric, metric))[0]


def metric_meaning(metric: str) -> str:
    """The metric in words; all metrics are turned so that higher is better."""
    return METRICS.get(metric, (metric, metric))[1]


def decimals(margin: float, *bounds: float) -> int:
    """Decimals that show the margin with one digit to spare, at least 3, and on which side of 0 and margin `bounds` lie.

    At most 6: a bound that is nearer to 0 or the margin than that is shown as equal to it.
    """
    least = max(3, math.ceil(-math.log10(margin)) + 1) if 0 < margin < 1 else 3

    def hidden(places: int) -> bool:
        return any(
            bound != mark and round(bound, places) == round(mark, places)
            for bound in bounds if math.isfinite(bound)
            for mark in (0.0, margin, -margin)
        )  # fmt: skip

    return next((places for places in range(least, 6) if not hidden(places)), max(least, 6))


def score(value: float | None, places: int = 3) -> str:
    """A score, e.g. 0.871; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{places}f}".replace("-", MINUS)


def signed(value: float | None, places: int = 3) -> str:
    """A difference with its sign, e.g. +0.021; zero has none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.{places}f}"
    return text[1:] if not text.strip("+-0.") else text.replace("-", MINUS)


def percent(level: float) -> str:
    """A level as a percentage, e.g. 95 %."""
    return f"{100 * level:g}{NARROW}%"


def share(value: float | None) -> str:
    """A probability as a whole percentage, e.g. 42 %."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.0f}{NARROW}%"


def count(value: int | None) -> str:
    """A whole number with narrow spaces between thousands."""
    return "–" if value is None else f"{value:,}".replace(",", NARROW)


def times(value: float | None) -> str:
    """A multiplier with two digits that matter, e.g. 1.8×."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×"


def probability(value: float | None) -> str:
    """A p value: three decimals, never 0."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: 0.4 s, 52 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f}{NARROW}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NARROW}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW}min {whole % 60:02d}{NARROW}s"
    return f"{whole // 3600}{NARROW}h {whole % 3600 // 60:02d}{NARROW}min"


def megabytes(value: float | None) -> str:
    """Memory or disk: 0.2 MB, 812 MB, 3.4 GB."""
    if value is None or not math.isfinite(value):
        return "–"
    if value >= 1000:
        return f"{value / 1000:.1f}{NARROW}GB"
    return f"{value:.0f}{NARROW}MB" if value >= 10 else f"{value:.1f}{NARROW}MB"


def energy(kilowatt_hours: float | None) -> str:
    """Energy with two digits that matter: 0.42 Wh, 35 Wh, 1.2 kWh."""
    if kilowatt_hours is None or not math.isfinite(kilowatt_hours):
        return "–"
    value, unit = (kilowatt_hours, "kWh") if kilowatt_hours >= 1 else (1000 * kilowatt_hours, "Wh")
    places = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    return f"{value:.{places}f}{NARROW}{unit}"


def listed(values: Sequence[object]) -> str:
    """a, b and c."""
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else "none"


def averaged_over(budgets: Sequence[int]) -> str:
    """What a difference is averaged over: budgets of 2 to 8 labelled patients, or nothing where there is one budget."""
    first, last = budgets[0], budgets[-1]
    if first == last:
        return f"with {first} labelled patients"
    return f"averaged over budgets of {first} to {last} labelled patients"
