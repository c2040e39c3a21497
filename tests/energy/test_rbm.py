"""The machine against enumeration: free energies, conditionals, folding, and the linear layers it turns into."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax


def machine(visible, hidden, seed=1, **options) -> RBM:
    """A machine with random parameters and offsets, float64."""
    rbm = RBM(visible, hidden, **options).double()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in rbm.state_dict().values():
            tensor.normal_(0, 0.5, generator=generator)
    return rbm


PAIRS = {
    "bernoulli-bernoulli": lambda: machine(Bernoulli(5), Bernoulli(4)),
    "gaussian-bernoulli": lambda: machine(Gaussian(5, learn_variance=True), Bernoulli(4)),
    "softmax-bernoulli": lambda: machine(Softmax(2, 3), Bernoulli(4)),
    "bernoulli-softmax": lambda: machine(Bernoulli(5), Softmax(2, 2)),
}


def data(rbm: RBM, n: int = 6) -> torch.Tensor:
    return rbm.visible.sample(
        torch.zeros(n, rbm.visible.size, dtype=torch.float64), Generator().manual_seed(2)
    ).detach()


@pytest.mark.parametrize("pair", PAIRS)
def test_free_energy_sums_the_joint_over_hidden_states(pair):
    rbm = PAIRS[pair]()
    v, h = data(rbm), rbm.hidden.states()
    joint = torch.stack([rbm.energy(v, state.expand(len(v), -1)) for state in h])
    torch.testing.assert_close(rbm.free_energy(v), -(-joint).logsumexp(0))


@pytest.mark.parametrize("pair", PAIRS)
def test_hidden_conditional_is_that_of_the_enumerated_joint(pair):
    rbm = PAIRS[pair]()
    v, h = data(rbm), rbm.hidden.states()
    joint = torch.stack([-rbm.energy(v, state.expand(len(v), -1)) for state in h])
    torch.testing.assert_close(rbm.hidden.mean(rbm.hidden_field(v)), joint.softmax(0).t() @ h)


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-bernoulli", "bernoulli-softmax"])
def test_visible_conditional_is_that_of_the_enumerated_joint(pair):
    rbm = PAIRS[pair]()
    v, h = rbm.visible.states(), rbm.hidden.states()
    joint = torch.stack([-rbm.energy(state.expand(len(h), -1), h) for state in v])
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_field(h)), joint.softmax(0).t() @ v)


def test_gaussian_visible_conditional_is_the_shape_of_the_joint():
    """Of exp(-E(v, h)) in v: its mode is the mean, its curvature one over the variance."""
    rbm = PAIRS["gaussian-bernoulli"]()
    for h in rbm.hidden.states():
        mean = rbm.visible.mean(rbm.visible_field(h[None])).detach().requires_grad_()
        energy = rbm.energy(mean, h[None]).sum()
        (slope,) = torch.autograd.grad(energy, mean, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), mean)
        torch.testing.assert_close(slope, torch.zeros_like(slope))
        torch.testing.assert_close(curvature[0], torch.exp(-rbm.visible.log_variance))


@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-bernoulli", "bernoulli-softmax"])
def test_hidden_free_energy_sums_the_joint_over_visible_states(pair):
    rbm = PAIRS[pair]()
    v, h = rbm.visible.states(), rbm.hidden.states()
    joint = torch.stack([-rbm.energy(state.expand(len(h), -1), h) for state in v])
    torch.testing.assert_close(rbm.hidden_free_energy(h), -joint.logsumexp(0))


def test_log_z_is_the_same_from_both_sides():
    rbm = PAIRS["bernoulli-bernoulli"]()
    from_v, from_h = -rbm.free_energy(rbm.visible.states()), -rbm.hidden_free_energy(rbm.hidden.states())
    torch.testing.assert_close(from_v.logsumexp(0), from_h.logsumexp(0))


def test_centering_only_reparametrises():
    """Moving the offsets into the biases leaves the distribution as it was."""
    rbm = PAIRS["bernoulli-bernoulli"]()
    plain = machine(Bernoulli(5), Bernoulli(4), centered=False)
    plain.load_state_dict(rbm.state_dict())
    with torch.no_grad():
        plain.visible.bias.sub_(rbm.weight @ rbm.hidden_offset)
        plain.hidden.bias.sub_(rbm.visible_offset @ rbm.weight)
        plain.visible_offset.zero_()
        plain.hidden_offset.zero_()
    states = rbm.visible.states()
    torch.testing.assert_close((-rbm.free_energy(states)).softmax(0), (-plain.free_energy(states)).softmax(0))


def test_gibbs_sampling_leaves_the_distribution_as_it_is():
    rbm = PAIRS["bernoulli-bernoulli"]()
    states = rbm.visible.states()
    p = (-rbm.free_energy(states)).softmax(0).detach()
    n = 60_000
    start = states[torch.multinomial(p, n, replacement=True, generator=Generator().manual_seed(3))]
    end = rbm.gibbs(start, 5, Generator().manual_seed(4))
    counts = torch.bincount((end * 2 ** torch.arange(5)).sum(1).long(), minlength=32)
    chi_square = float(((counts - n * p).square() / (n * p)).sum())
    assert chi_square < 61.1  # 31 degrees of freedom, one in a thousand


@pytest.mark.parametrize("hidden", [Bernoulli, ReLU])
def test_folding_a_standardiser_keeps_every_hidden_field_and_the_conditional_mean(hidden):
    rbm = machine(Gaussian(5), hidden(4))
    with torch.no_grad():
        rbm.visible.log_variance.zero_()
    mean, std = torch.linspace(-2, 3, 5, dtype=torch.float64), torch.linspace(0.5, 4, 5, dtype=torch.float64)
    v, h = torch.randn(7, 5, dtype=torch.float64), torch.rand(7, 4, dtype=torch.float64)
    field, below = rbm.hidden_field((v - mean) / std), rbm.visible.mean(rbm.visible_field(h)) * std + mean
    rbm.fold(mean, std)
    torch.testing.assert_close(rbm.hidden_field(v), field)
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_field(h)), below)


def test_folding_keeps_the_density_up_to_the_change_of_units():
    rbm = machine(Gaussian(5), Bernoulli(4))
    with torch.no_grad():
        rbm.visible.log_variance.zero_()
    v, std = torch.randn(7, 5, dtype=torch.float64), torch.linspace(0.5, 4, 5, dtype=torch.float64)
    before = rbm.free_energy(v / std)
    rbm.fold(torch.zeros(5, dtype=torch.float64), std)
    torch.testing.assert_close(rbm.free_energy(v) - rbm.free_energy(v)[0], before - before[0])


def test_folding_into_anything_but_gaussian_units_is_refused():
    with pytest.raises(ValueError, match=r"only Gaussian visible units.*bernoulli"):
        machine(Bernoulli(3), Bernoulli(2)).fold(torch.zeros(3), torch.ones(3))


@pytest.mark.parametrize("pair", PAIRS)
def test_linear_layers_give_both_conditionals(pair):
    rbm = PAIRS[pair]()
    v, h = data(rbm), rbm.hidden.states()
    weight, bias = rbm.upward()
    torch.testing.assert_close(v @ weight.t() + bias, rbm.hidden_field(v) + rbm.hidden.bias)
    weight, bias = rbm.downward()
    torch.testing.assert_close(h @ weight.t() + bias, rbm.visible_field(h) + rbm.visible.bias)


def test_first_weights_come_from_the_generator():
    make = lambda seed: RBM(Bernoulli(3), Bernoulli(2), generator=Generator().manual_seed(seed)).weight  # noqa: E731
    assert torch.equal(make(1), make(1)) and not torch.equal(make(1), make(2))
