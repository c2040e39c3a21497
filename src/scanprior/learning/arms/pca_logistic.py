"""Logistic regression on principal components of the training patches: the oldest way to learn features without labels."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.feature_arm import FeatureArm

SPACE: Space = {"inverse_penalty": (1e-2, 1e-3, 1e-1, 1.0), "components": (100, 50, 200)}
PATCHES = 5000  # enough for 200 components; more only costs time


def arm(setup: Setup) -> FeatureArm:
    """Components are fitted on the training patients only."""
    return FeatureArm(setup, components, SPACE)


def components(patches: np.ndarray, settings: Settings, seed: int) -> np.ndarray:
    """The leading components (k, D) of standardised patches, from evenly spaced ones when there are many."""
    chosen = np.linspace(0, len(patches) - 1, min(len(patches), PATCHES)).round().astype(int)
    count = min(int(settings["components"]), len(chosen) - 1, patches.shape[1])
    return np.asarray(PCA(count, svd_solver="randomized", random_state=seed % 2**32).fit(patches[chosen]).components_)
