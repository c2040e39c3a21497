"""The frame of arms that are linear in a patch's voxels: components, pooled per bag, and logistic regression on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanprior.learning.arm import Epoch, Fit, Settings, Setup, Space, State, check_classes, judged
from scanprior.learning.bags import Bags
from scanprior.learning.logistic_head import SMALLEST_STD, fit_head, pool
from scanprior.patches.store import PatchStore

CHUNK = 2048  # patches of 13³: 18 MB

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
        features = patches if components is None else patches @ components.T
        features = pool(features, train) if self.setup.pooled else features
        head = fit_head(features, train.targets, self.setup.classes, settings["inverse_penalty"], seed)
        state = {"mean": mean, "std": std, "weight": head.weight, "bias": head.bias}
        predictor = self.restore(state if components is None else {**state, "components": components})
        return judged(predictor, head.train_logits, train, valid, pooled=self.setup.pooled, log=log)

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
        return pool(values, bags) @ self._state["weight"].T + self._state["bias"]

    def dense_logits(self, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
        """See `Predictor.dense_logits`."""
        return self.bag_logits(Bags.of_patches(store, np.full(len(centres), row), centres, np.zeros(len(centres), int)))

    def state(self) -> State:
        """The arrays that `FeatureArm.restore` takes."""
        return self._state
