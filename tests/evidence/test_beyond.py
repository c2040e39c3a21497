"""Calibration, net benefit, ROC, shortcuts: by hand, against scikit-learn, where nothing can be said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc

from scanprior.evidence.calibration import calibration, net_benefit, reliability
from scanprior.evidence.roc import roc_curve
from scanprior.evidence.shortcuts import shortcuts


def predictions(number=400, confidence=1.0, seed=0):
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=number) * 1.5
    label = (rng.uniform(size=number) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return 1 / (1 + np.exp(-confidence * logit)), label


def test_calibration_slope_agrees_with_sklearn_and_shows_overconfidence():
    p, y = predictions(confidence=3.0)
    found = calibration(p, y)
    logit = np.log(np.clip(p, 1e-3, 1 - 1e-3) / (1 - np.clip(p, 1e-3, 1 - 1e-3)))
    reference = LogisticRegression(C=1e9, tol=1e-10).fit(logit[:, None], y)
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=1e-3) and found.slope < 0.6
    fair = calibration(*predictions())
    assert fair.slope == pytest.approx(1.0, abs=0.2) and fair.intercept == pytest.approx(0.0, abs=0.25)
    assert fair.brier < found.brier


@pytest.mark.parametrize(
    ("p", "y"), [([0.2, 0.8], [0, 1]), ([0.5, 0.5], [0, 1]), ([0.1, 0.4], [1, 1]), ([], []), ([np.nan], [0])]
)
def test_what_cannot_be_calibrated_is_nan_without_a_warning(p, y):
    found = calibration(np.array(p, dtype=float), np.array(y, dtype=np.int64))
    assert np.isnan(found.slope) and found.patients == sum(np.isfinite(p))


def test_reliability_bins_by_hand():
    found = reliability(np.array([0.1, 0.9, 0.2, 0.8]), np.array([0, 1, 1, 1]), bins=2)
    assert [(one.predicted, one.observed, one.patients) for one in found] == [
        (pytest.approx(0.15), 0.5, 2),
        (pytest.approx(0.85), 1, 2),
    ]
    assert 0 <= found[0].low < 0.5 < found[0].high < 1 and reliability(np.array([np.nan]), np.array([0])) == []


def test_net_benefit_by_hand():
    model, everyone = net_benefit(np.array([0.9, 0.3, 0.6, 0.1]), np.array([1, 1, 0, 0]), np.array([0.5, 0.2]))
    np.testing.assert_allclose(model, [1 / 4 - 1 / 4, 2 / 4 - 1 / 4 * 0.25])
    np.testing.assert_allclose(everyone, [0.0, 0.5 - 0.5 * 0.25])


def test_roc_agrees_with_sklearn_at_its_corners_and_holds_its_interval():
    p, y = predictions(60)
    fpr = np.linspace(0, 1, 11)
    found = roc_curve(p[None], y, np.zeros((1, 60), int), fpr, seed=0)
    x, t, _ = sklearn_roc(y, p, drop_intermediate=False)
    for rate, height in zip(fpr, found.tpr, strict=True):
        assert height == pytest.approx(t[x <= rate + 1e-9].max(), abs=1e-9)
    assert (found.low <= found.tpr + 1e-9).all() and (found.tpr <= found.high + 1e-9).all()
    assert np.all(np.diff(found.tpr) >= 0) and np.trapezoid(found.tpr, fpr) == pytest.approx(
        roc_auc_score(y, p), abs=0.06
    )


def test_roc_ranks_patients_inside_a_fold_only():
    p, y, fold = np.array([[0.1, 0.2, 0.8, 0.9]]), np.array([0, 1, 0, 1]), np.array([[0, 0, 1, 1]])
    assert roc_curve(p, y, fold, np.array([0.0]), seed=0, replicates=10).tpr[0] == 1.0


def test_a_scanner_that_tells_the_label_is_suspect_and_noise_is_not():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 30)
    table = pd.DataFrame({
        "scanner": np.where(label == 1, "A", "B"), "site": rng.choice(["A", "B"], 60), "age": rng.normal(60, 9, 60),
        "format": "dicom", "late": np.where(label == 1, np.nan, 3.0),
    })  # fmt: skip
    found = {row.name: row for row in shortcuts(table, label.tolist(), seed=1)}
    assert "format" not in found, "one value tells nothing"
    assert found["scanner"].accuracy == 1.0 and found["scanner"].suspect and found["late"].suspect
    assert not found["site"].suspect and not found["age"].suspect and found["age"].levels == 3


def test_a_perfect_shortcut_is_suspect_among_many_covariates():
    """Holm multiplies p by the covariates: the smallest p that can be told must still be small enough."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"noise {number}": rng.choice(["A", "B"], 60) for number in range(14)})
    table["site"] = ["A"] * 30 + ["B"] * 30
    found = {row.name: row.suspect for row in shortcuts(table, [0] * 30 + [1] * 30, seed=1)}
    assert [name for name, suspect in found.items() if suspect] == ["site"]


def test_shortcuts_of_a_healthy_cohort_rarely_look_suspect():
    flagged = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({name: rng.choice(["A", "B", "C"], 40) for name in ("site", "scanner", "sex")})
        flagged += any(row.suspect for row in shortcuts(table, [0, 1] * 20, seed=seed))
    assert flagged <= 3


def test_the_accuracy_of_a_shortcut_is_that_of_leaving_one_out_by_hand():
    rng = np.random.default_rng(3)
    codes, label = rng.integers(0, 4, 25), rng.integers(0, 3, 25)
    hits: dict[int, list[float]] = {kind: [] for kind in range(3)}
    for one in range(25):
        rest = np.arange(25) != one
        share = [
            (rest & (label == kind) & (codes == codes[one])).sum() / max((rest & (label == kind)).sum(), 1)
            for kind in range(3)
        ]
        best = [kind for kind in range(3) if share[kind] >= max(share) - 1e-12]
        hits[label[one]].append((label[one] in best) / len(best))
    (row,) = shortcuts(pd.DataFrame({"site": codes.astype(str)}), label.tolist(), seed=0)
    assert row.accuracy == pytest.approx(np.mean([np.mean(values) for values in hits.values()]))
