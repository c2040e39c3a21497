"""Training with bfloat16 products: time against float32's five products, and what it does to the likelihood.

`python benchmarks/energy/bf16.py [rounds]`. One thread, process time, interleaved, medians of the ratios of the rounds. FIVE is that
of step_speed.py, in float32. Then eight machines each (64 x 16, digits 8 x 8 of scikit-learn, PCD-1): exact mean log likelihood
in either precision. Target of the project's issue 8: 0.75 x FIVE, sampled; likelihoods within the noise of the seeds.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from common import record
from sklearn.datasets import load_digits
from step_speed import BATCH, BATCHES, five
from torch import Generator

from scanprior.energy.likelihood import log_likelihood, log_partition_exact
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian


def stepper(visible: int, hidden: int, *, gaussian: bool, sampled: bool, bfloat16: bool):
    """A block of mini-batches of random data."""
    rbm = RBM(Gaussian(visible) if gaussian else Bernoulli(visible), Bernoulli(hidden), centered=False)
    data = torch.rand(5000, visible, generator=Generator().manual_seed(0))
    rows = torch.randint(5000, (BATCHES, BATCH), generator=Generator().manual_seed(1))
    made = Stepper(
        rbm, CD(1, sample_visible=sampled), batch_size=BATCH, steps=10**9, seed=0, learning_rate=1e-4, bfloat16=bfloat16
    )  # fmt: skip
    return lambda: made.block(data, rows) and None


def ratios(rounds: int) -> dict[str, float]:
    """Median of step / FIVE."""
    figures: dict[str, float] = {}
    for visible, hidden, gaussian in ((784, 500, False), (2197, 600, True)):
        runs = {"five": five(visible, hidden)}
        for bfloat16 in (False, True):
            for sampled in (False, True):
                name = f"{visible}x{hidden} {'bfloat16' if bfloat16 else 'float32'} {'sampled' if sampled else 'means'}"
                runs[name] = stepper(visible, hidden, gaussian=gaussian, sampled=sampled, bfloat16=bfloat16)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(rounds + 1):
            for name, run in runs.items():
                began = time.process_time()
                run()
                if number:
                    times[name].append(time.process_time() - began)
        for name in runs:
            if name != "five":
                figures[name] = round(
                    statistics.median(a / b for a, b in zip(times[name], times["five"], strict=True)), 3
                )
    return figures


def likelihoods(seeds: int = 8) -> dict[str, list[float]]:
    """Exact mean log likelihood of the digits, per seed."""
    data = (torch.from_numpy(load_digits().data) >= 8).float()
    figures: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for seed in range(seeds):
        for name in figures:
            rbm = RBM(Bernoulli(64), Bernoulli(16), generator=Generator().manual_seed(seed))
            fit_rbm(
                rbm, data, epochs=100, generator=Generator().manual_seed(seed), objective=PCD(1, 100),
                bfloat16=name == "bfloat16",
            )  # fmt: skip
            figures[name].append(round(float(log_likelihood(rbm, data, log_partition_exact(rbm)).mean()), 3))
    return figures


def main(rounds: int) -> None:
    """Print and record."""
    torch.set_num_threads(1)
    found = likelihoods()
    difference = statistics.mean(found["bfloat16"]) - statistics.mean(found["float32"])
    noise = statistics.stdev(found["float32"])
    record(
        "bf16", settings={"rounds": rounds, "batch": BATCH},
        figures={"step / FIVE in float32": ratios(rounds), "log likelihood": found, "difference of the means": round(difference, 3),
                 "standard deviation over seeds": round(noise, 3)},
        targets={"bfloat16 sampled": 0.75},
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
