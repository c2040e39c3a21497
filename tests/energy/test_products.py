"""Products in bfloat16: close to float32's, good enough to learn from, refused where they would be slow."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from scanprior.energy.likelihood import log_likelihood, log_partition_exact
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.products import BFloat16, Products, require_bfloat16
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli

CPU = torch.device("cpu")


@pytest.fixture
def capable() -> None:
    try:
        require_bfloat16(CPU)
    except ValueError as reason:
        pytest.skip(str(reason))


def stripes() -> torch.Tensor:
    bits = torch.randint(0, 2, (400, 3), generator=Generator().manual_seed(1)).repeat_interleave(4, 1)
    return (bits ^ (torch.rand(400, 12, generator=Generator().manual_seed(2)) < 0.1)).float()


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize("n", [1, 7, 20])
def test_products_agree_to_eight_bits(n):
    generator = Generator().manual_seed(1)
    weight, v, h = (torch.randn(*shape, generator=generator) for shape in ((30, 16), (n, 30), (n, 16)))
    exact, rounded = Products(weight), BFloat16(weight, 20)
    rounded.refresh()
    bias, below = torch.randn(16, generator=generator), torch.randn(30, generator=generator)
    close = {"rtol": 0.02, "atol": 0.06}  # sums of thirty terms of size 1
    up = [one.up(bias, v, torch.empty(n, 16)) for one in (exact, rounded)]
    down = [one.down(below, h, torch.empty(n, 30)) for one in (exact, rounded)]
    outer = [torch.ones(30, 16) for _ in range(2)]
    for one, velocity in zip((exact, rounded), outer, strict=True):
        one.add_outer_(velocity, v, h, beta=0.5, alpha=0.1)
    for precise, rough in (up, down, outer):
        assert not torch.equal(precise, rough)
        torch.testing.assert_close(rough, precise, **close)


@pytest.mark.usefixtures("capable")
def test_a_machine_learns_as_much_as_in_float32():
    data, results = stripes(), {}
    for bfloat16 in (False, True):
        rbm = RBM(Bernoulli(12), Bernoulli(6))
        fit_rbm(
            rbm, data, epochs=60, generator=Generator().manual_seed(2), objective=PCD(1, 50), batch_size=30,
            bfloat16=bfloat16,
        )  # fmt: skip
        results[bfloat16] = float(log_likelihood(rbm, data, log_partition_exact(rbm)).mean())
    assert abs(results[True] - results[False]) < 0.05


@pytest.mark.usefixtures("capable")
def test_training_in_bfloat16_goes_on_bit_for_bit():
    data, rows = stripes(), torch.arange(160).view(16, 10)

    def make() -> Stepper:
        return Stepper(
            RBM(Bernoulli(12), Bernoulli(6)), CD(1), batch_size=10, steps=16, seed=3, learning_rate=0.1, bfloat16=True
        )

    whole, first, second = make(), make(), make()
    whole.block(data, rows)
    first.block(data, rows[:7])
    second.load_state_dict(first.state_dict())
    second.block(data, rows[7:])
    assert torch.equal(whole.rbm.weight, second.rbm.weight)


def test_a_processor_without_it_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(ValueError, match="this cpu has no instructions for them"):
        fit_rbm(RBM(Bernoulli(12), Bernoulli(6)), stripes(), epochs=1, generator=Generator(), bfloat16=True)
    with pytest.raises(ValueError, match="this meta has no instructions"):
        require_bfloat16(torch.device("meta"))
