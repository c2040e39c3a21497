"""Training steps of other packages beside ours, like for like and in turn: `python benchmarks/energy/peers.py [rounds]`.

Install them into an environment of their own that sees this project's (`benchmarks/requirements.txt` says how). Every row trains
the same machine on the same 2,000 rows in mini-batches of 100, float32, one thread, process time; ratios are medians over the
rounds. What each package's own training does besides the step is left out where it can be (rbms writes a file in every update),
and both sides sample what the package samples. The time is all that is compared: several of them make a different, biased
update. Ours is timed in float32, as theirs, and with bfloat16 products where the processor has them. Theirs is also
told in units of the step's five matrix products alone, which no step in float32 can be much faster than. PyDeep's machines
are asked for in float32; its hidden biases and learning rates, and what it draws for Gaussian units, are float64 all the same, so NumPy
calculates much of a step in that. One row gives it the biases and rates in float32. The project's issue 8 asks for 1.6 x scikit-learn,
2.4 x rbms and 3 x learnergy and PyDeep.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common import bf16_here, record
from step_speed import five
from torch import Generator, Tensor
from torch.utils.data import TensorDataset

from scanprior.energy.objectives import CD, PCD, Objective
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Bernoulli, Gaussian, Units

BATCH, BATCHES = 100, 20
SMALL, LARGE = (784, 500), (2197, 600)
PLAIN = Schedule(momentum=0.0, final_momentum=0.0, weight_decay=0.0)
Run = Callable[[], object]


class Row(NamedTuple):
    """One package's way to train, ours for the same, and the wanted ratio."""

    package: str
    theirs: Callable[[], Run]
    ours: Callable[[bool], Run]
    """with bfloat16 products or not"""
    target: float
    shape: tuple[int, int] = SMALL


def bits(shape: tuple[int, int]) -> Tensor:
    """Binary rows."""
    return (torch.rand(BATCH * BATCHES, shape[0], generator=Generator().manual_seed(0)) < 0.3).float()


def voxels(shape: tuple[int, int]) -> Tensor:
    """Standardised rows."""
    return torch.randn(BATCH * BATCHES, shape[0], generator=Generator().manual_seed(0))


def ours(
    visible: Units, hidden: int, objective: Objective, data: Tensor, *, bfloat16: bool, centered: bool = False
) -> Run:
    """A block of as many mini-batches."""
    stepper = Stepper(
        RBM(visible, Bernoulli(hidden), centered=centered), objective, batch_size=BATCH, steps=10**9, seed=0,
        learning_rate=1e-4, schedule=PLAIN, bfloat16=bfloat16,
    )  # fmt: skip
    rows = torch.arange(len(data)).view(BATCHES, BATCH)
    return lambda: stepper.block(data, rows)


def scikit_learn() -> Run:
    """`_fit` alone: `fit` would begin anew, `partial_fit` goes to float64."""
    from sklearn.neural_network import BernoulliRBM

    data = bits(SMALL).numpy()
    rbm = BernoulliRBM(SMALL[1], learning_rate=1e-4, batch_size=BATCH, n_iter=1, random_state=0).fit(data[:BATCH])
    rng = np.random.RandomState(0)
    return lambda: [rbm._fit(batch, rng) for batch in np.split(data, BATCHES)]


def rbms(centered: bool) -> Run:
    """One update as its `train` makes it, without what it writes to its file."""
    dataset_class, machine = (
        import_module("rbms.dataset.dataset_class"),
        import_module("rbms.bernoulli_bernoulli.classes"),
    )
    fit_batch = import_module("rbms.training.pcd").fit_batch_pcd
    data = bits(SMALL)
    dataset = dataset_class.RBMDataset(
        data=data.numpy(), labels=np.zeros(len(data)), weights=np.ones(len(data)), names=np.arange(len(data)),
        dataset_name="bits", is_binary=True, device="cpu",
    )  # fmt: skip
    params = machine.BBRBM.init_parameters(SMALL[1], dataset, torch.device("cpu"), torch.float32)
    chains = params.init_chains(BATCH)
    for parameter in params.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.SGD(params.parameters(), lr=1e-4, maximize=True)

    @torch.no_grad()
    def run() -> None:
        nonlocal chains
        for batch in data.split(BATCH):
            optimizer.zero_grad(set_to_none=False)
            weights = torch.ones(len(batch), 1)
            chains, _ = fit_batch((batch, weights), chains, params, gibbs_steps=1, beta=1.0, centered=centered)
            optimizer.step()

    return run


def boltzmann9() -> Run:
    """`cd_step`, which is persistent."""
    made = import_module("boltzmann9.model")
    rbm = made.RBM({"visible_blocks": {"v": SMALL[0]}, "hidden_blocks": {"h": SMALL[1]}})
    data = bits(SMALL)

    @torch.no_grad()
    def run() -> None:
        for batch in data.split(BATCH):
            rbm.cd_step(batch, lr=1e-4)

    return run


def learnergy(path: str, name: str, shape: tuple[int, int], data: Tensor) -> Run:
    """`fit` for one epoch: it has nothing smaller."""
    made = getattr(import_module(path), name)(n_visible=shape[0], n_hidden=shape[1], learning_rate=1e-4)
    dataset = TensorDataset(data, torch.zeros(len(data)))
    return lambda: made.fit(dataset, batch_size=BATCH, epochs=1)


