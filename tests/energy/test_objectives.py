"""Negative phases: how many rows they fill, where chains are kept, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator

from scanprior.energy.langevin import Langevin
from scanprior.energy.objectives import CD, PCD, Objective, Persistent, refuse_unbounded
from scanprior.energy.rbm import RBM
from scanprior.energy.tempering import Tempered
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
from scanprior.energy.workspace import Workspace


def prepared(objective: Objective, rbm: RBM, n: int = 4) -> Workspace:
    """A workspace whose data rows are zeros, with hidden states drawn given them, and the objective ready."""
    work, generator = Workspace(rbm, n, objective.negatives(n)), Generator().manual_seed(1)
    work.visible[:n].zero_()
    with torch.no_grad():
        work.up_(work.show_visible_(work.visible[:n]), work.hidden[:n], draw=work.draw[:n], generator=generator)
        objective.begin(rbm, generator)
    return work


@pytest.mark.parametrize(
    "make",
    [lambda: PCD(2, 7), lambda: Langevin(2, 7), lambda: Tempered(3, 7)],
    ids=["pcd", "langevin", "tempered"],
)
def test_chains_go_on_and_come_back_from_a_saved_state_before_training_began(make: Callable[[], Persistent]) -> None:
    objective, rbm = make(), RBM(Gaussian(5), Bernoulli(3))
    work = prepared(objective, rbm)
    before = objective.chain.clone()
    with torch.no_grad():
        assert objective.negative(work, 4, Generator().manual_seed(2)) == 7
    assert not torch.equal(objective.chain, before)
    fresh = make()
    fresh.load_state_dict(objective.state_dict())  # of another size than the empty chain
    fresh.begin(rbm, Generator().manual_seed(9))
    assert torch.equal(fresh.chain, objective.chain), "a restored chain is left as it is"


def test_means_and_draws_of_the_reconstruction() -> None:
    rbm = RBM(Gaussian(2000), Bernoulli(3), std=0.0)
    for sampled, variance in ((False, 0.0), (True, 1.0)):
        objective = CD(1, sample_visible=sampled)
        work = prepared(objective, rbm)
        with torch.no_grad():
            objective.negative(work, 4, Generator().manual_seed(2))
        assert float(work.visible[4:].var()) == pytest.approx(variance, abs=0.05)
        assert (objective.one_sweep_means(work, 4) is None) != sampled


def test_every_data_row_weighs_one_and_all_chains_together_as_much() -> None:
    rbm = RBM(Bernoulli(5), Bernoulli(3))
    objective = PCD(1, 10)
    work = prepared(objective, rbm)
    signs, ones = objective.weigh_(work, work.hidden.fill_(1.0), 4, 10)
    assert signs.tolist() == pytest.approx([1.0] * 4 + [-0.4] * 10) and ones.tolist() == [1.0] * 14
    assert float(work.hidden.sum()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.filterwarnings("ignore:for chain. copying from a non-meta parameter")
def test_restored_chains_stay_on_the_device_of_the_training() -> None:
    saved = PCD(1, 4)
    saved.chain = torch.ones(4, 3)
    going_on = PCD(1, 4).to("meta")
    going_on.load_state_dict(saved.state_dict())
    assert going_on.chain.device.type == "meta" and going_on.chain.shape == (4, 3)


@pytest.mark.parametrize("objective", [PCD(1, 5), Langevin(1, 5)], ids=["pcd", "langevin"])
def test_chains_that_nothing_holds_are_refused(objective: Objective) -> None:
    with pytest.raises(ValueError, match="between gaussian and rectified units can run away"):
        objective.check(RBM(Gaussian(3), ReLU(2)))
    for visible, hidden in ((Gaussian(3), Bernoulli(2)), (Bernoulli(3), ReLU(2))):
        refuse_unbounded(visible, hidden)
