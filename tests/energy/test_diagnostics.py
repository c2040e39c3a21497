"""Diagnostics against values known by construction, and what they say about machines that are well and that are not."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from scanprior.energy import diagnostics
from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU


def stripes(n: int = 200, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 2, (n, 3), generator=Generator().manual_seed(seed)).repeat_interleave(4, 1).float()


def test_reconstruction_by_hand_and_by_unit():
    rbm = RBM(Gaussian(3), Bernoulli(2), std=0.0)
    found = diagnostics.reconstruction(rbm, torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]))
    torch.testing.assert_close(found.by_unit, torch.tensor([5.0, 0.0, 2.0]))
    assert float(found.mean) == pytest.approx(7 / 3)


def test_the_free_energy_gap_shows_learning_by_heart():
    data, other = stripes(12, 1), stripes(100, 2)
    noisy = (data + (torch.rand(12, 12, generator=Generator().manual_seed(5)) < 0.2)).remainder(2)
    rbm = RBM(Bernoulli(12), Bernoulli(30))
    before = diagnostics.free_energy_gap(rbm, noisy, other)
    fit_rbm(rbm, noisy, epochs=400, generator=Generator().manual_seed(2), batch_size=4)
    after = diagnostics.free_energy_gap(rbm, noisy, other)
    assert abs(float(before.gap)) < 1.0 and float(after.gap) > 3.0
    assert 0 < float(after.error) < float(after.gap)
    torch.testing.assert_close(after.gap, after.validation - after.train)
    with pytest.raises(NoClosedForm):
        diagnostics.free_energy_gap(RBM(Gaussian(12), ReLU(3)), data, other)


@pytest.mark.parametrize("hidden", [Bernoulli, ReLU])
def test_units_that_say_nothing_are_counted(hidden):
    rbm = RBM(Bernoulli(12), hidden(5), centered=False)
    with torch.no_grad():
        rbm.hidden.bias[0] = -20.0
        if hidden is Bernoulli:
            rbm.hidden.bias[1] = 20.0
        else:
            rbm.hidden.bias[1:] = 1.0
    found = diagnostics.activations(rbm, stripes(), bins=10)
    assert float(found.off) == pytest.approx(0.2)
    assert float(found.saturated) == pytest.approx(0.2 if hidden is Bernoulli else 0.0)
    assert int(found.counts.sum()) == 200 * 5 and len(found.edges) == 11
    assert int(found.counts[0]) >= 200


def test_activations_below_zero_are_counted():
    rbm = RBM(Bernoulli(12), Gaussian(5), centered=False)
    with torch.no_grad():
        rbm.hidden.bias.copy_(torch.tensor([-1.0, -1.0, 0.5, 0.0, 0.25]))
        rbm.weight.zero_()
    found = diagnostics.activations(rbm, stripes(), bins=10)
    assert int(found.counts.sum()) == 200 * 5
    assert (float(found.edges[0]), float(found.edges[-1])) == (-1.0, 0.5)
    assert float(found.off) == pytest.approx(0.2)


def test_maps_are_watched_as_the_units_of_every_place():
    rbm = ConvolutionalRBM(Gaussian(1), ReLU(3), size=(5, 5), kernel=(3, 3), stride=(2, 2), std=0.5)
    with torch.no_grad():
        rbm.hidden.bias[1] = -100.0
    v = torch.randn(40, 1, 5, 5, generator=Generator().manual_seed(0))
    found, means = diagnostics.activations(rbm, v, bins=10), rbm.hidden.mean(rbm.hidden_field(v))
    assert int(found.counts.sum()) == means.numel() and float(found.edges[-1]) == pytest.approx(float(means.max()))
    assert float(found.off) == pytest.approx(1 / 3)
    norms = diagnostics.weight_norms(rbm)
    torch.testing.assert_close(norms.by_hidden, rbm.weight.detach().square().sum((1, 2, 3)).sqrt())
    assert diagnostics.reconstruction(rbm, v).by_unit.shape == (1, 5, 5)


def test_weight_norms_by_hand():
    rbm = RBM(Bernoulli(2), Bernoulli(2))
    with torch.no_grad():
        rbm.weight.copy_(torch.tensor([[3.0, 0.0], [4.0, -1.0]]))
    found = diagnostics.weight_norms(rbm)
    assert found.by_hidden.tolist() == [5.0, 1.0] and float(found.largest) == 4.0
    assert float(found.rms) == pytest.approx((26 / 4) ** 0.5)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_autocorrelation_of_a_process_whose_memory_is_known(keep):
    """x' = keep x + noise: keep^lag, and (1 + keep) / (1 - keep) steps per independent one."""
    generator = Generator().manual_seed(1)
    x, series = torch.randn(200, generator=generator), []
    for _ in range(600):
        series.append(x)
        x = keep * x + (1 - keep**2) ** 0.5 * torch.randn(200, generator=generator)
    found = diagnostics.autocorrelation(torch.stack(series))
    torch.testing.assert_close(found.values[:4], keep ** torch.arange(4, dtype=torch.float64), rtol=0, atol=0.03)
    assert float(found.time) == pytest.approx((1 + keep) / (1 - keep), rel=0.1)
    with pytest.raises(ValueError, match="got 1 sweeps"):
        diagnostics.autocorrelation(torch.zeros(1, 3))


def two_patterns(strength: float) -> tuple[RBM, torch.Tensor]:
    """A machine whose eight visible bits agree with its only hidden one, the more the stronger; both sides weigh the same."""
    rbm = RBM(Bernoulli(8), Bernoulli(1), centered=False, std=0.0)
    with torch.no_grad():
        rbm.weight.fill_(strength)
        rbm.visible.bias.fill_(-strength / 2)
        rbm.hidden.bias.fill_(-4 * strength)
    return rbm, torch.ones(60, 8)


def test_chains_that_mix_forget_where_they_began_and_others_do_not():
    generator = Generator().manual_seed(1)
    found = {}
    for strength in (0.5, 9.0):
        rbm, data = two_patterns(strength)
        data[::2, 0] = 0.0  # rows that differ, so that there is a direction
        found[strength] = diagnostics.chains(rbm, data, 60, generator)
    assert float(found[0.5].distance) < 0.2 and float(found[9.0].distance) > 0.8
    assert found[0.5].from_noise.shape == (60, 8) and found[0.5].activity_from_data.shape == (60, 60)
    fast, slow = (
        float(diagnostics.autocorrelation(torch.cat([one.activity_from_data, one.activity_from_noise], 1)).time)
        for one in found.values()
    )
    assert fast < 5 < slow
    with pytest.raises(ValueError, match="at least 2 sweeps"):
        diagnostics.chains(rbm, data, 1, generator)


def test_filters_are_the_largest_columns_in_shape():
    rbm = RBM(Gaussian(8), ReLU(3), std=0.0)
    with torch.no_grad():
        rbm.weight[3, 1] = 2.0
        rbm.weight[5, 2] = 5.0
    found = diagnostics.filters(rbm, (2, 2, 2), 2)
    assert found.shape == (2, 2, 2, 2) and float(found[0, 1, 0, 1]) == 5.0 and float(found[1, 0, 1, 1]) == 2.0
    with pytest.raises(ValueError, match="27 voxels; the machine sees 8"):
        diagnostics.filters(rbm, (3, 3, 3), 2)
