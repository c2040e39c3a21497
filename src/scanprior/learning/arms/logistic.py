"""Logistic regression on the voxels: the floor that every network has to clear."""

from __future__ import annotations

import numpy as np

from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.feature_arm import FeatureArm

SPACE: Space = {"inverse_penalty": (1e-3, 1e-4, 1e-2, 1e-1)}


def arm(setup: Setup) -> FeatureArm:
    """The voxels are the features."""
    return FeatureArm(setup, no_components, SPACE)


def no_components(_patches: np.ndarray, _settings: Settings, _seed: int) -> None:
    """Nothing is projected."""
