"""On a GPU: the same numbers as on a processor where nothing is drawn, the same bits from the same seeds, and resume."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Generator

from scanprior.energy.dbn import DBN
from scanprior.energy.finetune import FineTuner
from scanprior.energy.likelihood import ais, log_likelihood, log_partition_exact
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.tempering import Tempered
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
GPU = torch.device("cuda")


def stripes(n: int = 400) -> torch.Tensor:
    """Rows of four bits that are on or off together, 12 bits in all, with a tenth of the bits flipped."""
    generator = Generator().manual_seed(1)
    data = torch.randint(0, 2, (n, 3), generator=generator).repeat_interleave(4, 1)
    return (data ^ (torch.rand(n, 12, generator=generator) < 0.1)).float()


def machine(visible: type = Bernoulli, hidden: type = Bernoulli) -> RBM:
    return RBM(visible(12), hidden(8), std=0.3, generator=Generator().manual_seed(3))


def trained(rbm: RBM, objective: CD | PCD | Tempered, data: torch.Tensor, *, epochs: int = 60) -> RBM:
    rbm, data = rbm.to(GPU), data.to(GPU)
    fit_rbm(rbm, data, epochs=epochs, generator=Generator(GPU).manual_seed(2), objective=objective, batch_size=20)
    return rbm


def test_what_is_not_drawn_equals_the_processors():
    data, here = stripes(), machine()
    there = machine().to(GPU)
    for name in ("free_energy", "hidden_field"):
        ours, theirs = getattr(here, name)(data), getattr(there, name)(data.to(GPU)).cpu()
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert log_partition_exact(there) == pytest.approx(log_partition_exact(here), abs=1e-6)


@pytest.mark.parametrize("objective", [CD(1), PCD(1, 50), Tempered(4, 20)], ids=["cd1", "pcd1", "tempered"])
def test_it_learns_as_well_as_on_a_processor(objective):
    data, here = stripes(), machine()
    fit_rbm(here, data, epochs=60, generator=Generator().manual_seed(2), objective=objective, batch_size=20)
    there = trained(machine(), objective, data)
    ours = float(log_likelihood(here, data, log_partition_exact(here)).mean())
    theirs = float(log_likelihood(there, data.to(GPU), log_partition_exact(there)).mean())
    assert theirs == pytest.approx(ours, abs=0.25)


@pytest.mark.parametrize(("visible", "hidden"), [(Bernoulli, Bernoulli), (Gaussian, ReLU)])
def test_the_same_seeds_give_the_same_bits(visible, hidden):
    first, again = (trained(machine(visible, hidden), CD(1), stripes(), epochs=5) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_goes_on_where_it_was_and_nowhere_else():
    data = stripes().to(GPU)
    rows = torch.arange(400, device=GPU).view(20, 20)

    def stepper() -> Stepper:
        return Stepper(machine().to(GPU), PCD(1, 50), batch_size=20, steps=40, seed=5, learning_rate=0.1)

    whole = stepper()
    whole.block(data, rows)
    saved = {
        name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in whole.state_dict().items()
    }
    whole.block(data, rows)
    later = stepper()
    later.load_state_dict(saved)
    later.block(data, rows)
    assert torch.equal(later.rbm.weight, whole.rbm.weight)
    elsewhere = Stepper(machine(), PCD(1, 50), batch_size=20, steps=40, seed=5, learning_rate=0.1)
    elsewhere.load_state_dict(saved)
    with pytest.raises(ValueError, match="another kind of device"):
        elsewhere.block(data.cpu(), rows.cpu())


def test_annealing_finds_the_exact_partition_function():
    data = stripes()
    rbm = trained(machine(), CD(1), data)
    found = ais(rbm, generator=Generator(GPU).manual_seed(7), chains=200, data=data.to(GPU))
    assert found.mean == pytest.approx(log_partition_exact(rbm), abs=0.1)


def test_products_in_bfloat16_learn_too():
    data = stripes().to(GPU)
    rbm = machine().to(GPU)
    stepper = Stepper(rbm, CD(1), batch_size=20, steps=400, seed=5, learning_rate=0.1, bfloat16=True)
    errors = [float(stepper.block(data, torch.arange(400, device=GPU).view(20, 20)).reconstruction) for _ in range(20)]
    assert errors[-1] < 0.8 * errors[0]


def test_fine_tuning_repeats_itself_with_dropout():
    data = stripes().to(GPU)
    targets = data[:, 0].long()

    def tuned() -> torch.Tensor:
        network = DBN([machine()]).classifier(2, generator=Generator().manual_seed(1), dropout=0.5).to(GPU)
        tuner = FineTuner(network, torch.nn.functional.cross_entropy, epochs=3, rows=400, seed=4)
        for _ in range(3):
            tuner.epoch(data, targets)
        return network[0].weight.detach()

    assert torch.equal(tuned(), tuned())
