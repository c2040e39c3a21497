"""The frame of arms without a network: fixed features of patches, pooled per bag, and logistic regression on them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from scanprior.learning.arm import Epoch, Fit, Settings, Setup, Space, State, check_classes, validation
from scanprior.learning.bags import Bags
from scanprior.patches.store import PatchStore

SMALLEST_STD = 1e-3
CHUNK = 2048  # patches of 13³: 18 MB
ABSENT = -30.0  # log-odds of a class that the training data lack
ITERATIONS = 100  # of L-BFGS, from zero: a further early stop, and a bound on the time at large budgets

# From standardised training patches (n, D) to components (k, D), or nothing: the voxels themselves are the features.
Components = Callable[[np.ndarray, Settings, int], np.ndarray | None]


@dataclass(frozen=True)
class FeatureArm:
    """Standardise voxels, project, pool (patient task: mean and maximum), logistic regression."""

    setup: Setup
    components: Components
    space: Space

    def fit(
        self, train: Bags, valid: Bags, seed: int, *, settings: Settings, checkpoint: Path | None = None,  # noqa: ARG002
        log: Callable[[Epoch], None] | None = None,
    ) -> Fit:  # fmt: skip
        """Fit on `train`; one row of history, nothing to go on from, so `checkpoint` stays unused. See `Arm.fit`."""
        check_classes(train)
        patches = train.patches()
        mean, std = patches.mean(axis=0), np.maximum(patches.std(axis=0), SMALLEST_STD)
        patches -= mean
        patches /= std
        components = self.components(patches, settings, seed)
        features = _pool(patches if components is None else patches @ components.T, train, self.setup.pooled)
        centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), SMALLEST_STD)
        features -= centre
        features /= scale
        weight, bias = _logistic(features, train.targets, self.setup.classes, settings["inverse_penalty"], seed)
        state = {"mean": mean, "std": std, "weight": weight / scale, "bias": bias - (weight / scale) @ centre}
        predictor = self.restore(state if components is None else {**state, "components": components})
        train_loss, _ = validation(features @ weight.T + bias, train.targets, pooled=self.setup.pooled)
        loss, score = validation(predictor.bag_logits(valid), valid.targets, pooled=self.setup.pooled)
        row = Epoch(0, train_loss, loss, score)
        if log is not None:
            log(row)
        return Fit(predictor, score, [row])

    def restore(self, state: State) -> FeaturePredictor:
        """The predictor that `state` came from."""
        return FeaturePredictor({name: np.asarray(value, np.float32) for name, value in state.items()}, self.setup)


class FeaturePredictor:
    """Linear in the patch's voxels but for the pooling, so its dense form is one correlation with `classes` kernels."""

    def __init__(self, state: State, setup: Setup) -> None:
        self._state = state
        self._pooled = setup.pooled
        components = state.get("components")
        # Standardisation and projection in one matrix: features = patches @ map − shift.
        self._map = (1 / state["std"])[:, None] * (
            np.eye(len(state["std"]), dtype=np.float32) if components is None else components.T
        )
        self._shift = state["mean"] @ self._map
        if not self._pooled:  # no maximum in between: the whole arm is one linear map
            self._shift = self._shift @ state["weight"].T - state["bias"]
            self._map = self._map @ state["weight"].T

    def bag_logits(self, bags: Bags) -> np.ndarray:
        """See `Predictor.bag_logits`."""
        pieces = [bags.patches(slice(start, start + CHUNK)) @ self._map for start in range(0, len(bags.bag), CHUNK)]
        values = np.concatenate(pieces) - self._shift
        if not self._pooled:
            return values
        return _pool(values, bags, True) @ self._state["weight"].T + self._state["bias"]

    def dense_logits(self, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
        """See `Predictor.dense_logits`."""
        return self.bag_logits(Bags.of_patches(store, np.full(len(centres), row), centres, np.zeros(len(centres), int)))

    def state(self) -> State:
        """The arrays that `FeatureArm.restore` takes."""
        return self._state


def _pool(features: np.ndarray, bags: Bags, pooled: bool) -> np.ndarray:
    """Mean and maximum of every feature over each bag, (bags, 2 k); without pooling the features themselves."""
    if not pooled:
        return features
    starts = bags.starts[:-1]
    means = np.add.reduceat(features, starts, axis=0) / np.diff(bags.starts)[:, None]
    return np.concatenate([means, np.maximum.reduceat(features, starts, axis=0)], axis=1)


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
