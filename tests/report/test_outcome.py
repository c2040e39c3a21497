"""What the evaluation found, read from its JSON and its tables."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from scanprior.report import outcome
from scanprior.report.content import Dot, Line

PRIMARY = {
    "arm": "dbn",
    "other": "scratch",
    "delta": 0.02,
    "low": 0.01,
    "high": 0.03,
    "p": 0.001,
    "level": 0.95,
    "margin": 0.01,
    "patients": 60,
    "draws": 5,
    "note": "",
}


def found(**changes: Any) -> dict[str, Any]:
    return {
        "verdict": "helps",
        "primary": PRIMARY,
        "patients_needed": None,
        "canaries": [],
        "leaks": [],
        "label_multiplier": {"estimate": 1.7, "low": 1.2, "high": 9.0, "censored": ["high"], "text": "1.7×"},
        "budgets": [{"budget": 2, "delta": 0.03, "low": 0.01, "high": 0.05, "p": 0.01}],
        **changes,
    }


def test_the_verdict_keeps_what_was_declared_and_found() -> None:
    verdict = outcome.read_verdict(found())
    assert verdict is not None
    assert (verdict.outcome, verdict.margin, verdict.patients, verdict.draws) == ("helps", 0.01, 60, 5)
    assert verdict.multiplier is not None
    assert verdict.multiplier.censored == ("high",)
    assert verdict.draws_needed is None


def test_unknown_numbers_become_nan_and_no_primary_no_verdict() -> None:
    verdict = outcome.read_verdict(found(primary={**PRIMARY, "delta": None, "low": None, "high": None}))
    assert verdict is not None
    assert verdict.primary.low != verdict.primary.low
    assert outcome.read_verdict(found(primary=None)) is None
    assert outcome.read_differences(found(primary=None)) == ()


def test_differences_come_primary_first_and_each_pair_once() -> None:
    best = {**PRIMARY, "other": "cnn", "p": 0.2}
    other = {**PRIMARY, "arm": "dbn_bernoulli", "other": "scratch_bernoulli", "p_holm": 0.4}
    rows = outcome.read_differences(found(against_best=best, secondary=[{**best, "p_holm": 0.3}, other]))
    assert [(row.arm, row.other, row.budget) for row in rows] == [
        ("dbn", "scratch", None),
        ("dbn", "scratch", 2),
        ("dbn", "cnn", None),
        ("dbn_bernoulli", "scratch_bernoulli", None),
    ]
    assert [row.p_adjusted for row in rows] == [None, None, 0.3, 0.4]


def test_arms_show_the_setting_chosen_most_often() -> None:
    rates = [0.1, 0.001, 0.001, 0.2]
    table = pd.DataFrame(
        {"chosen": [True, True, True, False], "params": [json.dumps({"learning_rate": r}) for r in rates]}
    )
    given = found(arms=[{"arm": "dbn", "trials": 4, "seconds": 3.5}, {"arm": "cnn", "trials": 0, "seconds": 0.0}])
    rows = outcome.read_arms(given, {"dbn": table, "cnn": pd.DataFrame()}, {"dbn": 61.0})
    assert [row.settings for row in rows] == ["learning rate 0.001", ""]


def test_gaps_are_told() -> None:
    arms = [{"arm": "dbn", "planned": 10, "got": 10}, {"arm": "cnn", "planned": 10, "got": 8}]
    skipped = {"cnn": {"draw 1, fold 0, budget 2": "one class only", "draw 2, fold 0, budget 2": "one class only"}}
    told = outcome.read_gaps(found(arms=arms), {"without_scores": ["P-1"], "unlabelled_test_patients": 2}, skipped)
    assert told[0] == "cnn: 8 of 10 planned scores are there."
    assert told[1] == "cnn, draw 1, fold 0, budget 2 and draw 2, fold 0, budget 2: one class only."
    assert "P-1" in told[2]
    assert "2" in told[3]
    assert outcome.read_gaps(found(arms=arms[:1]), {}, {}) == ()


@pytest.fixture
def scores() -> pd.DataFrame:
    """Two arms, budgets 2 and 4, two draws, three patients; the score says all three but the draw."""
    rows = [
        (arm, budget, draw, f"P-{patient}", 0.1 * patient + 0.01 * budget + (arm == "dbn") * 0.5, 0.3, 0.7)
        for arm in ("dbn", "scratch")
        for budget in (2, 4)
        for draw in (0, 1)
        for patient in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["arm", "budget", "draw", "patient", "score", "p_well", "p_ill"])


PATIENTS = pd.DataFrame(
    {"patient": ["P-1", "P-2", "P-3"], "order": [2, 0, 1], "label": ["ill", "well", "well"], "site": ["A", None, "B"]}
)


def test_dots_are_means_of_draws(scores: pd.DataFrame) -> None:
    dots = outcome.dots(scores)
    assert len(dots) == 8
    assert dots[0] == Dot("dbn", 2, pytest.approx(0.72))


def test_worst_patients_show_the_probability_of_the_truth(scores: pd.DataFrame) -> None:
    worst = outcome.worst_patients(scores, PATIENTS, ["dbn", "scratch"], number=2)
    assert worst is not None
    assert worst.columns == ("patient", "label", "site", "dbn", "scratch")
    # Both well patients got 0.3 for the truth; among equals the order of the voxels decides.
    assert worst.rows[0][:3] == ("P-2", "well", "–")
    assert worst.rows[1][:3] == ("P-3", "well", "B")
    assert worst.rows[0][3] == pytest.approx(0.3)


def test_worst_patients_of_a_voxel_task_show_every_class(scores: pd.DataFrame) -> None:
    maps = scores.drop(columns=["p_well", "p_ill"]).assign(dice_front=scores["score"], dice_back=0.5)
    worst = outcome.worst_patients(maps, PATIENTS.assign(label=None), ["dbn", "scratch"])
    assert worst is not None
    assert worst.columns == ("patient", "site", "dbn", "scratch", "dbn: front", "dbn: back")
    assert [row[0] for row in worst.rows] == ["P-1", "P-2", "P-3"]
    assert worst.rows[0][2:] == pytest.approx((0.64, 0.14, 0.64, 0.5))
    means = {(one.arm, one.name, one.budget): one.mean for one in outcome.dice_per_class(maps)}
    assert means["scratch", "front", 4] == pytest.approx(0.24)


def test_probabilities_are_those_of_the_compared_arms() -> None:
    benefit = pd.DataFrame(
        {
            "arm": ["dbn", "dbn", "cnn"],
            "threshold": [0.1, 0.2, 0.1],
            "benefit": [0.4, 0.3, 0.1],
            "everyone": [0.4, 0.2, 0.4],
        }
    )
    calibration = pd.DataFrame({"arm": ["dbn", "cnn"], "slope": [0.8, float("nan")], "intercept": 0.1, "brier": 0.2})
    found = outcome.read_probabilities({"net_benefit": benefit, "calibration": calibration}, ["dbn", "scratch"])
    assert found is not None
    assert found.roc == ()
    assert [(line.arm, line.y) for line in found.net_benefit] == [("dbn", (0.4, 0.3)), ("everyone", (0.4, 0.2))]
    assert [row[0] for row in found.calibration] == ["dbn", "cnn"]
    assert outcome.read_probabilities({}, ["dbn"]) is None


def test_no_scores_no_worst_patients(scores: pd.DataFrame) -> None:
    assert outcome.worst_patients(scores[scores["arm"] == "scratch"], PATIENTS, ["dbn", "scratch"]) is None


def test_tuning_needs_more_than_one_trial() -> None:
    table = pd.DataFrame({"arm": ["dbn", "dbn", "cnn"], "trials": [1, 2, 1], "score": [0.5, 0.6, 0.7]})
    assert outcome.read_best_of(table) == (Line("dbn", (1.0, 2.0), (0.5, 0.6)),)
    assert outcome.read_best_of(None) == ()
