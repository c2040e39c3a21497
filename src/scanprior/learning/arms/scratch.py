"""The prior's network from a random start, its inputs standardised by its own training patches: what pretraining has to beat."""

from __future__ import annotations

import math

import torch
from torch import nn

from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.network import dense_network, start
from scanprior.learning.network_arm import NetworkArm

SPACE: Space = {
    "learning_rate": (1e-3, 3e-4, 5e-4, 2e-3),
    "weight_decay": (1e-2, 1e-3, 1e-1),
    "dropout": (0.2, 0.0, 0.5),
}


def arm(setup: Setup) -> NetworkArm:
    """Same sizes, same hidden kind, same schedule and same tuning space as `dbn`."""
    return NetworkArm(setup, build, SPACE)


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The network, randomly started when a generator is given."""
    sizes = (math.prod(setup.patch_size), *setup.layers, setup.classes)
    network = dense_network(sizes, setup.hidden, dropout=settings["dropout"])
    if generator is not None:
        start(network, setup.hidden, generator)
    return network
