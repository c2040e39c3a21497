"""Two processes that train one machine together: the mean of their updates, the same bits, chains of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scanprior.energy.replicas import average_, share

STEPS = """
import sys
from pathlib import Path
import torch
from torch import distributed
from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import ConvolutionalStepper
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.replicas import share, together
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Bernoulli, Gaussian

torch.set_num_threads(1)
place, folder = int(sys.argv[1]), Path(sys.argv[2])
data = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
sparse = Schedule(sparsity=0.2)


def dense(objective, centered, seed):
    rbm = RBM(Gaussian(16, learn_variance=True), Bernoulli(5), centered=centered, std=0.3)
    return Stepper(rbm, objective, batch_size=8, steps=20, seed=seed, learning_rate=0.1, schedule=sparse), data.flatten(1)


def convolutional(objective, centered, seed):
    rbm = ConvolutionalRBM(Gaussian(1), Bernoulli(3), size=(4, 4), kernel=(2, 2), centered=centered, std=0.3)
    return ConvolutionalStepper(rbm, objective, steps=20, seed=seed, learning_rate=0.1, schedule=sparse), data


WAYS = {
    "cd": lambda centered, seed: dense(CD(1, sample_visible=True), centered, seed),
    "pcd": lambda centered, seed: dense(PCD(1, 6), centered, seed),
    "convolutional": lambda centered, seed: convolutional(CD(1), centered, seed),
}
found = {}
for name, make in WAYS.items():  # what each would do alone, from the same start: before the processes know of each other
    stepper, rows = make(False, 7 + place)
    stepper.block([rows[place::2]])
    found[name, "alone"] = stepper.rbm.state_dict()
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=place, world_size=2)
if place == 0:  # would wait for the other
    stepper, rows = make(False, 7)
    stepper.block([rows])
with together():
    for name, make in WAYS.items():
        for centered, steps, kept in ((False, 1, "one"), (True, 15, "many")):
            stepper, rows = make(centered, 7)
            stepper.block([share(rows)] * steps)
            found[name, kept] = stepper.rbm.state_dict()
            found[name, kept, "generator"] = stepper.generator.get_state()
torch.save(found, folder / f"{place}.pt")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, ...], dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("replicas")
    arguments = [[sys.executable, "-c", STEPS, str(place), str(folder)] for place in (0, 1)]
    processes = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in arguments]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return [torch.load(Path(folder) / f"{place}.pt", weights_only=True) for place in (0, 1)]


@pytest.mark.parametrize("way", ["cd", "pcd", "convolutional"])
def test_an_update_together_is_the_mean_of_those_alone(found, way):
    for name, together in found[0][way, "one"].items():
        alone = [process[way, "alone"][name] for process in found]
        torch.testing.assert_close(together, (alone[0] + alone[1]) / 2, rtol=1e-5, atol=1e-6)
    weights = [process[way, "alone"]["weight"] for process in found]
    assert not torch.allclose(weights[0], weights[1], rtol=1e-3)


@pytest.mark.parametrize("way", ["cd", "pcd", "convolutional"])
def test_processes_keep_the_same_bits_and_draw_their_own_numbers(found, way):
    for name, value in found[0][way, "many"].items():
        assert torch.equal(value, found[1][way, "many"][name]), name
    assert not torch.equal(found[0][way, "many"]["weight"], found[0][way, "one"]["weight"])
    assert not torch.equal(found[0][way, "many", "generator"], found[1][way, "many", "generator"])


def test_a_process_alone_has_everything_and_averages_nothing(monkeypatch):
    rows = torch.arange(7)
    before = rows.float()
    average_(before)
    assert torch.equal(share(rows), rows) and torch.equal(before, rows.float())
    for size, expected in ((2, [[0, 2, 4, 6], [1, 3, 5, 0]]), (3, [[0, 3, 6], [1, 4, 0], [2, 5, 1]])):
        for place in range(size):
            monkeypatch.setattr("scanprior.energy.replicas.replicas", lambda place=place, size=size: (place, size))
            assert share(rows).tolist() == expected[place]
    monkeypatch.setattr("scanprior.energy.replicas.replicas", lambda: (4, 5))
    assert share(rows[:2]).tolist() == [0]
