"""How well site, scanner, format and the like alone tell the label: what a network might learn instead of anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanprior.evidence.signflip import holm

PERMUTATIONS = 9_999  # Holm multiplies p by the covariates, and the smallest p must stay below SUSPECT_P
PARTS = 20  # so that a part stays in the processor's cache
SUSPECT_P, SUSPECT_ACCURACY = 0.01, 0.6
BINS = 3


class Shortcut(NamedTuple):
    """One covariate: balanced accuracy of the label from it alone (leave one out), its p, and whether it is suspect."""

    name: str
    levels: int
    accuracy: float
    chance: float
    p: float
    p_holm: float
    suspect: bool


def shortcuts(table: pd.DataFrame, label: Sequence[int], *, seed: int) -> list[Shortcut]:
    """A row per column of `table` (patients in the order of `label`) with more than one value; numbers in thirds.

    A missing value is a level of its own, since "not recorded" can tell a site. p by permuting the labels.
    """
    classes = np.asarray(label, dtype=np.int64)
    columns = {str(name): _levels(column) for name, column in table.items()}
    columns = {name: codes for name, codes in columns.items() if codes.max(initial=0) > 0}
    rng = np.random.default_rng(seed)
    permuted = rng.permuted(np.tile(classes, (PERMUTATIONS, 1)), axis=1)
    found: list[tuple[str, int, float, float]] = []
    for name, codes in columns.items():
        accuracy = float(_accuracy(codes, classes[None])[0])
        null = np.concatenate([_accuracy(codes, part) for part in np.array_split(permuted, PARTS)])
        found.append(
            (name, int(codes.max()) + 1, accuracy, float((1 + (null >= accuracy - 1e-12).sum()) / (1 + len(null))))
        )
    adjusted = holm([row[3] for row in found])
    chance = 1 / max(len(np.unique(classes)), 1)
    return [
        Shortcut(
            name, levels, accuracy, chance, p, p_holm, p_holm < SUSPECT_P and accuracy > max(chance, SUSPECT_ACCURACY)
        )
        for (name, levels, accuracy, p), p_holm in zip(found, adjusted, strict=True)
    ]


def _levels(column: pd.Series) -> NDArray[np.int64]:
    """Codes 0, 1, … of a column's values; numbers with more than three values in thirds."""
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > BINS:
        edges = np.quantile(column.dropna().to_numpy(float), np.arange(1, BINS) / BINS)
        values = column.to_numpy(float, na_value=np.nan)
        codes = np.where(np.isnan(values), BINS, np.searchsorted(edges, values))
        return np.unique(codes, return_inverse=True)[1]
    return np.unique(column.astype(str).to_numpy(str), return_inverse=True)[1]


def _accuracy(codes: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Balanced accuracy of guessing each patient's class from the others of the same level; (rows of labels,).

    The guess is the class that is over-represented in the level, as a share of the class; ties count in parts.
    """
    member = (labels[:, None] == np.unique(labels)[:, None]).astype(float)  # (rows, classes, patients)
    level = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)  # (patients, levels)
    sizes = member.sum(-1, keepdims=True)  # (rows, classes, 1)
    here = (member @ level)[:, :, codes] - member  # others of the class at this patient's level
    share = here / np.maximum(sizes - member, 1)
    best = share >= share.max(1, keepdims=True) - 1e-12
    hit = (best * member).sum(1) / best.sum(1)  # (rows, patients)
    return ((hit[:, None] * member).sum(-1) / np.maximum(sizes[..., 0], 1)).mean(-1)
