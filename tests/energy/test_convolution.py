"""The convolutional machine against enumeration, and what weight sharing promises."""

from __future__ import annotations

import pytest
import torch
from tiny_convolutions import GAUSSIAN, MACHINES, joint, machine, states_of
from torch import Generator
from torch.nn import functional

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU


@pytest.mark.parametrize("name", MACHINES)
def test_energy_free_energies_and_both_conditionals_are_those_of_the_enumerated_joint(name):
    rbm = MACHINES[name]()
    v, h = states_of(rbm.visible), states_of(rbm.hidden)
    table = joint(rbm, v, h)
    pairs = torch.randint(len(h), (len(v),), generator=Generator().manual_seed(2))
    torch.testing.assert_close(-rbm.energy(v, h[pairs]), table[torch.arange(len(v)), pairs])
    torch.testing.assert_close(-rbm.free_energy(v), table.logsumexp(1))
    torch.testing.assert_close(-rbm.hidden_free_energy(h), table.logsumexp(0))
    hidden = torch.einsum("vh,h...->v...", table.softmax(1), h)
    torch.testing.assert_close(rbm.hidden.mean(rbm.hidden_field(v)), hidden)
    visible = torch.einsum("vh,v...->h...", table.softmax(0), v)
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_field(h)), visible)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_gaussian_visibles_agree_with_the_written_out_energy(name):
    rbm = GAUSSIAN[name]()
    v = torch.randn(
        5, rbm.visible.channels, *rbm.visible.grid, dtype=torch.float64, generator=Generator().manual_seed(3)
    )
    h = states_of(rbm.hidden)
    table = joint(rbm, v, h)
    torch.testing.assert_close(-rbm.free_energy(v), table.logsumexp(1))
    torch.testing.assert_close(rbm.hidden.mean(rbm.hidden_field(v)), torch.einsum("vh,h...->v...", table.softmax(1), h))
    # The energy is quadratic in v: the conditional mean is where its gradient vanishes.
    some = h[:4]
    mean = rbm.visible.mean(rbm.visible_field(some)).detach().requires_grad_()
    (slope,) = torch.autograd.grad(rbm.energy(mean, some).sum(), mean)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-10, rtol=0)


def test_gibbs_sampling_leaves_the_distribution_as_it_is_and_known_voxels_as_given():
    rbm = MACHINES["2-D pooled"]()
    states = states_of(rbm.visible)
    p = (-rbm.free_energy(states)).softmax(0).detach()
    n = 40_000
    start = states[torch.multinomial(p, n, replacement=True, generator=Generator().manual_seed(3))]
    end = rbm.gibbs(start, 3, Generator().manual_seed(4))
    power = 2 ** torch.arange(9)
    counts = torch.bincount((end.flatten(1) * power).sum(1).long(), minlength=512)
    codes = (states.flatten(1) * power).sum(1).long()
    expected = n * p
    chi_square = float(((counts[codes] - expected).square() / expected).sum())
    assert chi_square < 613.9  # 511 degrees of freedom, one in a thousand
    known = torch.zeros(3, 3, dtype=torch.bool)
    known[0] = True
    clamped = rbm.gibbs(start[:500], 2, Generator().manual_seed(5), known=known)
    assert torch.equal(clamped[:, :, 0], start[:500, :, 0]) and not torch.equal(clamped, start[:500])


@pytest.mark.parametrize("hidden", [Bernoulli, ReLU])
def test_shifting_the_data_shifts_the_hidden_maps(hidden):
    rbm = machine(Gaussian(2), hidden(3), size=(6, 7, 5), kernel=(3, 2, 2))
    wide = torch.randn(2, 2, 7, 8, 5, dtype=torch.float64)
    here = rbm.hidden.mean(rbm.hidden_field(wide[:, :, :6, :7]))
    there = rbm.hidden.mean(rbm.hidden_field(wide[:, :, 1:, 1:]))
    torch.testing.assert_close(here[:, :, 1:, 1:], there[:, :, :-1, :-1])


