"""The convolutional stack: up, down, samples that stay finite, and sizes that must fit."""

from __future__ import annotations

import pytest
import torch
from tiny_convolutions import machine
from torch import Generator
from torch.nn import functional

from scanprior.energy.convolutional_dbn import ConvolutionalDBN
from scanprior.energy.units import Bernoulli, Gaussian, ReLU


def rectified_stack(spread: float = 0.5) -> ConvolutionalDBN:
    first = machine(Gaussian(1), ReLU(3), size=(7, 7, 5), kernel=(3, 3, 3), stride=(2, 2, 2), spread=spread)
    second = machine(Gaussian(3), ReLU(4), size=(3, 3, 2), kernel=(2, 2, 2), seed=2, spread=spread)
    return ConvolutionalDBN([first, second])


def pooled_stack() -> ConvolutionalDBN:
    first = machine(Bernoulli(1), Bernoulli(2), size=(5, 5), kernel=(2, 2), pooling=(2, 2))
    second = machine(Bernoulli(2), Bernoulli(3), size=(2, 2), kernel=(2, 2), seed=2)
    return ConvolutionalDBN([first, second])


def test_encoding_is_a_convolutional_network():
    dbn = rectified_stack()
    v = torch.randn(4, 1, 7, 7, 5, dtype=torch.float64)
    h = v
    for rbm in dbn.machines:
        weight, bias = rbm.upward()
        h = functional.conv3d(h, weight, bias, stride=rbm.stride).relu()
    torch.testing.assert_close(dbn.encode(v).detach(), h)
    assert dbn.decode(dbn.encode(v)).shape == v.shape


def test_pooled_maps_go_up_as_probabilities_and_come_down_spread_evenly():
    dbn = pooled_stack()
    first = dbn.machines[0]
    v = torch.rand(3, 1, 5, 5, dtype=torch.float64).round()
    blocks = first.hidden.total(first.hidden_field(v)).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    on = blocks.logsumexp(-1).sigmoid()  # exp(x_1) + … + exp(x_4) against the 1 of "none"
    torch.testing.assert_close(dbn.encode(v, 1), on)
    pooled = torch.rand(3, 2, 2, 2, dtype=torch.float64)
    even = first.visible.mean(first.visible_field(pooled.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4))
    torch.testing.assert_close(dbn.decode(pooled, 1), even)


def test_a_chain_between_unbounded_sides_stays_in_the_range_of_the_data():
    dbn = rectified_stack(3.0)  # every sweep multiplies by far more than one
    samples = [dbn.generate(6, Generator().manual_seed(1), sweeps=sweeps) for sweeps in (20, 40)]
    largest = [float(sample.abs().max()) for sample in samples]
    assert 0 < largest[1] < 2 * largest[0] < float("inf")


def test_a_chain_under_maps_with_ends_goes_as_far_as_the_machine():
    rbm = machine(Gaussian(1), Bernoulli(1), size=(4, 4), kernel=(2, 2), stride=(2, 2), spread=0.0)
    with torch.no_grad():
        rbm.weight.fill_(9.0)
        rbm.hidden.bias.fill_(-162.0)  # half of four squares of 9: on and off are as likely
    start = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    start[..., :2, :] = 9.0
    made = ConvolutionalDBN([rbm]).generate(3, Generator().manual_seed(1), sweeps=20, start=start)
    torch.testing.assert_close(made, start)


@pytest.mark.parametrize("make", [rectified_stack, pooled_stack])
def test_samples_are_reproducible(make):
    dbn = make()
    shape = (6, 1, *dbn.machines[0].visible.grid)
    draw = lambda seed, **options: dbn.generate(6, Generator().manual_seed(seed), sweeps=40, **options)  # noqa: E731
    samples = draw(1)
    assert samples.shape == shape and bool(torch.isfinite(samples).all())
    assert torch.equal(samples, draw(1)) and not torch.equal(samples, draw(2))
    assert draw(1, start=torch.zeros(shape, dtype=torch.float64)).shape == shape


def test_machines_that_do_not_fit_are_refused():
    first, second = rectified_stack().machines
    with pytest.raises(ValueError, match=r"4 hidden maps of \(2, 2, 1\) can't carry 1 visible maps of \(7, 7, 5\)"):
        ConvolutionalDBN([second, first])
    with pytest.raises(ValueError, match="at least one machine"):
        ConvolutionalDBN([])
