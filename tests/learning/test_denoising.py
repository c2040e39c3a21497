"""The denoising step: it learns to fill in, goes on bit for bit, and stops when it diverges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Units
from scanprior.energy.velocity import Diverged
from scanprior.learning.denoising import MASKED, DenoisingStepper


def rows(n: int = 300) -> Tensor:
    """Twelve columns in three groups of four that are equal, so that a missing one can be told from the others."""
    return torch.randn(n, 3, generator=Generator().manual_seed(1)).repeat_interleave(4, 1)


def stepper(visible: Units, hidden: Units, *, steps: int = 300, learning_rate: float = 0.01) -> DenoisingStepper:
    rbm = RBM(visible, hidden, centered=False, std=12**-0.5)
    return DenoisingStepper(rbm, steps=steps, seed=3, learning_rate=learning_rate)


@pytest.mark.parametrize("hidden", [ReLU, Bernoulli])
def test_it_learns_to_fill_in_what_is_missing(hidden: type[Units]) -> None:
    data = rows()
    one = stepper(Gaussian(12), hidden(12))

    def missing() -> float:
        kept = torch.rand(300, 12, generator=Generator().manual_seed(7)).ge(MASKED)
        with torch.no_grad():
            again = one.rbm.visible.mean(one.rbm.visible_field(one.rbm.hidden.mean(one.rbm.hidden_field(data * kept))))
        return float((again - data)[~kept].square().mean())

    before = missing()
    for _ in range(30):
        one.block(data.split(30))
    assert missing() < 0.5 * before and one.step == 300


def test_it_goes_on_from_its_state_bit_for_bit(tmp_path: Path) -> None:
    batches = list(rows().split(30))
    whole, first, second = (stepper(Bernoulli(12), ReLU(5), steps=10) for _ in range(3))
    data = [batch.sigmoid() for batch in batches]
    whole.block(data)
    first.block(data[:4])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.block(data[4:])
    for name, tensor in whole.rbm.state_dict().items():
        assert torch.equal(tensor, second.rbm.state_dict()[name]), name


def test_a_loss_that_is_not_finite_stops_it() -> None:
    with pytest.raises(Diverged, match="by step 1"):
        stepper(Gaussian(12), ReLU(5)).block([torch.full((4, 12), 1e30)])
