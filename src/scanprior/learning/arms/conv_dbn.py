"""The small convolutional network started from a convolutional prior: its kernels, its normaliser, a new last layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Settings, Setup, Space
from scanprior.learning.arms import cnn
from scanprior.learning.convolutional_prior import ConvolutionalPrior
from scanprior.learning.network import Standardise, set_convolutions
from scanprior.learning.network_arm import NetworkArm

# What `cnn` may tune, and how much slower the pretrained layers learn than the new one. A tenth, tried once, was the worst at every
# budget on patients outside the benchmark's test (docs/explanation/convolutional-priors.md).
SPACE: Space = {**cnn.SPACE, "pretrained_rate": (1.0, 0.3)}


def arm(setup: Setup) -> NetworkArm:
    """Fine-tune the convolutional `setup.prior`, be it a stack of machines or an autoencoder.

    Raises:
        ScanpriorError: there is no such prior.
    """
    if not isinstance(setup.prior, ConvolutionalPrior):
        raise ScanpriorError(
            "this arm starts from a prior of convolutions, and there is none", hint="run the stage pretrain first"
        )
    return NetworkArm(setup, build, SPACE, own_statistics=True, groups=slower_below)


def build(setup: Setup, settings: Settings, generator: torch.Generator | None) -> nn.Module:
    """The network of `cnn` with the prior's kernels; without a generator the last layer is left unset."""
    prior = setup.prior
    if not isinstance(prior, ConvolutionalPrior):
        raise TypeError("the arm needs a ConvolutionalPrior")
    network = cnn.build(replace(setup, width=prior.layers[0].channels[1]), settings, generator)
    set_convolutions(network, prior.convolutions())
    return nn.Sequential(Standardise(prior.mean, prior.std), network)


def slower_below(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """One learning rate for the new layer, `pretrained_rate` times that for the prior's; decay on kernels only."""
    rate, decay = settings["learning_rate"], settings["weight_decay"]
    groups: list[dict[str, Any]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.Linear):
            own = rate * settings["pretrained_rate"] if isinstance(layer, nn.Conv3d) else rate
            groups += [
                {"params": [layer.weight], "lr": own, "weight_decay": decay},
                {"params": [layer.bias], "lr": own, "weight_decay": 0.0},
            ]
    return groups
