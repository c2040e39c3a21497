"""Random weights with the mean and variance that each unit of the prior has: a good scale without what was learned.

What the prior gains over this arm is in the pattern of its weights; what this arm gains over `scratch` is in their size.
"""

from __future__ import annotations

import torch
from torch import nn

from scanprior.learning.arm import Settings, Setup
from scanprior.learning.arms import dbn
from scanprior.learning.network_arm import NetworkArm


def arm(setup: Setup) -> NetworkArm:
    """Fine-tuned as the prior itself would be; see `arms.dbn.arm`."""
    return dbn.arm(setup, build)


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The prior's network with every unit's incoming weights drawn anew from their own mean and variance.

    A unit's bias moves along, so that it answers the mean input of its layer as the prior's unit does.
    """
    network = dbn.build(setup, settings, generator)
    if generator is None:
        return network
    machines = dbn.prior_of(setup).dbn.machines
    for layer, machine in zip(dbn.linear_layers(network), machines, strict=False):
        with torch.no_grad():
            mean, std = layer.weight.mean(dim=1, keepdim=True), layer.weight.std(dim=1, keepdim=True)
            drawn = torch.empty_like(layer.weight).normal_(generator=generator) * std + mean
            layer.bias.add_((layer.weight - drawn) @ machine.visible_offset)
            layer.weight.copy_(drawn)
    return network
