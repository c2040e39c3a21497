"""How long one fit and one dense prediction take per arm, and how many hours the full hippocampus study needs.

python benchmarks/learning/fit_speed.py [ARM …]          (needs no data: invented volumes of the real shape; one core)

CPU seconds of one process with one thread, medians. The study: 5 draws × 5 budgets × 4 trials, 60 test scans.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from scanprior.energy.dbn import DBN
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
from scanprior.learning.arm import Setup
from scanprior.learning.bags import Bags
from scanprior.learning.prior import Prior
from scanprior.learning.registry import make_arm
from scanprior.learning.tuning import trial_settings
from scanprior.patches.store import PatchStore

SIZE, LAYERS, SHAPE = (13, 13, 13), (600, 300), (35, 50, 36)
ARMS = ("dbn", "scratch", "mlp", "cnn", "logistic", "pca_logistic", "dbn_bernoulli", "scratch_bernoulli")
# Scans of the training and validation patients and voxels of the region, as found in the study (region_dilation: 3).
BUDGETS = {2: (2, 1, 12_000), 4: (5, 1, 12_000), 8: (9, 3, 12_500), 16: (18, 6, 13_500), 40: (46, 15, 15_000)}
DRAWS, TRIALS, TEST, PER_SCAN = 5, 4, 60, 400


def prior(hidden: str) -> Prior:
    """A prior of the study's sizes, untrained."""
    generator, visible = torch.Generator().manual_seed(0), int(np.prod(SIZE))
    kind, above = (ReLU, Gaussian) if hidden == "rectified" else (Bernoulli, Bernoulli)
    machines = [
        RBM(Gaussian(visible), kind(LAYERS[0]), generator=generator),
        RBM(above(LAYERS[0]), kind(LAYERS[1]), generator=generator),
    ]
    return Prior(DBN(machines), mean=torch.zeros(visible), std=torch.ones(visible), patch_size=SIZE)


def bags(store: PatchStore, scans: int, first: int) -> Bags:
    """`PER_SCAN` patches of some scans with random classes."""
    rng = np.random.default_rng(first)
    rows = np.repeat(np.arange(first, first + scans), PER_SCAN)
    centres = np.stack([rng.integers(0, side, len(rows)) for side in SHAPE], 1)
    return Bags.of_patches(store, rows, centres, rng.integers(0, 3, len(rows)))


def main(names: list[str]) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    store = PatchStore([rng.normal(size=SHAPE).astype(np.float32) for _ in range(61)], SIZE)
    started = time.process_time()
    store.gather(np.zeros(128, int), rng.integers(6, 30, (128, 3)))
    started = time.process_time()
    for _ in range(50):
        store.gather(rng.integers(0, 60, 128), rng.integers(0, 35, (128, 3)))
    print(f"gather: {(time.process_time() - started) / 50 / 1.28 * 1e3:.2f} ms per 100 patches")
    total = 0.0
    for name in names:
        hidden = "bernoulli" if name.endswith("_bernoulli") else "rectified"
        arm = make_arm(name, Setup(3, SIZE, LAYERS, hidden, prior(hidden) if name.startswith("dbn") else None))
        settings = trial_settings(arm.space, 0, lambda *_names: 0)
        row: list[str] = []
        seconds = 0.0
        for budget, (train, valid, voxels) in BUDGETS.items():
            began = time.process_time()
            fit = arm.fit(bags(store, train, 0), bags(store, valid, train), 1, settings=settings)
            fitted = time.process_time() - began
            centres = np.stack([rng.integers(4, side - 4, voxels) for side in SHAPE], 1)
            fit.predictor.dense_logits(store, 0, centres[:100])
            began = time.process_time()
            for scan in range(3):
                fit.predictor.dense_logits(store, scan, centres)
            dense = (time.process_time() - began) / 3
            row.append(f"{budget}: fit {fitted:.1f} s, dense {dense:.2f} s")
            seconds += DRAWS * (TRIALS * fitted + TEST * dense)
        total += seconds
        print(f"{name:18s} {' | '.join(row)}   study {seconds / 60:.1f} min", flush=True)
    print(f"train stage of the hippocampus study: {total / 60:.0f} CPU minutes, {total / 120:.0f} min on 2 cores")


if __name__ == "__main__":
    main(sys.argv[1:] or list(ARMS))
