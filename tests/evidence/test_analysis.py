"""Which arms are compared, and that comparisons use what both have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanprior.evidence.analysis import Comparer, Rules, best_by_validation, primary_pair, secondary_pairs
from scanprior.evidence.tables import Arm, Design


def design(metric="dice", patients=30, draws=3, label=None):
    label = np.zeros(patients, dtype=np.int64) if label is None else label
    fold = np.zeros((draws, patients), dtype=np.int64)
    return Design(tuple(f"P-{i:02}" for i in range(patients)), label, fold, ("a", "b"), (2, 4), metric)


def comparer(plan):
    return Comparer(plan, Rules(0.05, 0.95), lambda *names: 7)


def arm(name, score, probability=None):
    return Arm(name, score, probability, 0)


def test_a_gap_in_one_arm_leaves_the_pair_out():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(3, 2, 30))
    two = one - 0.3 + 0.05 * rng.normal(size=30)
    one[:, :, 0] = 99.0
    two[:, :, 0] = np.nan
    found = comparer(design()).compare(arm("dbn", one), arm("scratch", two))
    assert found.inference.primary.patients == 29 and found.verdict == "helps"
    assert found.inference.primary.estimate == pytest.approx(np.nanmean(one - two))


def test_auc_difference_is_the_difference_of_the_auc():
    rng = np.random.default_rng(1)
    label = np.arange(30) % 2
    arms = []
    for name, gain in (("dbn", 2.0), ("scratch", 0.0)):
        p = 1 / (1 + np.exp(-(gain * (label - 0.5) + rng.normal(size=(3, 2, 30)))))
        arms.append(arm(name, np.where(label == 1, p, 1 - p), np.stack([1 - p, p], -1)))
    engine = comparer(design("auc", label=label))
    delta = engine.compare(*arms).inference.primary.estimate
    curves = [engine.curve(one).primary.estimate for one in arms]
    assert delta == pytest.approx(curves[0] - curves[1]) and delta > 0.1


def test_identical_arms_decide_nothing():
    score = np.random.default_rng(0).normal(size=(3, 2, 30))
    found = comparer(design()).compare(arm("dbn", score), arm("scratch", score.copy()))
    assert (
        found.verdict == "inconclusive" and "same value" in found.inference.primary.note and np.isnan(found.p_signflip)
    )


def test_an_open_verdict_says_what_would_decide_it():
    rng = np.random.default_rng(2)
    found = comparer(design()).compare(
        arm("dbn", rng.normal(size=(3, 2, 30))), arm("scratch", rng.normal(size=(3, 2, 30)))
    )
    assert found.verdict == "inconclusive" and found.patients_needed is not None and found.patients_needed.patients > 30


PARTNERS = {"dbn": "scratch", "dbn_bernoulli": "scratch_bernoulli"}


def test_primary_pair():
    assert primary_pair(["cnn", "scratch", "dbn"], PARTNERS) == ("dbn", "scratch")
    assert primary_pair(["dbn_bernoulli", "scratch_bernoulli", "dbn"], PARTNERS) == (
        "dbn_bernoulli",
        "scratch_bernoulli",
    )
    assert primary_pair(["dbn", "cnn"], PARTNERS) is None


def test_secondary_pairs_leave_the_primary_out():
    arms = ["dbn", "scratch", "dbn_bernoulli", "scratch_bernoulli", "cnn"]
    assert secondary_pairs(arms, PARTNERS, "cnn", ("dbn", "scratch")) == [
        ("dbn", "cnn"), ("dbn_bernoulli", "scratch_bernoulli"), ("dbn_bernoulli", "cnn"),
    ]  # fmt: skip
    assert secondary_pairs(["dbn", "scratch"], PARTNERS, "scratch", ("dbn", "scratch")) == []


def test_the_best_arm_is_chosen_by_validation_of_chosen_trials():
    def table(chosen, other):
        return pd.DataFrame({"budget": [2, 2, 4], "chosen": [True, False, True], "score": [chosen, other, chosen]})

    tables = {"cnn": table(0.6, 0.99), "mlp": table(0.7, 0.1), "none": table(np.nan, 0.9)}
    assert best_by_validation(tables, ["cnn", "mlp", "none"]) == "mlp"
    assert best_by_validation(tables, ["none"]) is None and best_by_validation(tables, []) is None
    assert best_by_validation({"a": table(0.5, 0), "b": table(0.5, 0)}, ["b", "a"]) == "b"


def test_an_interval_ends_where_the_score_does():
    rng = np.random.default_rng(3)
    label = np.arange(8) % 2
    arms = []
    for name in ("dbn", "scratch"):
        p = rng.uniform(size=(2, 2, 8))
        arms.append(arm(name, np.where(label == 1, p, 1 - p), np.stack([1 - p, p], -1)))
    engine = comparer(design("auc", patients=8, draws=2, label=label))
    difference = engine.compare(*arms).inference
    curve = engine.curve(arms[0])
    assert all(-1 <= one.low <= one.estimate <= one.high <= 1 for one in (difference.primary, *difference.budgets))
    assert all(0 <= one.low <= one.estimate <= one.high <= 1 for one in (curve.primary, *curve.budgets))
    assert difference.primary.high - difference.primary.low > 1.5  # two draws say next to nothing


def test_an_interval_among_few_patients_ends_where_scores_end():
    rng = np.random.default_rng(3)
    score = rng.uniform(size=(2, 2, 30))
    other = rng.uniform(size=(2, 2, 30))
    few = np.arange(30) < 3
    found = comparer(design(draws=2)).among(arm("dbn", score), arm("scratch", other), few, 0.9999)
    assert found.low == -1.0 and found.high == 1.0
