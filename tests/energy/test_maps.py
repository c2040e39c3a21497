"""Units on a grid: the same answers as units in a row; blocks of probabilistic max-pooling against enumeration."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny_convolutions import states_of
from torch import Generator

from scanprior.energy.maps import Maps, MaxPooledMaps
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU


def randomised(maps: Maps) -> Maps:
    maps = maps.double()
    with torch.no_grad():
        for tensor in maps.state_dict().values():
            tensor.normal_(0, 0.7, generator=Generator().manual_seed(1))
    return maps


@pytest.mark.parametrize("kind", [Bernoulli, Gaussian, ReLU])
def test_each_place_answers_as_a_unit_of_its_own(kind):
    maps = randomised(Maps(kind(3), (2, 4)))
    field = torch.randn(5, 3, 2, 4, dtype=torch.float64, generator=Generator().manual_seed(2))
    mean = maps.mean(field)
    for i, j in itertools.product(range(2), range(4)):
        torch.testing.assert_close(mean[:, :, i, j], maps.units.mean(field[:, :, i, j]))
    if kind is ReLU:
        with pytest.raises(NoClosedForm):
            maps.energy(mean)
    else:
        places = [(i, j) for i in range(2) for j in range(4)]
        energies = [maps.units.energy(field[:, :, i, j]) for i, j in places]
        torch.testing.assert_close(maps.energy(field), torch.stack(energies).sum(0))
        partitions = [maps.units.log_partition(field[:, :, i, j]) for i, j in places]
        torch.testing.assert_close(maps.log_partition(field), torch.stack(partitions).sum(0))


@pytest.mark.parametrize(
    ("grid", "block"), [((2, 4), (2, 2)), ((4, 2), (1, 2)), ((2, 2, 2), (2, 1, 2)), ((2, 3), (2, 1))]
)
def test_pooled_blocks_are_those_of_the_enumerated_distribution(grid, block):
    maps = randomised(MaxPooledMaps(1, grid, block))
    assert isinstance(maps, MaxPooledMaps)
    states = states_of(maps)
    field = torch.randn(1, 1, *grid, dtype=torch.float64, generator=Generator().manual_seed(3))
    logits = (states * field).flatten(1).sum(1) - maps.energy(states)
    p = logits.softmax(0)
    torch.testing.assert_close(maps.mean(field)[0], torch.einsum("n,n...->...", p, states))
    torch.testing.assert_close(maps.log_partition(field)[0], logits.logsumexp(0))
    on = torch.einsum("n,n...->...", p, maps.pool(states))
    torch.testing.assert_close(maps.pool(maps.mean(field))[0], on)
    assert on.max() < 1 and maps.pool(states).max() == 1


def test_pooled_draws_have_at_most_one_unit_on_and_the_right_frequencies():
    maps = randomised(MaxPooledMaps(2, (2, 4), (2, 2)))
    field = torch.randn(1, 2, 2, 4, dtype=torch.float64, generator=Generator().manual_seed(4))
    n = 40_000
    draws = maps.sample(field.expand(n, -1, -1, -1), Generator().manual_seed(5))
    assert set(draws.unique().tolist()) == {0.0, 1.0} and float(maps.pool(draws).max()) == 1
    torch.testing.assert_close(draws.mean(0), maps.mean(field)[0], rtol=0, atol=4 * 0.5 / n**0.5)


def test_a_block_with_two_units_on_is_impossible():
    maps = randomised(MaxPooledMaps(1, (2, 2), (1, 2)))
    one_each, two = torch.tensor([[[[1.0, 0], [0, 1]]], [[[1, 1], [0, 0]]]], dtype=torch.float64)
    energies = maps.energy(torch.stack([one_each, two]))
    assert bool(energies[0].isfinite()) and float(energies[1]) == float("inf")


def test_pooling_keeps_numbers_finite_at_huge_fields():
    maps = MaxPooledMaps(1, (2, 2), (2, 2))
    field = torch.tensor([[[[900.0, -900.0], [899.0, 0.0]]]])
    assert torch.isfinite(maps.mean(field)).all() and torch.isfinite(maps.log_partition(field)).all()
    assert maps.pool(maps.mean(field)).item() == pytest.approx(1.0)


def test_blocks_that_do_not_tile_are_refused():
    with pytest.raises(ValueError, match=r"blocks of \(2, 2\) do not tile maps of \(3, 4\)"):
        MaxPooledMaps(1, (3, 4), (2, 2))
    with pytest.raises(ValueError, match="at least one place along every axis"):
        Maps(Bernoulli(1), (3, 0))
