"""The verdict file's content: comparisons and savings as plain values for JSON; unknown numbers become null."""

from __future__ import annotations

import math
from typing import Any

from scanprior.evidence.analysis import Comparison, Rules, Savings
from scanprior.evidence.interval import Inference, Interval
from scanprior.evidence.savings import Multiplier
from scanprior.evidence.verdict import needed_words

# 2: `power` (forecast), `sites` (per site and worst), `shortcuts`, doubts in `leaks` (proof false), `skewness` of a comparison.
SCHEMA = 2


def plain(value: Any) -> Any:
    """`value` with NaN and infinities as None and numpy numbers as Python's, all the way down."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def comparison(found: Comparison, rules: Rules, metric: str) -> dict[str, Any]:
    """One comparison: the fields of `primary` in verdict.json."""
    one = found.inference.primary
    return {
        "metric": metric,
        "arm": found.arm,
        "other": found.other,
        "comparison": f"{found.arm} − {found.other}",
        "verdict": found.verdict,
        "delta": one.estimate,
        "low": one.low,
        "high": one.high,
        "level": rules.level,
        "margin": rules.margin,
        "p": one.p,
        "p_signflip": found.p_signflip,
        "resampled_t": found.resampled._asdict(),
        "se_patients": one.se_patients,
        "se_draws": one.se_draws,
        "se_noise": one.se_noise,
        "skewness": one.skewness,
        "patients": one.patients,
        "draws": one.draws,
        "patients_needed": found.patients_needed.patients if found.patients_needed else None,
        "draws_needed": found.patients_needed.draws if found.patients_needed else None,
        "needed": needed(found),
        "note": one.note,
    }


def needed(found: Comparison) -> str:
    """What would decide an open verdict, in words; empty when it is decided or nothing can be said."""
    one = found.inference.primary
    if found.verdict != "inconclusive" or math.isnan(one.low):
        return ""
    return needed_words(found.patients_needed, one.patients, one.draws)


def by_budget(inference: Inference, budgets: tuple[int, ...], savings: Savings) -> list[dict[str, Any]]:
    """Difference and label multiplier at each budget."""
    return [
        {"budget": budget, "delta": one.estimate, "low": one.low, "high": one.high, "p": one.p, "draws": one.draws,
         "note": one.note, "label_multiplier": multiplier(k)}
        for budget, one, k in zip(budgets, inference.budgets, savings.budgets, strict=True)
    ]  # fmt: skip


RANGE = {
    "auc": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "dice": (0.0, 1.0),
    "brier": (-1.0, 0.0),
    "log_loss": (-math.inf, 0.0),
}


def curve(inference: Inference, budgets: tuple[int, ...], metric: str) -> list[dict[str, Any]]:
    """Mean score at each budget."""
    return [{"budget": budget, **level(one, metric)} for budget, one in zip(budgets, inference.budgets, strict=True)]


def level(one: Interval, metric: str) -> dict[str, float]:
    """A mean score with its interval, which ends where the metric ends."""
    least, most = RANGE[metric]
    return {"mean": one.estimate, "low": max(one.low, least), "high": min(one.high, most)}


def multiplier(found: Multiplier | None) -> dict[str, Any] | None:
    """k with its bounds, which of them are only ends of the observed range, and the same in words."""
    if found is None:
        return None
    censored = ["estimate" if name in ("at least", "at most") else name for name in found.censored]
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "censored": censored,
            "text": _words(found)}  # fmt: skip


def _words(found: Multiplier) -> str:
    if math.isnan(found.estimate):
        return "not known"
    side = next((f"{word} " for word in ("at least", "at most") if word in found.censored), "")
    words = f"{side}{found.estimate:.2g}×"
    if math.isnan(found.low):
        return words
    low = "below what the budgets show" if "low" in found.censored else f"{found.low:.2g}×"
    high = "beyond what the budgets show" if "high" in found.censored else f"{found.high:.2g}×"
    return f"{words} ({low} to {high})"
