"""The half-steps that write into preallocated tensors agree with the machine's own, whatever its units and offsets."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax, Units
from scanprior.energy.workspace import Workspace

PAIRS: list[tuple[Units, Units]] = [
    (Bernoulli(6), Bernoulli(4)),
    (Gaussian(6, learn_variance=True), ReLU(4)),
    (Softmax(2, 3), Gaussian(4, learn_variance=True)),
]


def machine(visible: Units, hidden: Units, *, centered: bool) -> RBM:
    rbm, generator = RBM(visible, hidden, centered=centered).double(), Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in rbm.state_dict().items():
            if centered or "offset" not in name:
                tensor.normal_(0, 0.5, generator=generator)
    return rbm


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("visible", "hidden"), PAIRS)
def test_means_up_and_down_are_the_machine_s(visible: Units, hidden: Units, centered: bool) -> None:
    rbm, generator = machine(visible, hidden, centered=centered), Generator().manual_seed(1)
    work = Workspace(rbm, 5, 2)
    v = torch.rand(5, 6, dtype=torch.float64, generator=generator)
    h = torch.rand(5, 4, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        up = work.up_(work.show_visible_(v.clone()), work.hidden[:5], draw=None, generator=generator)
        torch.testing.assert_close(up, rbm.hidden.mean(rbm.hidden_field(v)))
        down = work.down_(work.show_hidden_(h.clone()), work.visible[:5], sample=False, generator=generator)
        torch.testing.assert_close(down, rbm.visible.mean(rbm.visible_field(h)))


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("visible", "hidden"), PAIRS)
def test_states_come_back_from_what_the_weights_see(visible: Units, hidden: Units, centered: bool) -> None:
    rbm = machine(visible, hidden, centered=centered)
    v = torch.rand(3, 6, dtype=torch.float64)
    work = Workspace(rbm, 3, 3)
    with torch.no_grad():
        torch.testing.assert_close(work.visible_states(work.show_visible_(v.clone())), v)


def test_a_draw_keeps_the_means_it_was_drawn_around() -> None:
    rbm = machine(Gaussian(6), Bernoulli(4), centered=True)
    work, generator = Workspace(rbm, 2000, 2000), Generator().manual_seed(1)
    shown = torch.ones(1, 4, dtype=torch.float64).expand(2000, -1)
    with torch.no_grad():
        drawn = work.down_(shown, work.visible[:2000], sample=True, generator=generator)
        means = work.total_visible[:2000]
    torch.testing.assert_close(drawn.mean(0), means[0], rtol=0, atol=0.1)
    assert float((drawn - means).std()) > 0.1 and float(means.std(0).max()) < 1e-12
