"""Annealed importance sampling, forwards and backwards, against the exact log Z: `python benchmarks/energy/annealing.py`.

Machines with 16 and 20 hidden units, trained on scikit-learn's 8 x 8 digits (persistent chains, 60 epochs); 400 chains, 5,000
temperatures, 5,000 sweeps from the data to the samples that the reverse begins at. Target of the project's issue 8: 0.1 nat.
"""

from __future__ import annotations

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from common import record
from sklearn.datasets import load_digits
from torch import Generator

from scanprior.energy.likelihood import ais, ladder, log_partition_exact, reverse_ais
from scanprior.energy.objectives import PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli

CHAINS, TEMPERATURES, SWEEPS = 400, 5000, 5000


def errors(hidden: int, seed: int) -> dict[str, float]:
    """Estimated - exact log Z of one machine, with the effective numbers of chains."""
    data = (torch.from_numpy(load_digits().data) >= 8).float()
    rbm = RBM(Bernoulli(64), Bernoulli(hidden), generator=Generator().manual_seed(seed))
    fit_rbm(rbm, data, epochs=60, generator=Generator().manual_seed(seed), objective=PCD(1, 100))
    exact, betas = log_partition_exact(rbm), ladder((1.0, TEMPERATURES))
    starts = rbm.gibbs(data[:CHAINS], SWEEPS, Generator().manual_seed(seed + 1))
    up = ais(rbm, generator=Generator().manual_seed(seed + 2), chains=CHAINS, betas=betas, data=data)
    down = reverse_ais(rbm, starts, generator=Generator().manual_seed(seed + 3), betas=betas, data=data)
    return {
        "exact": round(exact, 3), "ais - exact": round(up.mean - exact, 4), "reverse - exact": round(down.mean - exact, 4),
        "ais ess": round(up.ess, 1), "reverse ess": round(down.ess, 1),
    }  # fmt: skip


def main() -> None:
    """Print and record."""
    torch.set_num_threads(1)
    began = time.process_time()
    figures = {f"{hidden} hidden": errors(hidden, seed=10 * hidden) for hidden in (16, 20)}
    settings = {"chains": CHAINS, "temperatures": TEMPERATURES, "sweeps": SWEEPS}
    record(
        "annealing", settings={**settings, "processor seconds": round(time.process_time() - began)}, figures=figures,
        targets={"each": 0.1},
    )  # fmt: skip


if __name__ == "__main__":
    main()
