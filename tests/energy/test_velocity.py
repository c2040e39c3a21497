"""What both steps share: their state, their refusal of numbers that ran away, and when sparsity pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import ConvolutionalStepper
from scanprior.energy.objectives import CD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Bernoulli
from scanprior.energy.velocity import Diverged, VelocityStepper, restore


def dense(schedule: Schedule) -> VelocityStepper:
    rbm = RBM(Bernoulli(4), Bernoulli(3), centered=False)
    return Stepper(rbm, CD(1), batch_size=10, steps=100, seed=1, learning_rate=0.1, schedule=schedule)


def convolutional(schedule: Schedule) -> VelocityStepper:
    rbm = ConvolutionalRBM(Bernoulli(1), Bernoulli(3), size=(2, 2), kernel=(1, 1), centered=False)
    return ConvolutionalStepper(rbm, CD(1), steps=100, seed=1, learning_rate=0.1, schedule=schedule)


def test_a_saved_state_brings_back_velocities_steps_and_the_next_random_numbers() -> None:
    zeros = (torch.zeros(2, 3), torch.zeros(2), torch.zeros(3))
    first, second = (VelocityStepper(*zeros, steps=9, seed=seed, learning_rate=0.1) for seed in (4, 5))
    torch.rand(7, generator=first.generator)
    first.step = 3
    first.hidden_velocity.fill_(2.0)
    second.load_state_dict(first.state_dict())
    assert second.step == 3 and torch.equal(second.hidden_velocity, torch.full((3,), 2.0))
    assert torch.equal(torch.rand(5, generator=first.generator), torch.rand(5, generator=second.generator))


@pytest.mark.parametrize("which", ["visible_velocity", "hidden_velocity"])
def test_a_bias_that_ran_away_is_named_with_step_and_rate(which: str) -> None:
    stepper = VelocityStepper(torch.zeros(2, 3), torch.zeros(2), torch.zeros(3), steps=9, seed=0, learning_rate=0.25)
    stepper.require_finite()
    getattr(stepper, which)[1] = float("inf")
    stepper.step = 6
    with pytest.raises(Diverged, match=r"by step 6: .* \(it was 0.25\)"):
        stepper.require_finite()


@pytest.mark.parametrize("make", [dense, convolutional])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_sparsity_pulls_in_full_in_the_same_step_whatever_the_momentum(
    make: Callable[[Schedule], Any], momentum: float
) -> None:
    """Two machines alike but for the pull: after one step their hidden biases differ by rate x cost x (mean - target)."""
    changes = []
    for sparsity in (None, 0.1):
        schedule = Schedule(momentum=momentum, final_momentum=momentum, sparsity=sparsity, sparsity_cost=0.5)
        stepper = make(schedule)
        data = torch.randint(0, 2, (10, 4), generator=Generator().manual_seed(0)).float()
        stepper.block(data[None] if make is dense else [data.view(10, 1, 2, 2)])
        changes.append(stepper.hidden_velocity.clone())
    pull = changes[0] - changes[1]
    # weights of 0.01: every mean activation is one half, to 2 %
    torch.testing.assert_close(pull, torch.full((3,), 0.1 * (1 - momentum) * 0.5 * 0.4), rtol=0.05, atol=0)


def test_a_state_of_another_kind_of_device_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="begun on another kind of device than cpu"):
        restore(torch.Generator(), torch.zeros(16, dtype=torch.uint8))  # as long as that of a CUDA generator