def test_mirroring_data_and_kernels_mirrors_the_model():
    rbm = MACHINES["2-D with two channels"]()
    mirrored = MACHINES["2-D with two channels"]()
    with torch.no_grad():
        mirrored.weight.copy_(rbm.weight.flip(2, 3))
    v = states_of(rbm.visible)[:40]
    torch.testing.assert_close(mirrored.free_energy(v.flip(2, 3)), rbm.free_energy(v))


def test_coding_bits_the_other_way_round_is_the_same_model():
    """0 for 1 with turned kernels, offsets and bias: the centered energy does not care which is called which."""
    rbm = MACHINES["2-D"]()
    turned = MACHINES["2-D"]()
    with torch.no_grad():
        turned.weight.neg_()
        turned.visible.bias.neg_()
        turned.visible_offset.mul_(-1).add_(1)
    v = states_of(rbm.visible)
    torch.testing.assert_close((-turned.free_energy(1 - v)).softmax(0), (-rbm.free_energy(v)).softmax(0))


@pytest.mark.parametrize("hidden", [Bernoulli, ReLU])
def test_folding_a_standardiser_keeps_every_field_and_the_conditional_mean(hidden):
    rbm = machine(Gaussian(2), hidden(3), size=(4, 4), kernel=(2, 2))
    with torch.no_grad():
        rbm.visible.units.log_variance.zero_()
    mean, std = torch.tensor([-1.0, 2.0]).double(), torch.tensor([0.5, 3.0]).double()
    v, h = torch.randn(5, 2, 4, 4, dtype=torch.float64), torch.rand(5, 3, 3, 3, dtype=torch.float64)
    wide = (mean.view(1, 2, 1, 1), std.view(1, 2, 1, 1))
    field = rbm.hidden_field((v - wide[0]) / wide[1])
    below = rbm.visible.mean(rbm.visible_field(h)) * wide[1] + wide[0]
    rbm.fold(mean, std)
    torch.testing.assert_close(rbm.hidden_field(v), field)
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_field(h)), below)
    with pytest.raises(ValueError, match=r"only Gaussian visible units.*bernoulli"):
        MACHINES["2-D"]().fold(mean, std)


@pytest.mark.parametrize("make", [*MACHINES.values(), *GAUSSIAN.values()])
def test_a_convolution_gives_the_hidden_total(make):
    rbm = make()
    v = torch.randn(3, rbm.visible.channels, *rbm.visible.grid, dtype=torch.float64)
    weight, bias = rbm.upward()
    convolve = functional.conv3d if len(rbm.kernel) == 3 else functional.conv2d
    torch.testing.assert_close(
        convolve(v, weight, bias, stride=rbm.stride), rbm.hidden.total(rbm.hidden_field(v)).detach()
    )


def test_rectified_maps_sample_but_refuse_an_energy():
    rbm = machine(Gaussian(1), ReLU(2), size=(4, 4), kernel=(2, 2))
    v = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    assert float(rbm.hidden.sample(rbm.hidden_field(v), Generator().manual_seed(1)).min()) == 0
    for question in (rbm.free_energy, lambda v: rbm.energy(v, rbm.hidden.mean(rbm.hidden_field(v)))):
        with pytest.raises(NoClosedForm, match="noisy rectified units have no"):
            question(v)


def test_sizes_that_do_not_fit_are_refused_with_the_axis():
    make = lambda **options: ConvolutionalRBM(Bernoulli(1), options.pop("hidden", Bernoulli(2)), **options)  # noqa: E731
    with pytest.raises(ValueError, match="axis 1: a kernel of 5 does not fit into maps of 4"):
        make(size=(6, 4), kernel=(2, 5))
    with pytest.raises(ValueError, match="axis 0: kernels of 3 in steps of 2 do not cover maps of 6"):
        make(size=(6, 5), kernel=(3, 3), stride=(2, 2))
    with pytest.raises(ValueError, match="two or three sides each"):
        make(size=(6, 5), kernel=(3, 3, 3))
    with pytest.raises(ValueError, match="defined for bernoulli hidden units; these are rectified"):
        make(hidden=ReLU(2), size=(5, 5), kernel=(2, 2), pooling=(2, 2))
    with pytest.raises(ValueError, match=r"blocks of \(3, 3\) do not tile"):
        make(size=(5, 5), kernel=(2, 2), pooling=(3, 3))
