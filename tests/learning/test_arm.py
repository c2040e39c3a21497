"""What all arms share: trials, the validation score, the refusal of one class, and fits that are done at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scanprior.learning.arm import (
    Epoch,
    OneClass,
    check_classes,
    judged,
    log_softmax,
    merit,
    validation,
)


def bags(targets: list[int]) -> Any:
    return SimpleNamespace(targets=np.array(targets))


def test_what_diverged_is_never_chosen() -> None:
    order = [(0.9, 0.1), (0.9, 0.3), (0.5, 0.1), (0.5, float("nan")), (float("nan"), 0.1)]
    assert sorted(order, key=lambda one: merit(*one), reverse=True) == order


def test_the_score_is_the_loss_of_patients_and_the_balanced_accuracy_of_patches() -> None:
    logits, targets = np.log(np.array([[0.8, 0.2], [0.6, 0.4], [0.9, 0.1], [0.3, 0.7]])), np.array([0, 0, 0, 1])
    loss = -np.log([0.8, 0.6, 0.9, 0.7]).mean()
    assert validation(logits, targets, pooled=True) == pytest.approx((loss, -loss))
    assert validation(logits, np.array([0, 0, 1, 1]), pooled=False)[1] == pytest.approx((1.0 + 0.5) / 2)


def test_log_softmax_survives_large_logits() -> None:
    found = log_softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))
    assert found == pytest.approx(np.array([[0.0, -1000.0], [np.log(0.5), np.log(0.5)]]))


def test_one_class_is_refused_with_the_count() -> None:
    with pytest.raises(OneClass, match=r"2 bags of class \[1\]"):
        check_classes(bags([1, 1]))
    check_classes(bags([0, 1]))


def test_a_fit_done_at_once_is_judged_on_validation_bags_and_told() -> None:
    predictor: Any = SimpleNamespace(bag_logits=lambda _: np.array([[2.0, 0.0], [0.0, 2.0]]))
    told: list[Epoch] = []
    train, valid = bags([0, 1, 1]), bags([0, 0])
    fit = judged(predictor, np.zeros((3, 2)), train, valid, pooled=False, log=told.append)
    assert fit.score == 0.5 and fit.history == told and fit.predictor is predictor
    assert told[0].train_loss == pytest.approx(np.log(2)) and told[0].epoch == 0
