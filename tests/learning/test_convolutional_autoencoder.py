"""The convolutional denoising autoencoder: learns, resumes to the bit, and starts at the scale of its input."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from scanprior.energy.velocity import Diverged
from scanprior.learning.convolutional_autoencoder import ConvolutionalAutoencoder, ConvolutionalDenoisingStepper
from scanprior.learning.network import conv_layers, conv_network

SIZE = (7, 7, 5)


def net(seed: int = 1) -> ConvolutionalAutoencoder:
    return ConvolutionalAutoencoder(conv_layers(SIZE, 4), Generator().manual_seed(seed))


def smooth(n: int) -> torch.Tensor:
    """Mixtures of three smooth patterns."""
    generator = Generator().manual_seed(2)
    patterns = torch.nn.functional.avg_pool3d(torch.randn(3, 1, 10, 10, 8, generator=generator), 4, stride=1)
    patches = torch.einsum("nk,kcxyz->ncxyz", torch.randn(n, 3, generator=generator), patterns)
    return patches / patches.std()


def test_it_has_the_networks_convolutions_and_gives_back_the_patch_s_shape():
    model, v = net(), smooth(3)
    network = conv_network(SIZE, 3, width=4, dropout=0.0)
    expected = [layer.weight.shape for layer in network if isinstance(layer, torch.nn.Conv3d)]
    assert [layer.weight.shape for layer in model.up] == expected
    assert model(v).shape == v.shape and model.encode(v).shape == (3, 16, 1, 1, 1)
    assert 0.2 < float(model(smooth(200)).detach().std()) < 5, "the start neither dies out nor explodes"


def test_it_learns_to_give_back_what_it_has_not_seen():
    model, data = net(), smooth(500)
    stepper = ConvolutionalDenoisingStepper(model, steps=400, seed=3, learning_rate=5e-3)
    torch.rand(1)
    state = torch.get_rng_state()
    order = torch.randint(450, (400, 32), generator=Generator().manual_seed(4))
    stats = stepper.block(data[rows] for rows in order)
    assert torch.equal(state, torch.get_rng_state()), "the global generator was used"
    unseen = data[450:]
    error = float((model(unseen) - unseen).square().mean().detach())
    assert error < 0.6 and float(stats.reconstruction) < 0.6  # 1: the mean


def test_restored_from_its_state_it_goes_on_with_the_same_bits():
    data = smooth(60).view(6, 10, 1, *SIZE)
    make = lambda: ConvolutionalDenoisingStepper(net(), steps=6, seed=4)  # noqa: E731
    whole, first, second = make(), make(), make()
    whole.block(data)
    first.block(data[:3])
    second.load_state_dict(first.state_dict())
    second.block(data[3:])
    for one, two in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_a_run_that_diverges_stops_with_a_diagnosis():
    stepper = ConvolutionalDenoisingStepper(net(), steps=10, seed=0)
    with pytest.raises(Diverged, match="not standardised"):
        stepper.block([torch.full((4, 1, *SIZE), float("inf"))])


def test_the_rate_rises_and_falls_to_nothing():
    stepper = ConvolutionalDenoisingStepper(net(), steps=1000, seed=0)
    rates = [stepper.rate(step / 1000) for step in range(1000)]
    assert 0 < rates[0] < 0.1 and max(rates) == pytest.approx(1.0, abs=0.01) and rates[-1] < 1e-4
    assert sorted(rates[20:], reverse=True) == rates[20:]
