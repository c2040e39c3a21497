"""The verdict: four rows that exclude each other and leave no gap, and the sentence that opens the report."""

from __future__ import annotations

import math
from typing import Literal

Verdict = Literal["helps", "harms", "equivalent", "inconclusive"]


def judge(low: float, high: float, margin: float) -> Verdict:
    """The verdict on an interval [low, high] of a difference against the declared margin; NaN is inconclusive."""
    if math.isnan(low) or math.isnan(high):
        return "inconclusive"
    if low > 0 and high >= margin:
        return "helps"
    if high < 0 and low <= -margin:
        return "harms"
    if -margin < low and high < margin:
        return "equivalent"
    return "inconclusive"


def sentence(
    low: float,
    high: float,
    margin: float,
    *,
    estimate: float,
    metric: str,
    needed: str = "",
    note: str = "",
    level: float = 0.95,
    against: str = "the same network from a random start",
) -> str:
    """One plain sentence that says no more than the interval does."""
    verdict = judge(low, high, margin)
    if math.isnan(low) or math.isnan(high):
        cause = f" ({note})" if note else ""
        return f"Whether pretraining helps on these patients can't be told: the difference has no interval{cause}."
    span = f"{_signed(estimate)} {metric}, {level:.0%} interval {_signed(low)} to {_signed(high)}"
    if verdict == "helps":
        size = (
            f"the whole interval lies above the {margin:g} that you said matters"
            if low >= margin
            else f"the gain may be smaller or larger than the {margin:g} that you said matters"
        )
        return f"Pretraining helps on these patients, compared with {against}: {span}; {size}."
    if verdict == "harms":
        size = (
            f"the whole interval lies below the loss of {margin:g} that you said matters"
            if high <= -margin
            else f"the loss may be smaller or larger than the {margin:g} that you said matters"
        )
        return f"Pretraining harms on these patients, compared with {against}: {span}; {size}."
    if verdict == "equivalent":
        real = ""
        if low > 0 or high < 0:
            word = "gain" if low > 0 else "loss"
            real = f"; the {word} is real, but smaller than what you said matters"
        what = f"no difference that matters (less than {margin:g})"
        return f"Pretraining makes {what} on these patients, compared with {against}: {span}{real}."
    need = f"; {needed}" if needed else ""
    return f"Whether pretraining helps on these patients can't be told yet, compared with {against}: {span}{need}."


def needed_words(needed: tuple[int, int] | None, patients: int, draws: int) -> str:
    """What would decide an open verdict: `needed` = (patients, draws), beside what the study has."""
    if needed is None:
        return "more test patients and draws would hardly decide it"
    more_patients, more_draws = needed
    if more_draws <= draws:
        return f"about {more_patients} test patients, with these {draws} draws, would probably decide it"
    if more_patients <= patients:
        return f"{more_draws} draws instead of {draws} would probably decide it, with the same patients"
    return f"about {more_patients} test patients and {more_draws} draws instead of {draws} would probably decide it"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
