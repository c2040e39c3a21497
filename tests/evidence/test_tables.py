"""From tables to arrays: gaps stay gaps, strangers are counted, row order and scan order don't matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scanprior.evidence.tables import design_of, long_scores, read_arm

SPLIT = {
    "classes": ["well", "ill"],
    "budgets": [4, 8],
    "draws": [
        {"draw": 0, "fold": 0, "order": ["c", "d"], "test": ["a", "b"]},
        {"draw": 0, "fold": 1, "order": ["a", "b"], "test": ["c", "d"]},
        {"draw": 1, "fold": 0, "order": ["b", "d"], "test": ["a", "c"]},
        {"draw": 1, "fold": 1, "order": ["a", "c"], "test": ["b", "d"]},
    ],
}
PATIENTS = pd.DataFrame(
    {"patient": ["d", "b", "a", "c", "u"], "order": [3, 1, 0, 2, 4], "label": ["ill", "ill", "well", "well", None]}
)


def rows(value=0.8):
    return pd.DataFrame(
        [
            {
                "budget": budget,
                "draw": draw["draw"],
                "fold": draw["fold"],
                "patient": patient,
                "p_well": 1 - value,
                "p_ill": value,
            }
            for draw in SPLIT["draws"]
            for budget in SPLIT["budgets"]
            for patient in draw["test"]
        ]
    )


def test_the_design_follows_the_order_and_skips_untested_patients():
    design = design_of(SPLIT, PATIENTS, "accuracy")
    assert design.patients == ("a", "b", "c", "d") and design.label.tolist() == [0, 1, 0, 1]
    assert design.fold.tolist() == [[0, 0, 1, 1], [0, 1, 0, 1]] and design.planned == 16


def test_rows_in_any_order_give_the_same_scores():
    design = design_of(SPLIT, PATIENTS, "accuracy")
    arm = read_arm("x", rows(), design)
    assert arm.got == 16 and arm.strangers == 0
    np.testing.assert_array_equal(arm.score[:, :, 1], 1.0)
    np.testing.assert_array_equal(arm.score[:, :, 0], 0.0)
    shuffled = read_arm("x", rows().sample(frac=1, random_state=0), design)
    np.testing.assert_array_equal(arm.score, shuffled.score)


def test_gaps_and_values_that_are_not_finite_stay_missing():
    design = design_of(SPLIT, PATIENTS, "log_loss")
    table = rows().iloc[:-2]
    table.loc[table.index[0], "p_ill"] = np.inf
    table.loc[table.index[1], "p_well"] = np.nan
    arm = read_arm("x", table, design)
    assert arm.got == 12 and np.isnan(arm.score[0, 0, 0])
    assert len(long_scores(arm, design)) == 12


@pytest.mark.parametrize("column,value", [("patient", "u"), ("patient", "c"), ("fold", 1)])
def test_predictions_off_the_split_are_counted_and_never_scored(column, value):
    design = design_of(SPLIT, PATIENTS, "log_loss")
    table = rows()
    table.loc[0, column] = value
    arm = read_arm("x", table, design)
    assert arm.strangers == 1 and arm.got == 15


def test_budgets_of_an_older_plan_are_ignored():
    design = design_of(SPLIT, PATIENTS, "log_loss")
    table = pd.concat([rows(), rows().assign(budget=99), rows().assign(draw=7)])
    arm = read_arm("x", table, design)
    assert arm.got == 16 and arm.strangers == 0


def test_several_scans_of_a_patient_are_averaged():
    design = design_of({**SPLIT, "classes": ["labelled"]}, PATIENTS, "dice")
    table = rows().assign(dice=0.6, scan="s1")
    arm = read_arm("x", pd.concat([table, table.assign(dice=0.8, scan="s2")]), design)
    np.testing.assert_allclose(arm.score, 0.7)
    assert arm.probability is None


def test_no_rows_at_all():
    arm = read_arm("x", rows().iloc[:0], design_of(SPLIT, PATIENTS, "auc"))
    assert arm.got == 0 and arm.strangers == 0
