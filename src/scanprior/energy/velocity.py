"""What the dense and the convolutional step share: velocities, step count and generator, so that training can go on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.replicas import replicas


class Diverged(FloatingPointError):  # noqa: N818 - it is said as it is
    """Training left the finite numbers; the parameters are of no use any more."""


def restore(generator: Generator, state: Tensor) -> None:
    """Set a generator to a saved state.

    Raises:
        ValueError: the state is that of another kind of device.
    """
    try:
        generator.set_state(state)
    except RuntimeError:
        raise ValueError(
            f"the training was begun on another kind of device than {generator.device.type}, whose random numbers can't be "
            "continued here: go on there, or remove its checkpoint and begin anew"
        ) from None


class VelocityStepper(nn.Module):
    """A velocity per parameter of a machine (weight, visible and hidden bias), step count and generator are its state.

    Args:
        weight, visible_bias, hidden_bias: the parameters; velocities begin at zero, of the same shapes.
        steps: how many mini-batches the whole training has; the schedule is laid out over them.
        seed: seeds the generator of every random number of the training.
        learning_rate: the step size that the schedule's rate is relative to.
    """

    weight_velocity: Tensor
    visible_velocity: Tensor
    hidden_velocity: Tensor

    def __init__(
        self, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, *, steps: int, seed: int, learning_rate: float
    ) -> None:  # fmt: skip
        super().__init__()
        self.steps, self.seed, self.learning_rate = steps, seed, learning_rate
        self.step = 0
        self._generator: Generator | None = None
        self._restored: Tensor | None = None
        self.register_buffer("weight_velocity", torch.zeros_like(weight))
        self.register_buffer("visible_velocity", torch.zeros_like(visible_bias))
        self.register_buffer("hidden_velocity", torch.zeros_like(hidden_bias))

    @property
    def generator(self) -> Generator:
        """The source of the training's random numbers, on the device of the weights; each process's own."""
        if self._generator is None:
            self._generator = Generator(self.weight_velocity.device).manual_seed(self.seed + replicas()[0])
            if self._restored is not None:
                restore(self._generator, self._restored)
        return self._generator

    def _sum_of_velocities(self) -> Tensor:
        return self.weight_velocity.sum() + self.visible_velocity.sum() + self.hidden_velocity.sum()

    @override
    def get_extra_state(self) -> dict[str, Any]:
        return {"step": self.step, "generator": self.generator.get_state()}

    @override
    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.step, self._generator, self._restored = int(state["step"]), None, state["generator"].cpu()

    def require_finite(self, data: Tensor | None = None) -> None:
        """Raise `Diverged` when a velocity, and so a parameter, is no longer a finite number; with `data` as the cause, ValueError."""
        if not bool(torch.isfinite(self._sum_of_velocities())):
            if data is not None and not bool(torch.isfinite(data).all()):
                raise ValueError(
                    f"training met data that are not finite by step {self.step}, and its parameters are of no use any more: "
                    "leave such rows out, and begin anew"
                )
            raise Diverged(
                f"training diverged by step {self.step}: a parameter is no longer finite. Lower the learning rate "
                f"(it was {self.learning_rate:g}), or look for rows that are not finite, or not standardised"
            )
