"""What is averaged over patients, draws and budgets: means for decomposable metrics, pair means for the AUC.

A statistic answers two questions: its value in each draw and budget when patients are weighted, and each patient's
influence on it, from which standard errors follow without resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import Array, Contest


class Statistic(Protocol):
    """A score, or a difference of two arms' scores, in every draw and budget."""

    @property
    def stratum(self) -> NDArray[np.int64]:
        """(patients,) patients vary among those of their stratum; −1: never scored."""
        ...

    def cells(self, weights: Array) -> Array:
        """(n, patients) weights to (n, draws, budgets) values; NaN where undefined."""
        ...

    def influence(self) -> Array:
        """(draws, budgets, patients): derivative of a cell by a patient's weight, times the number of patients."""
        ...


@dataclass(frozen=True)
class MeanStatistic:
    """Mean over patients of `values` (draws, budgets, patients); NaN = missing."""

    values: Array

    @property
    def stratum(self) -> NDArray[np.int64]:
        """All scored patients are one stratum."""
        return np.where(np.isnan(self.values).all((0, 1)), -1, 0)

    def cells(self, weights: Array) -> Array:
        """See `Statistic.cells`."""
        draws, budgets, patients = self.values.shape
        flat = self.values.reshape(-1, patients)
        known = ~np.isnan(flat)
        total = weights @ np.where(known, flat, 0.0).T
        number = weights @ known.T.astype(float) if not known.all() else weights.sum(1)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total / number).reshape(-1, draws, budgets)

    def influence(self) -> Array:
        """See `Statistic.influence`."""
        known = ~np.isnan(self.values)
        number = known.sum(-1, keepdims=True)
        centre = np.where(known, self.values, 0.0).sum(-1, keepdims=True) / np.maximum(number, 1)
        scored = (self.stratum >= 0).sum()
        return np.where(known, self.values - centre, 0.0) * scored / np.maximum(number, 1)


@dataclass(frozen=True)
class PairStatistic:
    """Mean over pairs of patients of two classes, averaged over the contests (one with two classes)."""

    games: list[Contest]
    patients: int

    @property
    def stratum(self) -> NDArray[np.int64]:
        """A class is a stratum: an AUC is about given numbers of either class."""
        stratum = np.full(self.patients, -1)
        classes: dict[bytes, int] = {}
        for game in self.games:
            known = ~np.isnan(game.kernel)
            for rows, seen in ((game.first, known.any((0, 1, 3))), (game.second, known.any((0, 1, 2)))):
                stratum[rows[seen]] = classes.setdefault(rows.tobytes(), len(classes))
        return stratum

    def cells(self, weights: Array) -> Array:
        """See `Statistic.cells`."""
        parts: list[Array] = []
        for game in self.games:
            first, second = weights[:, game.first], weights[:, game.second]
            draws, budgets = game.kernel.shape[:2]
            part = np.empty((len(weights), draws, budgets))
            numbers: dict[bytes, Array] = {}
            for draw in range(draws):
                for budget in range(budgets):
                    kernel = game.kernel[draw, budget]
                    known = ~np.isnan(kernel)
                    mask = known.tobytes()
                    if mask not in numbers:  # the same pairs are compared at every budget, as a rule in every draw
                        numbers[mask] = ((first @ known.astype(float)) * second).sum(1)
                    total = ((first @ np.where(known, kernel, 0.0)) * second).sum(1)
                    with np.errstate(invalid="ignore", divide="ignore"):
                        part[:, draw, budget] = total / numbers[mask]
            parts.append(part)
        return np.mean(parts, axis=0)

    def influence(self) -> Array:
        """See `Statistic.influence`."""
        shape = (*self.games[0].kernel.shape[:2], self.patients)
        found = np.zeros(shape)
        scored = (self.stratum >= 0).sum()
        for game in self.games:
            known = ~np.isnan(game.kernel)
            pairs = np.maximum(known.sum((2, 3)), 1)[..., None]
            won = np.where(known, game.kernel, 0.0)
            centre = won.sum((2, 3))[..., None] / pairs
            for rows, axis in ((game.first, 3), (game.second, 2)):
                found[:, :, rows] += (won.sum(axis) - centre * known.sum(axis)) * scored / pairs / len(self.games)
        return found
