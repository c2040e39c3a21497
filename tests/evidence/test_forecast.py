"""What a cohort could show."""

import pytest

from scanprior.evidence.forecast import forecast, spread_for


def test_more_patients_detect_less():
    gains = [forecast("dice", n, 5, margin=0.01).rows[1].detectable for n in (30, 60, 100, 200)]
    assert gains == sorted(gains, reverse=True) and 0.02 < gains[1] < 0.04


@pytest.mark.parametrize("metric", ["dice", "auc", "accuracy", "log_loss", "brier"])
def test_every_metric_has_a_table_and_a_sentence(metric):
    found = forecast(metric, 60, 5, margin=0.02)
    assert [row.case for row in found.rows] == ["favourable", "usual", "unfavourable"]
    assert found.rows[0].detectable < found.rows[1].detectable < found.rows[2].detectable
    assert "With 60 test patients and 5 draws" in found.sentence


def test_the_sentence_warns_of_a_margin_out_of_reach():
    assert "stay inconclusive" in forecast("auc", 36, 5, margin=0.02).sentence
    assert "stay inconclusive" not in forecast("dice", 200, 20, margin=0.03).sentence
    assert "1 draw," in forecast("auc", 36, 1, margin=0.02).sentence


def test_a_rare_class_costs():
    assert spread_for("auc", 60, 1, positives=10).patients > spread_for("auc", 60, 1).patients
