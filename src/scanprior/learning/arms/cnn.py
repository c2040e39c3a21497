"""A small 3-D convolutional network from a random start."""

from __future__ import annotations

import torch
from torch import nn

from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.network import conv_network, start
from scanprior.learning.network_arm import NetworkArm

SPACE: Space = {"learning_rate": (2e-3, 1e-3, 4e-3), "weight_decay": (1e-2, 1e-3, 1e-1), "dropout": (0.3, 0.0, 0.5)}


def arm(setup: Setup) -> NetworkArm:
    """Standardised by one mean and one deviation, so that kernels see the same scale at every voxel of the patch."""
    return NetworkArm(setup, build, SPACE, per_voxel=False)


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The network, randomly started when a generator is given."""
    network = conv_network(setup.patch_size, setup.classes, width=setup.width, dropout=settings["dropout"])
    if generator is not None:
        start(network, "rectified", generator)
    return network
