"""Runs whose right answer is known: labels that were permuted must end at chance, or the study has a leak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scanprior.evidence.allocation import shuffled
from scanprior.evidence.interval import cells_of, two_way
from scanprior.evidence.statistic import Statistic

# A canary that cries once in a thousand healthy studies.
LEVEL = 0.999


class Canary(NamedTuple):
    """A canary's outcome, in the form of verdict.json."""

    name: str
    passed: bool
    expected: float
    observed: float
    low: float
    high: float
    sentence: str


def permuted_labels(labels: Sequence[int], seed: int) -> list[int]:
    """The labels dealt out anew among the same patients; class sizes stay."""
    return [labels[row] for row in shuffled(range(len(labels)), seed)]


def at_chance(name: str, statistic: Statistic, chance: float) -> Canary:
    """Whether a run on meaningless labels scores at chance: its 99.9 % interval must not lie above it.

    statistic: the scores measured against the permuted labels. A score that has no interval passes only at chance.
    """
    found = two_way(cells_of(statistic), statistic.stratum, level=LEVEL).primary
    passed = found.low <= chance if np.isfinite(found.low) else bool(found.estimate <= chance)
    word = "at chance, as it must be" if passed else "above chance: something tells the model whom it is tested on"
    text = f"{name}: {found.estimate:.3f} where {chance:.3f} is chance; {word}."
    return Canary(name, passed, chance, found.estimate, found.low, found.high, text)
