"""What a cohort could show."""

import math

import pytest

from scanprior.evidence.forecast import figure, forecast, spread_for, table
from scanprior.evidence.power import detectable


def test_more_patients_detect_less():
    gains = [detectable(spread_for("dice", n, 1), n, 5, margin=0.01) for n in (30, 60, 100, 200)]
    assert gains == sorted(gains, reverse=True) and 0.02 < gains[1] < 0.04


@pytest.mark.parametrize("metric", ["dice", "auc", "accuracy", "log_loss", "brier"])
def test_every_metric_has_a_table_and_a_sentence(metric):
    found = forecast(metric, 60, 5, margin=0.02)
    assert [row.case for row in found.rows] == ["favourable", "usual", "unfavourable"]
    assert found.rows[0].detectable < found.rows[1].detectable < found.rows[2].detectable
    assert "With 60 test patients and 5 draws" in found.sentence
    assert len(table(found).splitlines()) == 4 and f"{found.rows[0].needed.patients} patients" in table(found)
    assert [list(case) == sorted(case) for case in found.helps] == [True] * 3
    lines = figure(found).splitlines()
    assert len(lines) == 2 + len(found.gains) and max(map(len, lines)) <= 100 and "█" in lines[-1]


def test_nobody_to_test_detects_nothing():
    found = forecast("dice", 1, 5, margin=0.02)
    assert found.rows[0].detectable == float("inf") and found.rows[0].helps_at_margin == 0
    assert "no gain" in found.sentence and "none" in table(found)


def test_the_sentence_warns_of_a_margin_out_of_reach():
    assert "stay inconclusive" not in forecast("dice", 200, 20, margin=0.03).sentence
    few = forecast("dice", 36, 2, margin=0.02).sentence
    assert "stay inconclusive" in few and "2 draws," in few


def test_one_draw_promises_no_verdict():
    found = forecast("dice", 36, 1, margin=0.02)
    assert found.sentence.startswith("With 36 test patients and 1 draw no verdict is possible")
    assert all(row.helps_at_margin == 0 and row.needed is not None and row.needed.draws > 1 for row in found.rows)


def test_a_rare_class_costs():
    assert spread_for("auc", 60, 1, positives=10).patients > spread_for("auc", 60, 1).patients


def test_no_gain_is_promised_that_the_metric_does_not_allow():
    found = forecast("auc", 36, 2, margin=0.02)
    assert all(row.detectable <= 0.5 or math.isinf(row.detectable) for row in found.rows)
    assert found.sentence == (
        "With 36 test patients and 2 draws there is no gain of AUC that four of five such studies would find."
    )
    assert "none" in table(found)
    few = forecast("auc", 60, 5, margin=0.05)
    assert math.isfinite(few.rows[0].detectable) and few.rows[0].detectable <= 0.5