def pydeep(name: str, shape: tuple[int, int], data: Tensor, *, single: bool = False) -> Run:
    """`CD.train` for one epoch: centered, its offsets following the data, visible units drawn; `single`: all in float32."""
    rows = data.numpy()
    own = {"initial_hidden_bias": 0.0} if single else {}
    rbm = getattr(import_module("pydeep.rbm.model"), name)(
        *shape, data=rows, initial_weights=0.01, dtype=np.float32, **own
    )
    training, batches = import_module("pydeep.rbm.trainer").CD(rbm, rows), np.split(rows, BATCHES)
    if not single:
        return lambda: training.train(batches, epsilon=1e-4)
    rates, momenta = np.full(4, 1e-4, np.float32), np.zeros(4, np.float32)
    return lambda: training.train(batches, epsilon=rates, momentum=momenta)


def table() -> dict[str, Row]:
    """Name to row."""
    small, large = SMALL[1], LARGE[1]
    pcd, sampled = (lambda: PCD(1, BATCH)), (lambda: CD(1, sample_visible=True))
    gaussian = "learnergy.models.gaussian.gaussian_rbm"
    return {
        "PCD-1 784x500, scikit-learn": Row(
            "scikit-learn", scikit_learn, lambda fast: ours(Bernoulli(784), small, pcd(), bits(SMALL), bfloat16=fast), 1.6
        ),
        "PCD-1 784x500, boltzmann9": Row(
            "boltzmann9", boltzmann9, lambda fast: ours(Bernoulli(784), small, pcd(), bits(SMALL), bfloat16=fast), 1.0
        ),
        "PCD-1 784x500, rbms": Row(
            "rbms", lambda: rbms(False), lambda fast: ours(Bernoulli(784), small, pcd(), bits(SMALL), bfloat16=fast), 2.4
        ),
        "PCD-1 784x500 centered, rbms": Row(
            "rbms", lambda: rbms(True), lambda fast: ours(Bernoulli(784), small, pcd(), bits(SMALL), bfloat16=fast, centered=True), 2.4
        ),
        "CD-1 784x500, learnergy": Row(
            "learnergy", lambda: learnergy("learnergy.models.bernoulli.rbm", "RBM", SMALL, bits(SMALL)),
            lambda fast: ours(Bernoulli(784), small, sampled(), bits(SMALL), bfloat16=fast), 3.0,
        ),
        "CD-1 2197x600 Gaussian, learnergy (means: it never samples)": Row(
            "learnergy", lambda: learnergy(gaussian, "GaussianRBM", LARGE, voxels(LARGE)),
            lambda fast: ours(Gaussian(2197), large, CD(1), voxels(LARGE), bfloat16=fast), 3.0, LARGE,
        ),
        "CD-1 2197x600 learned variance, learnergy": Row(
            "learnergy", lambda: learnergy(gaussian, "VarianceGaussianRBM", LARGE, voxels(LARGE)),
            lambda fast: ours(Gaussian(2197, learn_variance=True), large, sampled(), voxels(LARGE), bfloat16=fast), 3.0, LARGE,
        ),
        "CD-1 784x500 centered, PyDeep": Row(
            "PyDeep", lambda: pydeep("BinaryBinaryRBM", SMALL, bits(SMALL)),
            lambda fast: ours(Bernoulli(784), small, sampled(), bits(SMALL), bfloat16=fast, centered=True), 3.0,
        ),
        "CD-1 784x500 centered, PyDeep all in float32": Row(
            "PyDeep", lambda: pydeep("BinaryBinaryRBM", SMALL, bits(SMALL), single=True),
            lambda fast: ours(Bernoulli(784), small, sampled(), bits(SMALL), bfloat16=fast, centered=True), 1.0,
        ),
        "CD-1 2197x600 Gaussian centered, PyDeep": Row(
            "PyDeep", lambda: pydeep("GaussianBinaryRBM", LARGE, voxels(LARGE)),
            lambda fast: ours(Gaussian(2197), large, sampled(), voxels(LARGE), bfloat16=fast, centered=True), 3.0, LARGE,
        ),
        "CD-1 2197x600 learned variance centered, PyDeep": Row(
            "PyDeep", lambda: pydeep("GaussianBinaryVarianceRBM", LARGE, voxels(LARGE)),
            lambda fast: ours(
                Gaussian(2197, learn_variance=True), large, sampled(), voxels(LARGE), bfloat16=fast, centered=True
            ), 3.0, LARGE,
        ),
    }  # fmt: skip


def main(rounds: int) -> None:
    """Print and record the ratios theirs / ours."""
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, row in table().items():
        try:
            installed = version(row.package)
        except ModuleNotFoundError:
            print(f"{name}: {row.package} is not installed here; see benchmarks/requirements.txt", flush=True)
            continue
        runs: dict[str, Run] = {"theirs": row.theirs(), "five": five(*row.shape), "float32": row.ours(False)}
        if bf16_here():
            runs["bfloat16"] = row.ours(True)
        times: dict[str, list[float]] = {side: [] for side in runs}
        for number in range(rounds + 1):
            for side, run in runs.items():
                began = time.process_time()
                run()
                if number:
                    times[side].append(time.process_time() - began)
        figures[name] = {"version": installed, "target": row.target}
        for side in list(runs)[1:]:
            ratio = statistics.median(a / b for a, b in zip(times["theirs"], times[side], strict=True))
            figures[name]["theirs / " + ("five products" if side == "five" else f"ours in {side}")] = round(ratio, 2)
        print(name, figures[name], flush=True)
    record("peers", settings={"rounds": rounds, "batch": BATCH}, figures=figures, targets={})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
