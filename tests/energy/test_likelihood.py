"""log Z: enumeration from both sides, and annealing forwards and backwards around the exact value."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import machine
from torch import Generator

from scanprior.energy.joint import Joint
from scanprior.energy.likelihood import (
    Estimate,
    ais,
    ladder,
    log_likelihood,
    log_partition_exact,
    mean_log_likelihood,
    reverse_ais,
)  # fmt: skip
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU, Softmax


def trained(visible, hidden: int = 10) -> tuple[RBM, torch.Tensor]:
    """A machine after some training on twelve correlated columns."""
    generator = Generator().manual_seed(1)
    data = torch.randn(600, 3, generator=generator) @ torch.randn(3, visible.size, generator=generator)
    if isinstance(visible, Bernoulli):
        data = (data > 0).float()
    if isinstance(visible, Softmax):
        data = torch.nn.functional.one_hot((data[:, : visible.groups] > 0).long(), 2).flatten(1).float()
    if isinstance(visible, Gaussian):
        data = data / data.std(0)
    rbm = RBM(visible, Bernoulli(hidden))
    fit_rbm(rbm, data, epochs=40, generator=generator, batch_size=20)
    return rbm, data


def test_log_z_of_independent_units_is_known():
    rbm = RBM(Bernoulli(30), Bernoulli(4), std=0.0)
    assert log_partition_exact(rbm) == pytest.approx(34 * 0.6931471805599453)


@pytest.mark.parametrize("visible", [Bernoulli(12), Gaussian(12), Softmax(6, 2)], ids=lambda units: units.kind)
def test_annealing_both_ways_meets_the_exact_value(visible):
    rbm, data = trained(visible)
    exact = log_partition_exact(rbm)
    forwards = ais(rbm, generator=Generator().manual_seed(2), data=data, betas=ladder((1.0, 500)))
    starts = rbm.gibbs(data[:100], 500, Generator().manual_seed(3))
    backwards = reverse_ais(rbm, starts, generator=Generator().manual_seed(4), data=data, betas=ladder((1.0, 500)))
    for estimate in (forwards, backwards):
        assert abs(estimate.mean - exact) < 0.1
        assert estimate.low < exact < estimate.high and estimate.high - estimate.low < 0.6
        assert 20 < estimate.ess <= 100.0001


COARSE = {
    "bernoulli": lambda: machine(Bernoulli(5), Bernoulli(4), spread=0.6),
    "softmax": lambda: machine(Softmax(2, 3), Bernoulli(4), spread=0.8),
    "gaussian": lambda: machine(Gaussian(4), Bernoulli(4), spread=0.4),
}


@pytest.mark.parametrize("kind", COARSE)
def test_a_coarse_ladder_with_many_chains_gives_log_z_both_ways(kind):
    """Three wide steps, where it shows in which order weights and sweeps are taken; many chains make up for them."""
    rbm, generator = COARSE[kind](), Generator().manual_seed(2)
    exact, betas, n = log_partition_exact(rbm), torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64), 20_000
    hidden = rbm.hidden.states()
    p = (-rbm.hidden_free_energy(hidden)).softmax(0).detach()
    drawn = hidden[torch.multinomial(p, n, replacement=True, generator=generator)]
    starts = rbm.visible.sample(rbm.visible_field(drawn), generator)
    assert abs(ais(rbm, generator=generator, chains=n, betas=betas).mean - exact) < 0.05
    assert abs(reverse_ais(rbm, starts, generator=generator, betas=betas).mean - exact) < 0.05


def test_without_data_the_base_model_has_the_machine_s_own_bias():
    rbm, _ = trained(Bernoulli(12))
    assert abs(ais(rbm, generator=Generator().manual_seed(2)).mean - log_partition_exact(rbm)) < 0.15


def test_likelihoods_of_all_states_sum_to_one():
    rbm, _ = trained(Bernoulli(12), hidden=5)
    p = log_likelihood(rbm, rbm.visible.states(), log_partition_exact(rbm)).exp()
    assert float(p.sum()) == pytest.approx(1.0)


def test_the_interval_of_the_likelihood_turns_around():
    rbm, data = trained(Bernoulli(12))
    exact = log_partition_exact(rbm)
    result = mean_log_likelihood(rbm, data, Estimate(exact, exact - 1, exact + 2, 5.0))
    mean = float(log_likelihood(rbm, data, exact).mean())
    assert result == pytest.approx((mean, mean - 2, mean + 1, 5.0))


def test_the_machine_itself_is_left_as_it_was():
    rbm, data = trained(Bernoulli(12))
    before = {name: tensor.clone() for name, tensor in rbm.state_dict().items()}
    ais(rbm, generator=Generator().manual_seed(2), data=data, chains=3, betas=ladder((1.0, 5)))
    for name, tensor in rbm.state_dict().items():
        assert torch.equal(tensor, before[name]) and tensor.dtype == torch.float32


def test_ladders_rise_from_zero_to_one():
    betas = ladder((0.5, 5), (0.9, 40), (1.0, 100))
    assert len(betas) == 146 and float(betas[0]) == 0.0 and float(betas[-1]) == 1.0 and bool((betas.diff() > 0).all())
    with pytest.raises(ValueError, match=r"ends at 0\.9"):
        ladder((0.9, 10))


def test_what_can_not_be_summed_is_refused():
    with pytest.raises(NoClosedForm, match=r"25.*too many.*26.*too many.*Use `ais`"):
        log_partition_exact(RBM(Bernoulli(26), Bernoulli(25)))
    with pytest.raises(NoClosedForm, match="rectified"):
        log_partition_exact(RBM(Gaussian(3), ReLU(2)))


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.9], [0.0, 0.5, 0.5, 1.0], [1.0, 0.0], [0.0]])
def test_temperatures_that_do_not_join_the_two_machines_are_refused(betas):
    rbm, generator = RBM(Bernoulli(4), Bernoulli(3)), Generator().manual_seed(0)
    for run in (
        lambda b: ais(rbm, generator=generator, betas=b),
        lambda b: reverse_ais(rbm, torch.zeros(2, 4), generator=generator, betas=b),
    ):
        with pytest.raises(ValueError, match="rise from 0 to 1"):
            run(torch.tensor(betas, dtype=torch.float64))


def test_a_joint_layer_too_large_to_enumerate_leaves_it_to_the_other_side():
    rbm = RBM(Joint(Bernoulli(16), Bernoulli(16)), Bernoulli(6))
    torch.nn.init.zeros_(rbm.weight)
    assert log_partition_exact(rbm) == pytest.approx(38 * 0.6931472)
    with pytest.raises(NoClosedForm, match="joint states are too many"):
        rbm.visible.states()
