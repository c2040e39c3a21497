"""Gibbs-Langevin sampling: the moments of the enumerated mixture at every number of chains, and training with it."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import draws, likelihood_gradient, log_z_of, machine, update_of
from torch import Generator, Tensor

from scanprior.energy.langevin import Langevin, gibbs_langevin
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU


def exact_moments(rbm: RBM) -> tuple[Tensor, Tensor]:
    """Mean and covariance of p(v), a mixture of as many Gaussians as there are hidden states."""
    h = rbm.hidden.states()
    p = (-rbm.hidden_free_energy(h)).softmax(0).detach()
    means = rbm.visible.mean(rbm.visible_field(h)).detach()
    mean = p @ means
    spread = means - mean
    return mean, torch.diag(rbm.visible.log_variance.exp().detach()) + spread.t() @ (p[:, None] * spread)


@pytest.mark.parametrize("step_size", [0.1, 3.0])
@pytest.mark.parametrize("chains", [1, 512])
def test_without_weights_the_variance_is_the_units_own_at_every_number_of_chains(chains, step_size):
    """The released code of Liao et al. samples at a temperature equal to the batch size: variance 262 instead of 1 at 256."""
    rbm = RBM(Gaussian(200, learn_variance=True), Bernoulli(2), std=0.0).double()
    with torch.no_grad():
        rbm.visible.log_variance.fill_(1.0)
    generator = Generator().manual_seed(1)
    v = gibbs_langevin(rbm, torch.zeros(chains, 200, dtype=torch.float64), 100, generator, step_size=step_size)
    rows = [v]
    for _ in range(0 if chains > 1 else 40):
        v = gibbs_langevin(rbm, v, 30, generator, step_size=step_size)
        rows.append(v)
    assert float(torch.cat(rows).var()) == pytest.approx(2.718282, rel=0.06)


@pytest.mark.parametrize("step_size", [0.2, 1.0])
@pytest.mark.parametrize("chains", [1, 512])
def test_moments_are_those_of_the_enumerated_mixture(chains, step_size):
    rbm = machine(Gaussian(2, learn_variance=True), Bernoulli(3), spread=0.7)
    generator = Generator().manual_seed(2)
    v = torch.zeros(chains, 2, dtype=torch.float64)
    v = gibbs_langevin(rbm, v, 100, generator, step_size=step_size)
    rows = []
    for _ in range(4000 if chains == 1 else 60):
        v = gibbs_langevin(rbm, v, 2, generator, step_size=step_size)
        rows.append(v)
    sample = torch.cat(rows)
    mean, covariance = exact_moments(rbm)
    loose = 3.0 if chains == 1 else 1.0
    torch.testing.assert_close(sample.mean(0), mean, rtol=0, atol=loose * 0.06)
    torch.testing.assert_close(torch.cov(sample.t()), covariance, rtol=0, atol=loose * 0.1 * float(covariance.max()))


def test_chains_in_equilibrium_give_the_gradient_of_the_likelihood():
    rbm = machine(Gaussian(3, learn_variance=True), Bernoulli(2), spread=0.4)
    data = draws(rbm, 5)
    objective = Langevin(60, 20_000, step_size=0.5)
    change = update_of(rbm, data, objective)
    for name, gradient in likelihood_gradient(rbm, data, log_z_of(rbm)).items():
        torch.testing.assert_close(change[name], gradient, rtol=0, atol=0.05, msg=lambda m, n=name: f"{n}: {m}")


def test_it_learns_two_clusters_and_goes_on_bit_for_bit(tmp_path):
    generator = Generator().manual_seed(1)
    data = torch.randn(200, 2, generator=generator) * 0.3 + 2.0 * (
        2 * torch.randint(0, 2, (200, 1), generator=generator) - 1
    )
    rows = torch.arange(200).view(20, 10)

    def make() -> Stepper:
        return Stepper(
            RBM(Gaussian(2), Bernoulli(3)), Langevin(3, 8), batch_size=10, steps=20, seed=1, learning_rate=0.05
        )

    whole, first, second = make(), make(), make()
    whole.block(data, rows)
    first.block(data, rows[:9])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.block(data, rows[9:])
    assert torch.equal(whole.rbm.weight, second.rbm.weight)
    rbm = RBM(Gaussian(2), Bernoulli(3))
    history = fit_rbm(rbm, data, epochs=60, generator=generator, objective=Langevin(5, 20), batch_size=20)
    assert history.reconstruction[-1] < 0.5 * history.reconstruction[0]


def test_what_it_can_not_do_is_refused():
    with pytest.raises(ValueError, match="these are bernoulli: use Gibbs"):
        gibbs_langevin(RBM(Bernoulli(2), Bernoulli(2)), torch.zeros(1, 2), 1, Generator())
    with pytest.raises(ValueError, match="must be positive; got 0"):
        gibbs_langevin(RBM(Gaussian(2), Bernoulli(2)), torch.zeros(1, 2), 1, Generator(), step_size=0)
    with pytest.raises(ValueError, match="run away to infinity"):
        fit_rbm(RBM(Gaussian(2), ReLU(2)), torch.zeros(4, 2), epochs=1, generator=Generator(), objective=Langevin())
    with pytest.raises(ValueError, match="got 0, 100"):
        Langevin(0)
