"""Pretraining through Lightning, with gathering and logging, against `fit_rbm`: `python benchmarks/energy/lightning_overhead.py`.

The same machine (2197-600, rectified, 10,000 patches of 13^3, mini-batches of 100), an epoch each in turn, process time, one
thread, median ratio of the rounds. Pretraining gathers from a store of volumes, standardises, checks and clips each
mini-batch, logs every block and saves a checkpoint at its end; `fit_rbm` has the standardised patches in memory. The target
of the project's issue 8 is 4 %.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Generator

from scanprior.energy.rbm import RBM
from scanprior.energy.training import Standardiser, fit_rbm
from scanprior.energy.units import Gaussian, ReLU
from scanprior.learning.pretraining import pretrain
from scanprior.patches.store import PatchStore

ROWS, HIDDEN, EPOCHS, ROUNDS = 10_000, 600, 2, 5


def main() -> None:
    """Print the ratio."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    volumes = [rng.normal(size=(40, 50, 40)).cumsum(0).astype(np.float32) for _ in range(20)]
    store = PatchStore(volumes, (13, 13, 13))
    scans, centres = rng.integers(0, 20, ROWS), np.stack([rng.integers(0, side, ROWS) for side in (40, 50, 40)], 1)

    def gather(rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(store.gather(scans[rows.numpy()], centres[rows.numpy()]))

    everything = gather(torch.arange(ROWS))
    data = Standardiser.of(everything)(everything).clamp_(-5, 5)
    ratios: list[float] = []
    logged: list[tuple[int, dict[str, float]]] = []
    for number in range(ROUNDS + 1):
        times: list[float] = []
        for epochs in (
            1 + EPOCHS,
            1,
        ):  # the difference leaves out what is paid once, whatever the length of the training
            started = time.process_time()
            rbm = RBM(Gaussian(data.shape[1]), ReLU(HIDDEN))
            fit_rbm(rbm, data, epochs=epochs, generator=Generator().manual_seed(0))
            times.append(time.process_time() - started)
        for epochs in (1 + EPOCHS, 1):
            with tempfile.TemporaryDirectory() as work:
                started = time.process_time()
                pretrain(
                    gather, ROWS, patch_size=(13, 13, 13), seeds=lambda *names: len(names), work=Path(work),
                    layers=(HIDDEN,), epochs=epochs, log=lambda values, step: logged.append((step, values)),
                )  # fmt: skip
                times.append(time.process_time() - started)
        if number:
            ratios.append((times[2] - times[3]) / (times[0] - times[1]))
    print(f"pretrain / fit_rbm, per epoch: {statistics.median(ratios):.3f} (target 1.04), rounds {sorted(ratios)}")


if __name__ == "__main__":
    main()
