"""The prior's network as it starts at random, frozen: what its layers alone do for a linear head."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from scanprior.learning.arm import Settings, Setup, Space, State
from scanprior.learning.bags import Bags
from scanprior.learning.logistic_head import SMALLEST_STD
from scanprior.learning.mapped_arm import MappedArm

SPACE: Space = {"inverse_penalty": (1e-2, 1e-3, 1e-1, 1.0)}
STATISTICS_PATCHES = 4000  # as the network arms


def arm(setup: Setup) -> MappedArm:
    """Random layers of the sizes and the hidden kind of the prior's network; only the head is trained."""
    rectified = setup.hidden == "rectified"

    def features(bags: Bags, rows: slice, state: State) -> np.ndarray:
        states = (bags.patches(rows) - state["mean"]) / state["std"]
        for number in range(len(setup.layers)):
            states = states @ state[f"layer{number}"]
            states = np.maximum(states, 0) if rectified else 1 / (1 + np.exp(-np.clip(states, -30, 30)))
        return states

    return MappedArm(setup, learn, features, SPACE)


def learn(train: Bags, _settings: Settings, seed: int, setup: Setup) -> State:
    """Mean and deviation of every voxel, and the weights as `learning.network.start` draws them (biases are zero)."""
    patches = train.thinned(STATISTICS_PATCHES).patches()
    state = {"mean": patches.mean(axis=0), "std": np.maximum(patches.std(axis=0), SMALLEST_STD)}
    rng = np.random.default_rng(seed)
    for number, (before, after) in enumerate(pairwise((patches.shape[1], *setup.layers))):
        if setup.hidden == "rectified":
            weight = rng.normal(0, math.sqrt(2 / before), (before, after))
        else:
            bound = math.sqrt(6 / (before + after))
            weight = rng.uniform(-bound, bound, (before, after))
        state[f"layer{number}"] = weight.astype(np.float32)
    return state
