"""A convolutional prior: the same function after saving, in a fresh process too, and the network that it starts."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Generator

from scanprior.energy.convolutional_dbn import ConvolutionalDBN
from scanprior.learning.convolutional_autoencoder import ConvolutionalAutoencoder
from scanprior.learning.convolutional_prior import ConvolutionalPrior, balance, convolutions_of, machine
from scanprior.learning.kernels import WIDTH
from scanprior.learning.network import conv_layers, conv_network, set_convolutions
from scanprior.learning.prior import load_prior, save_prior

SIZE = (7, 5, 5)
VISIBLE = int(np.prod(SIZE))
LAYERS = conv_layers(SIZE, WIDTH)


def machines() -> ConvolutionalDBN:
    kinds = ("gaussian", "rectified")
    return ConvolutionalDBN([machine(layer, *kinds, std=0.2, seed=number) for number, layer in enumerate(LAYERS)])


def autoencoder() -> ConvolutionalAutoencoder:
    return ConvolutionalAutoencoder(LAYERS, Generator().manual_seed(1))


NETS = {"machines": machines, "autoencoder": autoencoder}


def prior(net: str, **options) -> ConvolutionalPrior:
    return ConvolutionalPrior(
        NETS[net](), mean=torch.tensor(40.0), std=torch.tensor(7.0), patch_size=SIZE, **options
    ).eval()  # fmt: skip


def patches(n: int = 5) -> torch.Tensor:
    return 40 + 7 * torch.randn(n, VISIBLE, generator=Generator().manual_seed(2))


@pytest.mark.parametrize("net", NETS)
def test_saved_and_loaded_it_is_the_same_and_the_same_prior_gives_the_same_bytes(net, tmp_path):
    made = prior(net)
    for name in "ab":
        save_prior(made, tmp_path / name, {"epochs": 3})
    loaded = load_prior(tmp_path / "a")
    assert isinstance(loaded, ConvolutionalPrior) and loaded.generates == made.generates == (net == "machines")
    data = patches()
    for question in ("encode", "reconstruct"):
        assert torch.equal(getattr(loaded, question)(data), getattr(made, question)(data)), question
    assert loaded.encode(data).shape == (5, 4 * WIDTH) and loaded.reconstruct(data).shape == data.shape
    for file in ("prior.safetensors", "card.json", "model_card.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    card = json.loads((tmp_path / "a" / "card.json").read_text())
    assert card["model"] == net and f"{WIDTH} x 5x5x5" in card["summary"]
    assert made.filters(3).shape == (3, 5, 5, 5)


def test_it_loads_in_a_fresh_process_without_the_pipeline(tmp_path):
    made = prior("machines")
    save_prior(made, tmp_path, {})
    code = (
        "import sys, torch, scanprior\n"
        f"prior = scanprior.load_prior({str(tmp_path)!r})\n"
        f"print(prior.encode(torch.linspace(30, 50, {VISIBLE}).view(1, -1)).sum().item())\n"
        "heavy = {'pytorch_lightning', 'lightning', 'snakemake', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(
        made.encode(torch.linspace(30, 50, VISIBLE).view(1, -1)).sum().item(), rel=1e-5
    )


def test_its_features_are_those_of_the_network_before_the_last_layer():
    made = prior("machines")
    network = conv_network(SIZE, 3, width=WIDTH, dropout=0.0)
    set_convolutions(network, made.convolutions())
    data = patches()
    torch.testing.assert_close(network[:-1]((data - 40) / 7), made.encode(data))


@pytest.mark.parametrize("net", NETS)
def test_balancing_changes_no_feature_but_by_a_factor_and_gives_maps_the_scale_of_a_random_start(net):
    made = NETS[net]()
    maps = torch.randn(400, 1, *SIZE, generator=Generator().manual_seed(3))
    plain = ConvolutionalPrior(made, mean=torch.zeros(1), std=torch.ones(1), patch_size=SIZE)
    even = balance(convolutions_of(made), LAYERS, maps)
    balanced = ConvolutionalPrior(made, mean=torch.zeros(1), std=torch.ones(1), patch_size=SIZE, up=even)
    one, other = plain.encode(maps.flatten(1)).detach(), balanced.encode(maps.flatten(1)).detach()
    factors = (other.sum(0) / one.sum(0))[one.sum(0) > 1]
    torch.testing.assert_close(one[:, one.sum(0) > 1] * factors, other[:, one.sum(0) > 1], rtol=1e-3, atol=1e-3)
    total = torch.nn.functional.conv3d(maps, *even[0], stride=LAYERS[0].stride)
    torch.testing.assert_close(total.square().mean((0, 2, 3, 4)), torch.full((WIDTH,), 2.0), rtol=0.02, atol=0)


def test_only_machines_can_be_drawn_from():
    samples = prior("machines").generate(3, Generator().manual_seed(0), sweeps=3, start=patches(3))
    assert samples.shape == (3, VISIBLE) and bool(torch.isfinite(samples).all())
    with pytest.raises(TypeError, match="only machines are a model of the patches"):
        prior("autoencoder").generate(3, Generator().manual_seed(0))


def test_a_net_for_other_patches_is_refused():
    with pytest.raises(ValueError, match=r"sees \(7, 5, 5\) voxels, the patches have \(5, 5, 5\)"):
        ConvolutionalPrior(machines(), mean=torch.zeros(1), std=torch.ones(1), patch_size=(5, 5, 5))
