"""The frame of arms with features of another kind: of a patch by a fixed map, or of a patient without any patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanprior.learning.arm import Epoch, Fit, Settings, Setup, Space, State, check_classes, judged
from scanprior.learning.bags import Bags
from scanprior.learning.logistic_head import fit_head, pool
from scanprior.patches.store import PatchStore

CHUNK = 2048  # patches at a time

# What is learned from the training bags before any label is looked at, as arrays.
Learn = Callable[[Bags, Settings, int, Setup], State]
# Features of some patches (rows of the bags), float (rows, k); with `per_bag` of the bags themselves, (bags, k).
Features = Callable[[Bags, slice, State], np.ndarray]


@dataclass(frozen=True)
class MappedArm:
    """Features, pooled as those of every arm without a trained network (patient task: mean and maximum), and its head."""

    setup: Setup
    learn: Learn
    features: Features
    space: Space
    per_bag: bool = False

    def fit(
        self, train: Bags, valid: Bags, seed: int, *, settings: Settings, checkpoint: Path | None = None,  # noqa: ARG002
        log: Callable[[Epoch], None] | None = None,
    ) -> Fit:  # fmt: skip
        """Fit on `train`; one row of history, nothing to go on from, so `checkpoint` stays unused. See `Arm.fit`."""
        check_classes(train)
        learned = _single(self.learn(train, settings, seed, self.setup))
        features = self.values(train, learned)
        head = fit_head(features, train.targets, self.setup.classes, settings["inverse_penalty"], seed)
        predictor = self.restore({**learned, "weight": head.weight, "bias": head.bias})
        return judged(predictor, head.train_logits, train, valid, pooled=self.setup.pooled, log=log)

    def restore(self, state: State) -> MappedPredictor:
        """The predictor that `state` came from."""
        return MappedPredictor(self, _single(state))

    def values(self, bags: Bags, state: State) -> np.ndarray:
        """Features of every bag, (bags, k)."""
        if self.per_bag:
            return self.features(bags, slice(None), state)
        pieces = [
            self.features(bags, slice(start, start + CHUNK), state) for start in range(0, len(bags.bag), CHUNK)
        ]  # fmt: skip
        values = np.concatenate(pieces)
        return pool(values, bags) if self.setup.pooled else values


class MappedPredictor:
    """The fitted head on the arm's features."""

    def __init__(self, arm: MappedArm, state: State) -> None:
        self._arm, self._state = arm, state

    def bag_logits(self, bags: Bags) -> np.ndarray:
        """See `Predictor.bag_logits`."""
        return self._arm.values(bags, self._state) @ self._state["weight"].T + self._state["bias"]

    def dense_logits(self, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
        """See `Predictor.dense_logits`."""
        return self.bag_logits(Bags.of_patches(store, np.full(len(centres), row), centres, np.zeros(len(centres), int)))

    def state(self) -> State:
        """The arrays that `MappedArm.restore` takes."""
        return self._state


def _single(state: State) -> State:
    return {name: np.asarray(value, np.float32) for name, value in state.items()}
