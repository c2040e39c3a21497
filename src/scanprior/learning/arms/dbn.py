"""The prior fine-tuned: its weights, its normaliser, and a new last layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.arms import scratch
from scanprior.learning.network import Standardise, dense_network, start
from scanprior.learning.network_arm import Build, NetworkArm
from scanprior.learning.prior import Prior

# What `scratch` may tune, and how much slower the pretrained layers learn than the new one.
SPACE: Space = {**scratch.SPACE, "pretrained_rate": (1.0, 0.3, 0.1)}


def arm(setup: Setup, start: Build | None = None) -> NetworkArm:
    """Fine-tune `setup.prior`, or what `start` makes of it.

    Raises:
        ScanpriorError: there is no prior.
    """
    prior_of(setup)
    return NetworkArm(setup, start or build, SPACE, own_statistics=True, groups=slower_below)


def prior_of(setup: Setup) -> Prior:
    """The prior that the arm starts from.

    Raises:
        ScanpriorError: there is none.
    """
    if not isinstance(setup.prior, Prior):
        raise ScanpriorError("this arm starts from a prior, and there is none", hint="run the stage pretrain first")
    return setup.prior


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The prior's upward pass with a last layer, small and random when a generator is given."""
    prior = prior_of(setup)
    network = dense_network((*prior.sizes, setup.classes), prior.hidden, dropout=settings["dropout"])
    layers = linear_layers(network)
    if generator is not None:
        start(network, prior.hidden, generator)
    for layer, machine in zip(layers, prior.dbn.machines, strict=False):
        weight, bias = machine.upward()
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return nn.Sequential(Standardise(prior.mean, prior.std), network)


def slower_below(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """One learning rate for the new layer, `pretrained_rate` times that for the prior's; decay on matrices only."""
    rate, decay = settings["learning_rate"], settings["weight_decay"]
    layers = linear_layers(network)
    groups: list[dict[str, Any]] = []
    for layer in layers:
        own = rate if layer is layers[-1] else rate * settings["pretrained_rate"]
        groups += [
            {"params": [layer.weight], "lr": own, "weight_decay": decay},
            {"params": [layer.bias], "lr": own, "weight_decay": 0.0},
        ]
    return groups


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """Dense layers from the bottom up."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
