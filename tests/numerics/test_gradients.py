"""The training step against enumeration: its expectation over the model is the exact gradient of the log likelihood."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_machines import PLAIN, Exact, draws, likelihood_gradient, log_z_of, machine, update_of
from torch import Generator

from scanprior.energy.objectives import CD, PCD
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.tempering import Tempered
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, Softmax

PAIRS = {
    "bernoulli-bernoulli": lambda centered: machine(Bernoulli(4), Bernoulli(3), centered=centered),
    "softmax-bernoulli": lambda centered: machine(Softmax(2, 3), Bernoulli(3), centered=centered),
    "bernoulli-softmax": lambda centered: machine(Bernoulli(4), Softmax(2, 2), centered=centered),
    "bernoulli-gaussian": lambda centered: machine(Bernoulli(4), Gaussian(3), centered=centered),
}


@pytest.mark.parametrize("centered", [True, False], ids=["centered", "plain"])
@pytest.mark.parametrize("pair", PAIRS)
def test_expected_step_is_the_likelihood_gradient_in_the_centered_coordinates(pair, centered):
    """Every visible state, repeated in proportion to its probability, as negative phase: no noise is left."""
    rbm = PAIRS[pair](centered)
    data = draws(rbm, 7)
    states = rbm.visible.states()
    p = (-rbm.free_energy(states)).softmax(0).detach()
    total = {name: torch.zeros_like(parameter) for name, parameter in rbm.named_parameters()}
    for state, weight in zip(states, p, strict=True):
        for name, change in update_of(rbm, data, Exact(state[None])).items():
            total[name] += weight * change
    exact = likelihood_gradient(rbm, data, log_z_of(rbm))
    # The step's coordinates: fields at the offsets instead of biases; there the weight's gradient is as enumerated too.
    for name, gradient in exact.items():
        torch.testing.assert_close(
            total[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_expected_step_of_a_gaussian_machine_with_learned_variance():
    """Positive phase exactly; negative phase by Gauss-Hermite-like sampling of p(v) = sum over h of p(h) N(v)."""
    rbm = machine(Gaussian(3, learn_variance=True), Bernoulli(2), spread=0.4)
    data = draws(rbm, 5)
    hidden = rbm.hidden.states()
    p = (-rbm.hidden_free_energy(hidden)).softmax(0).detach()
    generator = Generator().manual_seed(4)
    rows = hidden[torch.multinomial(p, 400_000, replacement=True, generator=generator)]
    model = rbm.visible.sample(rbm.visible_field(rows), generator)
    change = update_of(rbm, data, Exact(model))
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(
            change[name], gradient, rtol=0, atol=0.02, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_cheap_variance_gradient_is_the_difference_of_the_energies_gradients():
    """Against autograd of the joint energy at (data, h) and at (reconstruction, h), all drawn."""
    rbm = machine(Gaussian(3, learn_variance=True), Bernoulli(2), spread=0.4)
    data = draws(rbm, 5).repeat(60_000, 1)
    change = update_of(rbm, data, CD(1, sample_visible=True))["visible.log_variance"]
    generator = Generator().manual_seed(11)
    h = rbm.hidden.sample(rbm.hidden_field(data), generator)
    v = rbm.visible.sample(rbm.visible_field(h), generator)
    difference = rbm.energy(v, h).mean() - rbm.energy(data, h).mean()
    (expected,) = torch.autograd.grad(difference, [rbm.visible.log_variance])
    assert float(expected.abs().max()) > 0.05
    torch.testing.assert_close(change, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("pair", PAIRS)
def test_long_contrastive_divergence_approaches_the_likelihood_gradient(pair):
    rbm = PAIRS[pair](True)
    data = draws(rbm, 5).repeat(8000, 1)
    change = update_of(rbm, data, CD(30, sample_visible=True))
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(change[name], gradient, rtol=0, atol=0.02)


CHAINED = {
    "bernoulli-bernoulli": lambda: machine(Bernoulli(4), Bernoulli(3), spread=1.3),
    "softmax-bernoulli": lambda: machine(Softmax(2, 3), Bernoulli(3), spread=1.0),
    "bernoulli-softmax": lambda: machine(Bernoulli(4), Softmax(2, 2), spread=1.0, seed=2),
    "bernoulli-gaussian": lambda: machine(Bernoulli(4), Gaussian(3)),
    "gaussian-bernoulli": lambda: machine(Gaussian(3, learn_variance=True), Bernoulli(2), spread=0.4),
}


@pytest.mark.parametrize("pair", CHAINED)
def test_persistent_chains_that_have_run_long_give_the_likelihood_gradient(pair):
    """Weights large enough that chains which go on from means, not draws, miss it by 0.05 and more."""
    rbm = CHAINED[pair]()
    data = draws(rbm, 7)
    change = update_of(rbm, data, PCD(20, 40_000))
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(
            change[name], gradient, rtol=0, atol=0.03, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize(
    "objective", [CD(1, sample_visible=True), CD(3, sample_visible=True), PCD(1, 4000), PCD(2, 1000)]
)
def test_data_from_the_model_itself_gives_no_update_whatever_the_number_of_rows_and_chains(objective):
    """scikit-learn 1.9 fails this with a partial batch (update -4.6 instead of 0)."""
    rbm = machine(Bernoulli(4), Bernoulli(3))
    states = rbm.visible.states()
    p = (-rbm.free_energy(states)).softmax(0).detach()
    generator = Generator().manual_seed(8)
    total = {}
    for n in (3000, 1700):
        data = states[torch.multinomial(p, n, replacement=True, generator=generator)]
        if isinstance(objective, PCD):
            chain = states[torch.multinomial(p, objective.chains, replacement=True, generator=generator)]
            objective.chain = rbm.hidden.sample(rbm.hidden_field(chain), generator)
        total = update_of(rbm, data, objective)
        for name, change in total.items():
            assert float(change.abs().max()) < 5 / min(n, 1000) ** 0.5 / 2, name


def test_a_partial_mini_batch_equals_a_small_stepper():
    """A step made for 10 rows treats 3 rows as one made for 3 does."""
    results = []
    for size in (10, 3):
        rbm = machine(Bernoulli(4), Bernoulli(3))
        stepper = Stepper(rbm, CD(1), batch_size=size, steps=10, seed=1, learning_rate=0.1, schedule=PLAIN)
        stepper.block(draws(rbm, 3)[None])
        results.append([parameter.detach().clone() for parameter in rbm.parameters()])
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_momentum_decay_and_schedule_by_hand():
    """Two steps of a 1 x 1 machine in float64, positive and negative phase given."""
    rbm = machine(Bernoulli(1), Bernoulli(1), centered=False)
    w, b = rbm.weight.item(), rbm.visible.bias.item()
    schedule = Schedule(momentum=0.5, final_momentum=0.5, weight_decay=0.1, final_rate=0.0, decay_from=0.0)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    stepper = Stepper(rbm, Exact(zero), batch_size=1, steps=2, seed=0, learning_rate=0.2, schedule=schedule)
    velocity = 0.0
    for step in range(2):
        h = 1 / (1 + math.exp(-(rbm.weight.item() + rbm.hidden.bias.item())))
        rate = 0.2 * (1 - step / 2)
        velocity = 0.5 * velocity + 0.5 * rate * h
        w = w * (1 - rate * 0.1) + velocity
        stepper.block(one[None])
        assert rbm.weight.item() == pytest.approx(w, rel=1e-12)
    assert rbm.visible.bias.item() == pytest.approx(b + 0.5 * 0.2 + (0.25 * 0.2 + 0.5 * 0.1), rel=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_moving_the_offset_does_not_change_the_model(pair):
    rbm = PAIRS[pair](True)
    states = rbm.visible.states()
    before = (-rbm.free_energy(states)).softmax(0)
    stepper = Stepper(rbm, CD(1), batch_size=5, steps=10, seed=1, learning_rate=0.0)
    offset = rbm.hidden_offset.clone()
    stepper.block(draws(rbm, 5)[None])
    assert not torch.equal(offset, rbm.hidden_offset)
    torch.testing.assert_close((-rbm.free_energy(states)).softmax(0), before)


def test_learned_variance_finds_the_variance_of_plain_noise():
    data = 2.0 * torch.randn(4000, 5, generator=Generator().manual_seed(1)) + 3
    rbm = machine(Gaussian(5, learn_variance=True), Bernoulli(3), spread=0.0).float()
    with torch.no_grad():
        rbm.weight.normal_(0, 0.01, generator=Generator().manual_seed(2))
    rbm.visible.bias.data.fill_(3.0)
    rbm.visible_offset.fill_(3.0)
    fit_rbm(
        rbm, data, epochs=60, generator=Generator().manual_seed(3), objective=CD(1, sample_visible=True), start=False,
        schedule=Schedule(learning_rate=0.02, variance_rate=1.0),
    )  # fmt: skip
    torch.testing.assert_close(rbm.visible.log_variance.exp().detach(), torch.full((5,), 4.0), rtol=0.06, atol=0)


def test_constant_columns_leave_a_learned_variance_finite():
    data = torch.randn(500, 4, generator=Generator().manual_seed(1))
    data[:, 2] = 1.0
    rbm = machine(Gaussian(4, learn_variance=True), Bernoulli(3)).float()
    fit_rbm(rbm, data, epochs=50, generator=Generator().manual_seed(2), objective=CD(1, sample_visible=True))
    assert all(torch.isfinite(parameter).all() for parameter in rbm.parameters())
    assert float(rbm.visible.log_variance[2].detach()) == -4.0


def test_tempered_chains_in_equilibrium_give_the_likelihood_gradient():
    rbm = machine(Bernoulli(4), Bernoulli(3))
    data, states = draws(rbm, 7), rbm.hidden.states()
    objective, generator = Tempered(3, 8000, k=2), Generator().manual_seed(1)
    objective.begin(rbm, generator)
    visible = rbm.visible.states()
    joint = torch.stack([-rbm.energy(visible, h.expand(len(visible), -1)) for h in states]).detach()
    for level, beta in enumerate((0.0, 0.5, 1.0)):
        p = (beta * joint).logsumexp(1).softmax(0)
        drawn = torch.multinomial(p, 8000, replacement=True, generator=generator)
        objective.chain[8000 * level : 8000 * (level + 1)] = states[drawn]
    change = update_of(rbm, data, objective)
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(change[name], gradient, rtol=0, atol=0.03)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_step_is_a_mean_over_rows_whatever_their_number(pair):
    """Each row three times over is the same step; so is the negative phase three times over."""
    rbm = PAIRS[pair](True)
    data, model = draws(rbm, 5), draws(rbm, 4, seed=3)
    once = update_of(rbm, data, Exact(model))
    again = update_of(rbm, data.repeat(3, 1), Exact(model.repeat(3, 1)))
    for name, change in once.items():
        torch.testing.assert_close(again[name], change, rtol=1e-9, atol=1e-12)
