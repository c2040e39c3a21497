"""The best plain network of the prior's size: rectified, He start, dropout on input and hidden units, weight decay."""

from __future__ import annotations

import math

import torch
from torch import nn

from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.network import dense_network, start
from scanprior.learning.network_arm import NetworkArm

SPACE: Space = {
    "learning_rate": (1e-3, 3e-4, 5e-4, 2e-3),
    "weight_decay": (1e-2, 1e-1, 3e-1),
    "dropout": (0.5, 0.3, 0.2),
    "input_dropout": (0.2, 0.0, 0.1),
}


def arm(setup: Setup) -> NetworkArm:
    """Rectified whatever the prior's hidden kind."""
    return NetworkArm(setup, build, SPACE)


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The network, randomly started when a generator is given."""
    sizes = (math.prod(setup.patch_size), *setup.layers, setup.classes)
    network = dense_network(sizes, "rectified", dropout=settings["dropout"], input_dropout=settings["input_dropout"])
    if generator is not None:
        start(network, "rectified", generator)
    return network
