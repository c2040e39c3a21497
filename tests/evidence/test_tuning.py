"""The best-of-T curve against every choice of trials, one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from scanprior.evidence.tuning import best_of


def table(scores: np.ndarray) -> pd.DataFrame:
    """scores (draws, trials)."""
    rows = [
        {"draw": draw, "fold": 0, "budget": 4, "trial": trial, "score": score}
        for draw, cell in enumerate(scores)
        for trial, score in enumerate(cell)
    ]
    return pd.DataFrame(rows)


def test_it_is_the_mean_of_the_best_over_all_choices() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 5))
    found = best_of({"dbn": table(scores)}).set_index("trials")["score"]
    for trials in range(1, 6):
        every = [max(choice) for cell in scores for choice in combinations(cell, trials)]
        assert found[trials] == pytest.approx(np.mean(every))
    assert found.is_monotonic_increasing
    shuffled = best_of({"dbn": table(scores[:, ::-1])}).set_index("trials")["score"]
    np.testing.assert_allclose(found, shuffled)


def test_cells_without_all_scores_are_left_out() -> None:
    scores = np.array([[1.0, 2.0], [np.nan, 9.0]])
    assert best_of({"a": table(scores)})["score"].tolist() == [1.5, 2.0]
    short = pd.concat([table(scores[:1]), table(np.array([[7.0]])).assign(draw=5)])
    assert best_of({"a": short})["score"].tolist() == [1.5, 2.0]
    assert best_of({"a": table(np.array([[np.nan]]))}).empty
    assert list(best_of({}).columns) == ["arm", "trials", "score"]
