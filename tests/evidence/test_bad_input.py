"""What data can do to the analysis: each has its answer, and no warning scrolls by."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from scanprior.evidence.analysis import Comparer, Rules
from scanprior.evidence.beyond import probability_tables
from scanprior.evidence.metrics import contests, placements
from scanprior.evidence.shortcuts import shortcuts
from scanprior.evidence.tables import Arm, Design

DRAWS, BUDGETS = 3, (4, 8)


def arms(label, *, gap=None, constant=False):
    """Two arms' probabilities, with a gap of NaN at `gap` in both, or all alike."""
    rng = np.random.default_rng(0)
    found = []
    fold = np.zeros((DRAWS, len(label)), dtype=np.int64)
    for name, gain in (("dbn", 2.0), ("scratch", 0.5)):
        logit = gain * (label - 0.5) + rng.normal(size=(DRAWS, len(BUDGETS), len(label)))
        p = np.full_like(logit, 0.5) if constant else 1 / (1 + np.exp(-logit))
        if gap is not None:
            p[gap] = np.nan
        both = np.stack([1 - p, p], -1)
        found.append(Arm(name, placements(contests(both, label, fold), len(label)), both, 0))
    names = tuple(f"P-{row}" for row in range(len(label)))
    return Design(names, label, fold, ("well", "ill"), BUDGETS, "auc"), found


TWO = np.arange(20) % 2
CASES = {
    "all scores missing": (TWO, {"gap": np.s_[:]}, "no scores"),
    "one class only": (np.ones(12, dtype=np.int64), {}, "no scores"),
    "one patient of a class": (np.r_[1, np.zeros(11, dtype=np.int64)], {}, "fewer than 2 patients"),
    "all scores tied": (TWO, {"constant": True}, "same value"),
    "a draw missing": (TWO, {"gap": np.s_[1]}, ""),
    "a budget missing": (TWO, {"gap": np.s_[:, 0]}, "1 of 2 budgets have no scores"),
    "a patient missing": (TWO, {"gap": np.s_[:, :, 3]}, ""),
    "a class missing in one draw": (TWO, {"gap": np.s_[0, :, 1::2]}, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_each_has_its_answer(case):
    label, how, note = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design, both = arms(label, **how)
        engine = Comparer(design, Rules(0.05, 0.95), lambda *_: 1)
        found = engine.compare(*both)
        engine.savings(*both)
        engine.curve(both[0])
        probability_tables(both, design, lambda *_: 1)
    primary = found.inference.primary
    assert note in primary.note
    assert np.isnan(primary.low) == (case in tuple(CASES)[:4])
    assert not np.isnan(primary.low) or found.verdict == "inconclusive"


def test_covariates_without_values_or_with_one_value_tell_nothing():
    table = pd.DataFrame({"site": ["A"] * 8, "age": [np.nan] * 8, "sex": [None] * 8, "scan": list("abcdefgh")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = shortcuts(table, [0, 1] * 4, seed=0)
        assert shortcuts(table, [1] * 8, seed=0)[0].suspect is False
    assert [row.name for row in found] == ["scan"] and not found[0].suspect
