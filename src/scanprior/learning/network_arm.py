"""The frame of every network arm: what differs between them is how the network is built and what may be tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from scanprior.learning.arm import Epoch, Fit, Settings, Setup, Space, State, check_classes
from scanprior.learning.bags import Bags
from scanprior.learning.dense import dense_logits, to_convolution
from scanprior.learning.network import Standardise
from scanprior.learning.training import Groups, Plan, network_logits, train_network
from scanprior.patches.store import PatchStore

# Makes the untrained network: an unstarted one when no generator is given (to be filled from saved arrays).
Build = Callable[[Setup, Settings, torch.Generator | None], nn.Module]
STUDY_PLAN = Plan()
STATISTICS_PATCHES = 4000  # enough for the mean and standard deviation of a voxel to 2 %


def one_group(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """All parameters at one learning rate, with weight decay on matrices and kernels only."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    biases = [p for p in network.parameters() if p.ndim == 1]
    rate = settings["learning_rate"]
    return [
        {"params": weights, "lr": rate, "weight_decay": settings["weight_decay"]},
        {"params": biases, "lr": rate, "weight_decay": 0.0},
    ]


def device_of(accelerator: str) -> torch.device:
    """Where predictions of a study with this `engine.accelerator` are made: Lightning leaves a trained network on the processor."""
    gpu = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")


@dataclass(frozen=True)
class NetworkArm:
    """A network arm: build, standardise, train, keep the best epoch."""

    setup: Setup
    build: Build
    space: Space
    per_voxel: bool = True  # standardise each voxel of the patch by itself, or all alike (convolutions)
    own_statistics: bool = False  # the built network standardises by itself (the prior's normaliser)
    groups: Groups = one_group
    plan: Plan = STUDY_PLAN

    def fit(
        self, train: Bags, valid: Bags, seed: int, *, settings: Settings, checkpoint: Path | None = None,
        log: Callable[[Epoch], None] | None = None,
    ) -> Fit:  # fmt: skip
        """Train with the study's plan; see `Arm.fit`."""
        check_classes(train)
        body = self.build(self.setup, settings, torch.Generator().manual_seed(seed))
        network = body if self.own_statistics else nn.Sequential(self._standardise(train), body)
        score, history = train_network(
            network, train, valid, settings=settings, groups=self.groups, plan=self.plan, seed=seed,
            pooled=self.setup.pooled, accelerator=self.setup.accelerator, checkpoint=checkpoint, log=log,
        )  # fmt: skip
        return Fit(NetworkPredictor(network, self.setup), score, history)

    def restore(self, state: State) -> NetworkPredictor:
        """The predictor that `state` came from."""
        settings: Settings = {name: values[0] for name, values in self.space.items()}  # none of them changes a shape
        body = self.build(self.setup, settings, None)
        size = int(np.prod(self.setup.patch_size)) if self.per_voxel else 1
        network = body if self.own_statistics else nn.Sequential(Standardise(torch.zeros(size), torch.ones(size)), body)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
        return NetworkPredictor(network.eval(), self.setup)

    def _standardise(self, train: Bags) -> Standardise:
        patches = train.thinned(STATISTICS_PATCHES).patches()
        if not self.per_voxel:
            return Standardise(torch.tensor([float(patches.mean())]), torch.tensor([float(patches.std())]))
        return Standardise(torch.from_numpy(patches.mean(axis=0)), torch.from_numpy(patches.std(axis=0)))


class NetworkPredictor:
    """A trained network, on the device that trains; its dense form is made once, when first asked for."""

    def __init__(self, network: nn.Module, setup: Setup) -> None:
        self.network = network.to(device_of(setup.accelerator))
        self._setup = setup
        self._convolution: nn.Sequential | None = None

    def bag_logits(self, bags: Bags) -> np.ndarray:
        """See `Predictor.bag_logits`."""
        return network_logits(self.network, bags, pooled=self._setup.pooled)

    def dense_logits(self, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
        """See `Predictor.dense_logits`."""
        if self._convolution is None:
            self._convolution = to_convolution(self.network, self._setup.patch_size)
        return dense_logits(self._convolution, store, row, centres)

    def state(self) -> State:
        """The network's tensors by name."""
        return {key: value.cpu().numpy() for key, value in self.network.state_dict().items()}
