"""The saved prior: the same bytes each time, the same features in a fresh process, clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import Generator

from scanprior.energy.dbn import DBN
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
from scanprior.errors import ScanpriorError
from scanprior.learning.prior import Prior, load_prior, save_prior


def make_prior(hidden=ReLU) -> Prior:
    above = Gaussian(6) if hidden is ReLU else Bernoulli(6)
    dbn = DBN([RBM(Gaussian(27), hidden(6)), RBM(above, hidden(4))])
    generator = Generator().manual_seed(1)
    for tensor in dbn.state_dict().values():
        tensor.normal_(0, 0.3, generator=generator)
    return Prior(dbn, mean=torch.linspace(-1, 1, 27), std=torch.linspace(0.5, 2, 27), patch_size=(3, 3, 3))


@pytest.mark.parametrize("hidden", [ReLU, Bernoulli])
def test_saved_and_loaded_it_gives_the_same_features(tmp_path, hidden):
    prior, patches = make_prior(hidden), torch.randn(5, 27)
    save_prior(prior, tmp_path / "prior", {"study": "small"})
    again = load_prior(tmp_path / "prior")
    assert torch.equal(again.encode(patches), prior.encode(patches))
    assert again.encode(patches).shape == (5, 4)
    assert again.hidden == hidden.kind and again.patch_size == (3, 3, 3) and again.sizes == (27, 6, 4)
    assert torch.equal(again.reconstruct(patches), prior.reconstruct(patches))


def test_the_same_prior_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_prior(make_prior(), tmp_path / name, {"study": "small", "patients": 3})
    for file in ("prior.safetensors", "card.json", "model_card.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_cards_tell_what_it_is_and_what_it_saw(tmp_path):
    facts = {"study": "small", "scope": "transductive", "patients": 3, "simulated": True, "training": {"epochs": 2}}
    save_prior(make_prior(), tmp_path, facts)
    card = json.loads((tmp_path / "card.json").read_text())
    assert (
        card["patients"] == 3
        and card["patch_size"] == [3, 3, 3]
        and card["layers"][1]["hidden"] == {"kind": "rectified", "size": 4}
    )
    text = (tmp_path / "model_card.md").read_text()
    for expected in ("ALL patients", "simulated", "27 - 6 - 4", "epochs: 2", "load_prior"):
        assert expected in text


def test_it_loads_in_a_fresh_process_without_the_pipeline(tmp_path):
    prior, patches = make_prior(), torch.linspace(-1, 1, 54).view(2, 27)
    save_prior(prior, tmp_path, {})
    code = (
        "import sys, torch, scanprior\n"
        f"prior = scanprior.load_prior({str(tmp_path)!r})\n"
        "print(prior.encode(torch.linspace(-1, 1, 54).view(2, 27)).sum().item())\n"
        "heavy = {'pytorch_lightning', 'lightning', 'snakemake', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(prior.encode(patches).sum().item(), rel=1e-6)


def test_what_is_no_prior_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ScanpriorError, match="no prior here"):
        load_prior(tmp_path)
    with pytest.raises(ScanpriorError, match="no prior here"):
        load_prior(tmp_path / "nothing")
    (tmp_path / "prior.safetensors").write_bytes(b"not a prior at all")
    with pytest.raises(ScanpriorError, match="not a prior that scanprior wrote"):
        load_prior(tmp_path)
    save_file({"weight": torch.zeros(2)}, tmp_path / "prior.safetensors")
    with pytest.raises(ScanpriorError, match="not a prior that scanprior wrote"):
        load_prior(tmp_path / "prior.safetensors")


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("scanprior.learning.prior.FORMAT_VERSION", 2)
    save_prior(make_prior(), tmp_path, {})
    monkeypatch.undo()
    with pytest.raises(ScanpriorError, match="format version 2"):
        load_prior(tmp_path)


def test_normaliser_must_fit_the_net():
    with pytest.raises(ValueError, match="27 visible units"):
        Prior(make_prior().dbn, mean=torch.zeros(8), std=torch.ones(8), patch_size=(2, 2, 2))


def test_samples_come_in_the_intensities_of_the_patches():
    prior = make_prior()
    prior.mean.fill_(100.0)
    samples = prior.generate(4, Generator().manual_seed(0), sweeps=3)
    assert samples.shape == (4, 27) and abs(float(samples.mean()) - 100) < 20
    started = prior.generate(2, Generator().manual_seed(0), sweeps=1, start=torch.full((2, 27), 100.0))
    assert started.shape == (2, 27)
