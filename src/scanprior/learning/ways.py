"""One arm from priors trained in several ways: which one it starts from is a setting among the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanprior.learning.arm import Arm, Epoch, Fit, Predictor, Settings, Space, State
from scanprior.learning.bags import Bags

WAY = "prior_way"  # name of the setting: the number of the way, 0 for the study's own


@dataclass(frozen=True)
class ArmOfWays:
    """The same arm once per way, so that pretraining's own choices cost trials like any other setting.

    Args:
        arms: alike but for the weights of their priors.
        numbers: of the ways, in the same order; the default first.
    """

    arms: tuple[Arm, ...]
    numbers: tuple[int, ...]

    @property
    def space(self) -> Space:
        """What the arm may tune, and the way."""
        return {**self.arms[0].space, WAY: self.numbers}

    def fit(
        self, train: Bags, valid: Bags, seed: int, *, settings: Settings, checkpoint: Path | None = None,
        log: Callable[[Epoch], None] | None = None,
    ) -> Fit:  # fmt: skip
        """Fit the arm of the chosen way; see `Arm.fit`."""
        own = {name: value for name, value in settings.items() if name != WAY}
        arm = self.arms[self.numbers.index(int(settings[WAY]))]
        return arm.fit(train, valid, seed, settings=own, checkpoint=checkpoint, log=log)

    def restore(self, state: State) -> Predictor:
        """The predictor that `state` came from: it holds all weights, whichever prior they began at."""
        return self.arms[0].restore(state)


def of_ways(arms: Sequence[Arm], numbers: Sequence[int]) -> Arm:
    """The arm itself where there is one way."""
    return arms[0] if len(arms) == 1 else ArmOfWays(tuple(arms), tuple(numbers))
