"""Letters in place of values that name a place or a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def lettered(values: Sequence[str | None]) -> list[str | None]:
    """Replace values by A, B, … Z, AA, … in order of frequency, ties by first appearance; None stays None."""
    counts = Counter(value for value in values if value is not None)
    return [None if value is None else _letters([v for v, _ in counts.most_common()].index(value)) for value in values]


def _letters(number: int) -> str:
    head = _letters(number // 26 - 1) if number >= 26 else ""
    return head + chr(ord("A") + number % 26)
