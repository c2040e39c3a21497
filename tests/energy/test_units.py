"""Each kind of unit: draws have its mean, its log partition is the sum over its states, refusals say why."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU, Softmax, Units, uniform_

KINDS = [Bernoulli(4), Gaussian(4), Gaussian(4, learn_variance=True), ReLU(4), Softmax(2, 2)]
IDS = ["bernoulli", "gaussian", "gaussian with variance", "rectified", "softmax"]


def randomised(units: Units, seed: int = 3) -> Units:
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in units.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return units.double()


@pytest.mark.parametrize("units", [Bernoulli(4), Softmax(2, 3)], ids=["bernoulli", "softmax"])
def test_log_partition_is_the_sum_over_all_states(units):
    units = randomised(units)
    field = torch.randn(5, units.size, dtype=torch.float64, generator=Generator().manual_seed(1))
    states = units.states()
    assert len(torch.unique(states, dim=0)) == len(states)
    summed = (field @ units.scale(states).t() - units.energy(states)).logsumexp(1)
    torch.testing.assert_close(units.log_partition(field), summed)


def test_gaussian_log_partition_is_the_integral():
    units = randomised(Gaussian(1, learn_variance=True))
    grid = torch.linspace(-40, 40, 400_001, dtype=torch.float64)[:, None]
    field = torch.tensor([[0.8]], dtype=torch.float64)
    integral = (field * units.scale(grid) - units.energy(grid)[:, None]).logsumexp(0) + math.log(80 / 400_000)
    torch.testing.assert_close(units.log_partition(field), integral, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("units", [k for k in KINDS if k.kind != "rectified"], ids=[i for i in IDS if i != "rectified"])
def test_mean_is_the_gradient_of_the_log_partition(units):
    """d log_partition / d field = mean of what the weights see: the conditional and the free energy belong together."""
    units = randomised(units)
    field = torch.randn(3, units.size, dtype=torch.float64, generator=Generator().manual_seed(2)).requires_grad_()
    (gradient,) = torch.autograd.grad(units.log_partition(field).sum(), field)
    torch.testing.assert_close(gradient, units.scale(units.mean(field)))


@pytest.mark.parametrize("units", KINDS, ids=IDS)
def test_draws_have_the_mean_and_the_rows_are_independent(units):
    units = randomised(units)
    n = 40_000
    field = torch.randn(1, units.size, dtype=torch.float64, generator=Generator().manual_seed(5)).expand(n, -1)
    draws = units.sample(field, Generator().manual_seed(7)).detach()
    expected = units.mean(field[:1]).detach()[0]
    if units.kind == "rectified":  # E max(0, N(x, s^2)) = x Phi(x / s) + s phi(x / s)
        x = (field[0] + units.bias).detach()
        s = torch.sigmoid(x).sqrt()
        normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
        expected = x * normal.cdf(x / s) + s * torch.exp(normal.log_prob(x / s))
    assert (draws.mean(0) - expected).abs().max() < 5 * draws.std(0).max() / math.sqrt(n)
    halves = draws[: n // 2] - draws.mean(0), draws[n // 2 :] - draws.mean(0)
    correlation = (halves[0] * halves[1]).mean(0) / draws.var(0)
    assert correlation.abs().max() < 5 / math.sqrt(n / 2)


def test_gaussian_draws_have_the_variance():
    units = randomised(Gaussian(3, learn_variance=True))
    draws = units.sample(torch.zeros(40_000, 3, dtype=torch.float64), Generator().manual_seed(1)).detach()
    torch.testing.assert_close(draws.var(0), units.log_variance.exp().detach(), rtol=0.05, atol=0)


def test_rectified_units_are_the_limit_of_stepped_sigmoid_copies():
    """Copies with biases lowered by 0.5, 1.5, …: the sum of their means is log(1 + e^x), that of their variances
    sigmoid(x) (Nair & Hinton 2010, section 2); for x well above zero max(0, N(x, sigmoid(x))) has both."""
    steps = torch.arange(200, dtype=torch.float64) + 0.5
    for x in (-2.0, 0.0, 3.0, 8.0):
        p = torch.sigmoid(x - steps)
        assert abs(float(p.sum()) - math.log1p(math.exp(x))) < 0.02
        assert abs(float((p * (1 - p)).sum()) - 1 / (1 + math.exp(-x))) < 0.02
    draws = (
        ReLU(1).double().sample(torch.full((100_000, 1), 8.0, dtype=torch.float64), Generator().manual_seed(1)).detach()
    )
    assert abs(float(draws.mean()) - math.log1p(math.exp(8.0))) < 0.02
    assert abs(float(draws.var()) - 1.0) < 0.02


@pytest.mark.parametrize("units", KINDS, ids=IDS)
def test_draw_in_place_equals_sample(units):
    units = randomised(units).requires_grad_(False)
    field = torch.randn(6, units.size, dtype=torch.float64, generator=Generator().manual_seed(4))
    total, draw, noise = field + units.bias, torch.empty_like(field), torch.empty_like(field)
    mean = units.draw_(total, draw, noise, Generator().manual_seed(9))
    torch.testing.assert_close(draw, units.sample(field, Generator().manual_seed(9)), rtol=0, atol=0)
    torch.testing.assert_close(mean, units.mean(field), rtol=0, atol=0)


@pytest.mark.parametrize("units", KINDS, ids=IDS)
def test_activation_module_is_the_mean(units):
    units = randomised(units)
    field = torch.randn(6, units.size, dtype=torch.float64, generator=Generator().manual_seed(4))
    torch.testing.assert_close(units.activation()(field + units.bias), units.mean(field))


@pytest.mark.parametrize("units", KINDS, ids=IDS)
def test_global_random_numbers_are_left_alone(units):
    before = torch.get_rng_state()
    units.float().sample(torch.zeros(3, units.size), Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_starting_from_data_gives_the_data_means():
    mean = torch.tensor([0.2, 0.5, 0.9])
    bernoulli = Bernoulli(3)
    bernoulli.start_from(mean, mean)
    torch.testing.assert_close(bernoulli.mean(torch.zeros(1, 3))[0], mean)
    gaussian = Gaussian(3, learn_variance=True)
    gaussian.start_from(mean, torch.tensor([4.0, 0.0, 1.0]))
    torch.testing.assert_close(gaussian.log_variance.exp()[[0, 2]], torch.tensor([4.0, 1.0]))
    assert torch.isfinite(gaussian.log_variance).all(), "a constant voxel must not give log 0"


def test_softmax_has_exactly_one_unit_on_per_group():
    draws = Softmax(3, 4).sample(torch.zeros(50, 12), Generator().manual_seed(0)).view(50, 3, 4)
    assert torch.equal(draws.sum(2), torch.ones(50, 3)) and set(draws.unique().tolist()) == {0.0, 1.0}


def test_extreme_fields_stay_finite():
    for units in KINDS:
        for value in (-1e4, 1e4):
            field = torch.full((1, units.size), value, dtype=units.bias.dtype)
            assert torch.isfinite(units.mean(field)).all()
            if units.kind != "rectified":
                assert torch.isfinite(units.log_partition(field)).all()


def test_what_has_no_closed_form_is_refused_with_a_sentence():
    with pytest.raises(NoClosedForm, match="no free energy in closed form"):
        ReLU(2).log_partition(torch.zeros(1, 2))
    with pytest.raises(NoClosedForm, match="no energy in closed form"):
        ReLU(2).energy(torch.zeros(1, 2))
    with pytest.raises(NoClosedForm, match="infinitely many states"):
        Gaussian(2).states()
    with pytest.raises(NoClosedForm, match="20 units at most"):
        Bernoulli(21).states()
    with pytest.raises(ValueError, match="at least one unit; got 0"):
        Bernoulli(0)


@pytest.mark.parametrize("shape", [(1000, 64), (1000, 63), (16, 16)], ids=["by the word", "odd", "few"])
def test_uniform_numbers_are_uniform_and_apart_from_each_other(shape):
    out = uniform_(torch.zeros(shape), Generator().manual_seed(3))
    again = uniform_(torch.empty(shape), Generator().manual_seed(3))
    assert torch.equal(out, again) and float(out.min()) >= 0 and float(out.max()) <= 1
    numbers, error = out.flatten().double(), 4 / out.numel() ** 0.5  # four standard errors of the unit square's moments
    assert float(numbers.mean()) == pytest.approx(1 / 2, abs=0.3 * error)
    assert float(numbers.var()) == pytest.approx(1 / 12, abs=0.1 * error)
    for lag in (1, 2, 3):
        together = ((numbers[lag:] - 0.5) * (numbers[:-lag] - 0.5)).mean()
        assert float(together) == pytest.approx(0.0, abs=error / 12)


def test_uniform_numbers_fill_a_slice_and_nothing_beside_it():
    whole = torch.full((300, 40), 7.0)
    uniform_(whole[100:250], Generator().manual_seed(3))
    assert (whole[:100] == 7).all() and (whole[250:] == 7).all() and (whole[100:250] <= 1).all()
