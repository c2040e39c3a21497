"""Logistic regression on the voxels: the floor that every network has to clear."""

from __future__ import annotations

from scanprior.learning.arm import Setup, Space
from scanprior.learning.feature_arm import FeatureArm

SPACE: Space = {"inverse_penalty": (1e-3, 1e-4, 1e-2, 1e-1)}


def arm(setup: Setup) -> FeatureArm:
    """The voxels are the features."""
    return FeatureArm(setup, lambda patches, settings, seed: None, SPACE)
