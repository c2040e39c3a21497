"""Telling where a patch lies: it is learned where the patch shows it, and training goes on from its state to the bit."""

import math

import pytest
import torch

from scanprior.energy.velocity import Diverged
from scanprior.learning.network import conv_layers
from scanprior.learning.placing import AXES, GAIN, NOISE, SHIFT, WARM_UP, Placer, PlacingStepper, altered

SIZE = (7, 7, 7)
LAYERS = conv_layers(SIZE, 4)


def stepper(steps: int = 120) -> PlacingStepper:
    generator = torch.Generator().manual_seed(3)
    start = []
    for layer in LAYERS:
        weight = torch.randn(layer.channels[1], layer.channels[0], *layer.kernel, generator=generator)
        start.append((weight * math.sqrt(2 / weight[0].numel()), torch.zeros(layer.channels[1])))
    return PlacingStepper(Placer(LAYERS, start, generator), size=SIZE, steps=steps, seed=7)


def batches(count: int, *, shown: bool = True, rows: int = 32) -> list[torch.Tensor]:
    """Patches whose grey values rise along the axes by their place (or by a place of their own), the place behind them."""
    generator = torch.Generator().manual_seed(5)
    grid = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, side) for side in SIZE), indexing="ij")).flatten(1)
    found = []
    for _ in range(count):
        place, other = torch.randn(2, rows, AXES, generator=generator)
        noise = 0.3 * torch.randn(rows, math.prod(SIZE), generator=generator)
        found.append(torch.cat([(place if shown else other) @ grid + noise, place], dim=1))
    return found


def test_it_learns_the_place_where_the_patch_shows_it_and_nothing_where_not():
    errors = {}
    for shown in (True, False):
        learner = stepper()
        learner.block(batches(120, shown=shown))
        (unseen,) = batches(121, shown=shown)[-1:]
        errors[shown] = learner.error(unseen).item()
    assert errors[True] < 0.4
    assert 0.8 < errors[False] < 1.6  # the variance itself is 1


def test_the_rate_rises_shortly_and_falls_to_nothing():
    learner = stepper(1000)
    rates = [learner.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / WARM_UP)
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates.index(max(rates)) == WARM_UP - 1
    assert rates[-1] < 1e-4
    assert all(math.isclose(rate, 0) or rate > 0 for rate in rates)


def test_going_on_from_its_state_equals_no_interruption():
    work = batches(40)
    whole, first, second = stepper(), stepper(), stepper()
    whole.block(work)
    first.block(work[:17])
    second.load_state_dict(first.state_dict())
    second.block(work[17:])
    assert second.step == whole.step == 40
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_alters_a_patch_has_the_spread_it_says_and_leaves_the_place():
    batch = torch.cat([torch.full((2000, 400), 2.0), torch.arange(2000.0)[:, None].expand(-1, AXES)], 1)
    generator = torch.Generator().manual_seed(1)
    voxels, place = altered(batch, generator)[:, :-AXES], altered(batch, generator)[:, -AXES:]
    assert torch.equal(place, batch[:, -AXES:])
    assert float(voxels.std(1).mean()) == pytest.approx(NOISE, rel=0.01)
    assert float(voxels.mean(1).std()) == pytest.approx(math.hypot(2 * GAIN, SHIFT), rel=0.05)
    assert float(voxels.mean()) == pytest.approx(2.0, abs=0.05)


def test_another_seed_alters_otherwise_and_the_same_seed_alike():
    ends = []
    for seed in (1, 1, 2):
        learner = stepper()
        learner.seed = seed
        learner.block(batches(3))
        ends.append(learner.net.weight.detach())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_a_diverging_run_stops_with_a_diagnosis():
    (batch,) = batches(1)
    batch[0, 0] = torch.inf
    with pytest.raises(Diverged, match="diverged by step 1"):
        stepper().block([batch])
