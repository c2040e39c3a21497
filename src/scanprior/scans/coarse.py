"""Coarse values that name nobody: letters for places and machines, thirds for dates."""

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


def thirds(values: Sequence[str | None]) -> list[int | None]:
    """1, 2 or 3 by rank (equal values alike): fine enough to see that a label goes with it."""
    known = sorted(value for value in values if value is not None)
    edges = [known[len(known) * part // 3] for part in (1, 2)] if known else []
    return [None if value is None else 1 + sum(value >= edge for edge in edges) for value in values]
