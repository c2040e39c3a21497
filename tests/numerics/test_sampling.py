"""Samplers against enumeration: tempered chains and clamped Gibbs sampling leave the exact distributions as they are."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import draws, likelihood_gradient, log_z_of, machine, update_of
from torch import Generator, Tensor

from scanprior.energy.joint import Joint
from scanprior.energy.objectives import PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.tempering import Tempered
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax
from scanprior.energy.workspace import Workspace

CHAINS = 20_000


def counts_of(states: Tensor) -> Tensor:
    return torch.bincount((states * 2 ** torch.arange(states.shape[1])).sum(1).long(), minlength=2 ** states.shape[1])


def chi_square(states: Tensor, p: Tensor) -> float:
    expected = len(states) * p
    return float(((counts_of(states) - expected).square() / expected).sum())


@pytest.mark.parametrize("temperatures", [2, 5])
def test_tempered_chains_started_in_equilibrium_stay_there(temperatures):
    """rbms 0.5 fails this: it swaps by beta x free energy, which is not what its chains sample."""
    rbm = machine(Bernoulli(5), Bernoulli(3), spread=1.0)
    objective, generator = Tempered(temperatures, CHAINS), Generator().manual_seed(1)
    objective.begin(rbm, generator)
    v, h = rbm.visible.states(), rbm.hidden.states()
    joint = torch.stack([-rbm.energy(v, state.expand(len(v), -1)) for state in h]).detach()  # (hidden, visible)
    for level, beta in enumerate(torch.linspace(0, 1, temperatures).tolist()):
        p = (beta * joint).logsumexp(1).softmax(0)
        drawn = torch.multinomial(p, CHAINS, replacement=True, generator=generator)
        objective.chain[level * CHAINS : (level + 1) * CHAINS] = h[drawn]
    work = Workspace(rbm, 1, CHAINS)
    with torch.no_grad():
        for _ in range(6):
            objective.negative(work, 1, generator)
    states = (work.visible[1:] + rbm.visible_offset).round()
    assert chi_square(states, joint.logsumexp(0).softmax(0)) < 61.1  # 31 degrees of freedom, one in a thousand
    assert chi_square(objective.chain[-CHAINS:], joint.logsumexp(1).softmax(0)) < 24.3  # 7 degrees of freedom


def test_tempered_chains_of_a_gaussian_machine_started_in_equilibrium_stay_there():
    """At every temperature p(h) is that of the machine whose weights are multiplied by beta, enumerated."""
    rbm = machine(Gaussian(3, learn_variance=True), Bernoulli(3), spread=0.8)
    objective, generator = Tempered(4, CHAINS), Generator().manual_seed(1)
    objective.begin(rbm, generator)
    h, p, weight = rbm.hidden.states(), [], rbm.weight.detach().clone()
    with torch.no_grad():
        for beta in torch.linspace(0, 1, 4).tolist():
            rbm.weight.copy_(beta * weight)
            p.append((-rbm.hidden_free_energy(h)).softmax(0))
        rbm.weight.copy_(weight)
        for level in range(4):
            drawn = torch.multinomial(p[level], CHAINS, replacement=True, generator=generator)
            objective.chain[level * CHAINS : (level + 1) * CHAINS] = h[drawn]
        work = Workspace(rbm, 1, CHAINS)
        for _ in range(6):
            objective.negative(work, 1, generator)
    assert float((p[0] - p[3]).abs().max()) > 0.1, "the temperatures are meant to differ"
    for level in range(4):
        assert (
            chi_square(objective.chain[level * CHAINS : (level + 1) * CHAINS], p[level]) < 24.3
        )  # 7 degrees of freedom
    means = rbm.visible.mean(rbm.visible_field(h)).detach()
    drawn = work.visible_states(work.visible[1:])
    torch.testing.assert_close(drawn.mean(0), p[3] @ means, rtol=0, atol=0.05)


def test_tempered_chains_of_a_gaussian_machine_give_the_gradient_of_the_likelihood():
    rbm = machine(Gaussian(3, learn_variance=True), Bernoulli(2), spread=0.4)
    data = draws(rbm, 5)
    change = update_of(rbm, data, Tempered(3, CHAINS, 60))
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(change[name], gradient, rtol=0, atol=0.05, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("visible", [Bernoulli, Gaussian])
def test_tempered_chains_cross_between_modes_where_plain_ones_stay(visible):
    """Two patterns far apart, equally likely: all chains begin in one of them."""
    binary = visible is Bernoulli
    rbm = machine(visible(8), Bernoulli(1), spread=0.0, centered=not binary)
    with torch.no_grad():
        rbm.weight.fill_(6.0 if binary else 2.6)
        if binary:
            rbm.visible.bias.fill_(-3.0)
            rbm.hidden.bias.fill_(-24.0)  # 8 x (log(1 + e^3) - log(1 + e^-3)): both patterns weigh the same
        else:
            rbm.hidden_offset.fill_(0.5)  # the visible means are -1.3 and 1.3, and their middle at beta 0
    share = {}
    for name, objective in {"plain": PCD(1, 500), "tempered": Tempered(12, 500)}.items():
        generator = Generator().manual_seed(2)
        objective.begin(rbm, generator)
        objective.chain.zero_()
        work = Workspace(rbm, 1, 500)
        with torch.no_grad():
            for _ in range(60):
                objective.negative(work, 1, generator)
        share[name] = float((work.visible[1:].mean(1) > (0.5 if binary else 0.0)).double().mean())
    assert share["plain"] < 0.1 and 0.35 < share["tempered"] < 0.65


def test_tempering_learns_and_goes_on_from_its_state_bit_for_bit(tmp_path):
    data = torch.randint(0, 2, (40, 2), generator=Generator().manual_seed(0)).repeat_interleave(3, 1).double()
    rows = torch.arange(40).view(8, 5)

    def make() -> Stepper:
        return Stepper(
            machine(Bernoulli(6), Bernoulli(4)), Tempered(4, 6), batch_size=5, steps=8, seed=1, learning_rate=0.1
        )  # fmt: skip

    whole, first, second = make(), make(), make()
    whole.block(data, rows)
    first.block(data, rows[:3])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.block(data, rows[3:])
    assert torch.equal(whole.rbm.weight, second.rbm.weight)
    rbm = machine(Bernoulli(6), Softmax(2, 2))
    history = fit_rbm(
        rbm, data, epochs=40, generator=Generator().manual_seed(0), objective=Tempered(4, 20), batch_size=10
    )
    assert history.reconstruction[-1] < history.reconstruction[0]


def test_clamped_sampling_draws_the_rest_from_its_conditional():
    rbm = machine(Bernoulli(5), Bernoulli(3), spread=1.0)
    known = torch.tensor([True, False, True, False, False])
    start = torch.tensor([[1.0, 0, 0, 0, 0]], dtype=torch.float64).repeat(CHAINS, 1)
    drawn = rbm.gibbs(start, 30, Generator().manual_seed(1), known=known)
    assert torch.equal(drawn[:, known], start[:, known])
    states = rbm.visible.states()
    fits = (states[:, 0] == 1) & (states[:, 2] == 0)
    p = (-rbm.free_energy(states[fits])).softmax(0).detach()
    expected = CHAINS * p
    observed = torch.stack([(drawn == state).all(1).sum() for state in states[fits]])
    assert float(((observed - expected).square() / expected).sum()) < 24.3


@pytest.mark.parametrize("units", [Softmax(1, 4), Joint(Bernoulli(1), Softmax(1, 3))], ids=["softmax", "joint"])
@pytest.mark.parametrize("column", [1, 3])
def test_part_of_a_group_may_be_known(units, column):
    rbm = machine(units, Bernoulli(3), spread=1.0)
    known = torch.arange(4) == column
    states = rbm.visible.states()
    for given in (0.0, 1.0):
        start = states[states[:, column] == given][:1].repeat(CHAINS, 1)
        drawn = rbm.gibbs(start, 30, Generator().manual_seed(1), known=known)
        possible = states[states[:, column] == given]
        p = (-rbm.free_energy(possible)).softmax(0).detach()
        observed = torch.stack([(drawn == state).all(1).sum() for state in possible])
        assert int(observed.sum()) == CHAINS
        assert float(((observed - CHAINS * p).square() / (CHAINS * p)).sum()) < 20


def test_what_can_not_be_heated_is_refused():
    for visible, hidden, named in ((Gaussian(3), ReLU(2), "rectified"), (Bernoulli(3), Gaussian(2), "gaussian")):
        with pytest.raises(ValueError, match=f"not {named} ones: use contrastive divergence"):
            Stepper(RBM(visible, hidden), Tempered(), batch_size=1, steps=1, seed=0, learning_rate=0.1)
    with pytest.raises(ValueError, match="got 1, 32, 1"):
        Tempered(1)
