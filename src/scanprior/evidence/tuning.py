"""What tuning bought: the validation score that the best of so many trials reaches, per arm."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

import numpy as np
import pandas as pd


def best_of(validation: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Columns arm, trials, score: mean over draws, folds and budgets of the expected best of `trials` trials.

    validation: per arm, columns draw, fold, budget, score (all draws; higher is better). The expectation is over all choices
    of so many of the trials that were made, without replacement (Dodge et al. 2019, equation 1, there with replacement), so
    that the order of the trials says nothing. Cells with a score that is not finite, or with fewer trials, are left out.
    """
    rows: list[tuple[str, int, float]] = []
    for arm, table in validation.items():
        cells = [np.sort(cell["score"].to_numpy(float)) for _, cell in table.groupby(["draw", "fold", "budget"])]
        most = max((len(cell) for cell in cells), default=0)
        whole = [cell for cell in cells if len(cell) == most and np.isfinite(cell).all()]
        for trials in range(1, most + 1) if whole else ():
            # The i-th smallest of n is the best of a choice of t when the other t − 1 lie below it.
            chance = np.array([comb(place, trials - 1) for place in range(most)]) / comb(most, trials)
            rows.append((arm, trials, float(np.mean([chance @ cell for cell in whole]))))
    return pd.DataFrame(rows, columns=["arm", "trials", "score"])
