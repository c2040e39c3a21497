"""What steppers that learn by Adam share: the optimiser and the generator as a state from which training goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.replicas import average_, replicas
from scanprior.energy.velocity import restore


class AdamStepper(nn.Module, ABC):
    """Adam's moments, step count and generator are its state; both tools are made when first used, on the weights' device.

    Args:
        steps: how many mini-batches the whole training has.
        seed: seeds the generator of the training's random numbers.
    """

    def __init__(self, *, steps: int, seed: int, learning_rate: float) -> None:
        super().__init__()
        self.steps, self.seed, self.learning_rate = steps, seed, learning_rate
        self.step = 0
        self._restored: dict[str, Any] | None = None
        self._made: tuple[torch.optim.Optimizer, Generator] | None = None

    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer:
        """A fresh optimiser of the parameters that are trained."""

    @property
    def tools(self) -> tuple[torch.optim.Optimizer, Generator]:
        """Optimiser and generator, as the state says."""
        if self._made is None:
            adam, generator = (
                self.optimiser(),
                Generator(next(self.parameters()).device).manual_seed(self.seed + replicas()[0]),
            )
            if self._restored is not None:
                adam.load_state_dict(self._restored["adam"])
                restore(generator, self._restored["generator"].cpu())
            self._made = adam, generator
        return self._made

    def learn(self, loss: Tensor, rate: float) -> None:
        """One update down the gradient of `loss` (), averaged over the processes that train together, at learning `rate`."""
        adam, _ = self.tools
        for group in adam.param_groups:
            group["lr"] = rate
        adam.zero_grad(set_to_none=True)
        loss.backward()
        average_(*[p.grad for group in adam.param_groups for p in group["params"] if p.grad is not None])
        adam.step()
        self.step += 1

    @override
    def get_extra_state(self) -> dict[str, Any]:
        adam, generator = self.tools
        return {"step": self.step, "adam": adam.state_dict(), "generator": generator.get_state()}

    @override
    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.step, self._restored, self._made = int(state["step"]), state, None
