"""The head of every arm without a trained network: features pooled per bag, standardised, logistic regression."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from scanprior.learning.bags import Bags

SMALLEST_STD = 1e-3
ABSENT = -30.0  # log-odds of a class that the training data lack
ITERATIONS = 100  # of L-BFGS, from zero: a further early stop, and a bound on the time at large budgets


class Head(NamedTuple):
    """Logits of features f (n, k) are f @ weight.T + bias."""

    weight: np.ndarray  # (classes, k)
    bias: np.ndarray  # (classes,)
    train_logits: np.ndarray  # (n, classes) of the features that it was fitted on


def pool(features: np.ndarray, bags: Bags) -> np.ndarray:
    """Mean and maximum of every feature over the patches of each bag, (n, k) -> (bags, 2 k)."""
    starts = bags.starts[:-1]
    means = np.add.reduceat(features, starts, axis=0) / np.diff(bags.starts)[:, None]
    return np.concatenate([means, np.maximum.reduceat(features, starts, axis=0)], axis=1)


def fit_head(features: np.ndarray, targets: np.ndarray, classes: int, inverse_penalty: float, seed: int) -> Head:
    """Softmax regression on standardised `features` (n, k), which are overwritten; the head takes them as they were."""
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), SMALLEST_STD)
    features -= centre
    features /= scale
    weight, bias = _logistic(features, targets, classes, inverse_penalty, seed)
    return Head(weight / scale, bias - (weight / scale) @ centre, features @ weight.T + bias)


def _logistic(
    features: np.ndarray, targets: np.ndarray, classes: int, inverse_penalty: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (classes, k) and biases (classes,) of a softmax over the classes."""
    model = LogisticRegression(C=inverse_penalty, max_iter=ITERATIONS, tol=1e-3, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is meant, see ITERATIONS
        model.fit(features, targets)
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients, intercept = (
            np.concatenate([-coefficients, coefficients]) / 2,
            np.concatenate([-intercept, intercept]) / 2,
        )
    weight = np.zeros((classes, features.shape[1]), np.float32)
    bias = np.full(classes, ABSENT, np.float32)
    weight[model.classes_], bias[model.classes_] = coefficients, intercept
    return weight, bias
