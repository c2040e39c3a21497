"""Exact log likelihood of MNIST with 16 hidden units, and of its negative: `python benchmarks/energy/mnist16.py`.

Log Z is summed over all 2^16 hidden states. A centered machine must not care which colour the ink has: flipped digits
should come out the same. Targets (the project's issue 8): at least -142.6 nats a test digit, and flipped within 0.7 of it;
annealed importance sampling and its reverse, from the machine's own samples, within 0.1 nat of the exact log Z.
With few chains (--chains 100) the machine keeps a third to four fifths of its probability on hidden states that digits and
chains hardly visit: a nat or two is lost, another amount for every seed, and annealing can't find them either.
PyDeep's documentation has -142.56 for the centered machine, -149.05 (flipped -183.36) for the plain one.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from statistics import fmean

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from common import WORK, binary, digits, once, record, train
from torch import Generator, Tensor

from scanprior.energy.likelihood import ais, ladder, log_likelihood, log_partition_exact, reverse_ais
from scanprior.energy.objectives import PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Bernoulli

SCHEDULE = Schedule(momentum=0.0, final_momentum=0.0, weight_decay=0.0, decay_from=0.3)


def annealing_errors(rbm: RBM, data: Tensor, exact: float, folder: Path) -> dict[str, float]:
    """Estimated - exact log Z, forwards and backwards, of 4 x 100 chains and 14,500 temperatures; 5,000 sweeps to the samples.

    The weights of so few strong hidden units spread widely: a hundred chains count as some twenty.
    """
    betas = ladder((0.5, 500), (0.9, 4000), (1.0, 10_000))
    forwards, backwards = [], []
    for part in range(4):
        seeds = [Generator().manual_seed(10 * part + place) for place in range(4)]
        choice = torch.randperm(len(data), generator=seeds[0])[:100]
        starts = once(folder / f"starts-{part}.pt", lambda c=choice, g=seeds[1]: rbm.gibbs(data[c], 5000, g))
        forwards.append(
            once(folder / f"ais-{part}.pt", lambda g=seeds[2]: ais(rbm, generator=g, betas=betas, data=data).mean)
        )
        backwards.append(
            once(
                folder / f"reverse-{part}.pt",
                lambda s=starts, g=seeds[3]: reverse_ais(rbm, s, generator=g, betas=betas, data=data).mean,
            )
        )
    # Weights are averaged, not their logarithms.
    up, down = torch.tensor(forwards, dtype=torch.float64), torch.tensor(backwards, dtype=torch.float64)
    return {
        "ais - exact": float(up.logsumexp(0)) - math.log(len(up)) - exact,
        "reverse - exact": math.log(len(down)) - float((-down).logsumexp(0)) - exact,
    }


def likelihood(
    name: str, data: Tensor, test: Tensor, *, centered: bool, epochs: int, rate: float, chains: int, seed: int
) -> tuple[RBM, dict[str, float]]:
    """Train one machine; exact mean log likelihood (nats per digit) of both sets."""
    rbm = RBM(Bernoulli(784), Bernoulli(16), centered=centered, generator=Generator().manual_seed(seed))
    rbm.start_from(data.mean(0), data.var(0))
    stepper = Stepper(
        rbm, PCD(1, chains), batch_size=100, steps=epochs * 600, seed=seed, learning_rate=rate, schedule=SCHEDULE
    )  # fmt: skip
    spent = train(stepper, data, epochs=epochs, file=WORK / "mnist16" / f"{name}-{epochs}-{rate}-{chains}-{seed}.pt")
    log_z = log_partition_exact(rbm)
    means = {split: float(log_likelihood(rbm, rows, log_z).mean()) for split, rows in (("train", data), ("test", test))}
    return rbm, {**means, "log z": log_z, "processor_seconds": round(spent["processor"], 1)}


def main() -> None:
    """Print the likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--chains", type=int, default=500)
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="the first one's machine is annealed"
    )
    parser.add_argument("--plain", action="store_true", help="the machine without offsets beside it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data, test = binary(digits("train")[0]), binary(digits("t10k")[0])
    options = {"epochs": given.epochs, "rate": given.rate, "chains": given.chains}
    figures: dict[str, dict[str, float]] = {}
    for seed in given.seeds:
        for name in ("centered", "plain") if given.plain else ("centered",):
            both = {"centered": name == "centered", "seed": seed, **options}
            rbm, found = likelihood(name, data, test, **both)
            flipped = likelihood(f"{name}-flipped", 1 - data, 1 - test, **both)[1]
            figures[f"{name}, seed {seed}"], figures[f"{name}, flipped, seed {seed}"] = found, flipped
            print(f"{name}, seed {seed}: {found['test']:.2f}, flipped {flipped['test']:.2f}", flush=True)
            if "annealing" not in figures:
                folder = WORK / "mnist16" / f"annealing-{given.epochs}-{given.rate}-{given.chains}-{seed}"
                figures["annealing"] = annealing_errors(rbm, data, found["log z"], folder)
    as_is, flipped = (
        [figures[f"centered{kind}, seed {seed}"]["test"] for seed in given.seeds] for kind in ("", ", flipped")
    )
    apart = [abs(one - other) for one, other in zip(as_is, flipped, strict=True)]
    figures["all seeds"] = {
        "worst test": min(as_is + flipped), "mean test": fmean(as_is), "mean test, flipped": fmean(flipped),
        "largest difference": max(apart),
    }  # fmt: skip
    record(
        "mnist16", settings={**options, "seeds": given.seeds, "objective": "PCD(1, chains)", "pixels": "on from one half"},
        figures=figures, targets={"worst test": -142.6, "largest difference": 0.7, "annealing": 0.1},
    )  # fmt: skip


if __name__ == "__main__":
    main()
