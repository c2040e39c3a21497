"""Two threads against one, by the clock: `python benchmarks/energy/threads.py [rounds]`.

Worker processes that differ in the number of threads and in how OpenMP waits (OMP_WAIT_POLICY), in turn, 60 CD-1 steps of 784 x 500
each time, medians of the ratios to one thread. A thread that spins while it waits takes the core from whoever has work, so that
on a loaded machine two threads can be many times slower than one; importing scanprior before torch makes them sleep. Target of
the project's issue 8: never slower.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import scanprior  # noqa: F401 - before torch, so that it can tell OpenMP how to wait

STEPS = 60
KINDS = {"one": ("1", ""), "two": ("2", ""), "two, spinning": ("2", "ACTIVE")}


def work() -> None:
    """Time a block whenever a line comes in."""
    import torch
    from torch import Generator

    from scanprior.energy.objectives import CD
    from scanprior.energy.rbm import RBM
    from scanprior.energy.step import Stepper
    from scanprior.energy.units import Bernoulli

    data = torch.rand(5000, 784, generator=Generator().manual_seed(0))
    rows = torch.randint(5000, (STEPS, 100), generator=Generator().manual_seed(1))
    stepper = Stepper(
        RBM(Bernoulli(784), Bernoulli(500)),
        CD(1, sample_visible=True),
        batch_size=100,
        steps=10**9,
        seed=0,
        learning_rate=1e-4,
    )
    stepper.block(data, rows)
    for _ in sys.stdin:
        began = time.perf_counter()
        stepper.block(data, rows)
        print(time.perf_counter() - began, flush=True)


def start(threads: str, policy: str) -> subprocess.Popen[str]:
    """A worker with its own environment."""
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    environment.pop("OMP_WAIT_POLICY", None)
    if policy:
        environment["OMP_WAIT_POLICY"] = policy
    return subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--work"], env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def ask(worker: subprocess.Popen[str]) -> float:
    """Seconds of its next block."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def main(rounds: int) -> None:
    """Print and record the ratios."""
    from common import record

    workers = {name: start(*kind) for name, kind in KINDS.items()}
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for number in range(rounds + 1):
        for name, worker in workers.items():
            seconds = ask(worker)
            if number:
                times[name].append(seconds)
    for worker in workers.values():
        worker.communicate()
    figures = {
        f"{name} / one": round(statistics.median(a / b for a, b in zip(times[name], times["one"], strict=True)), 2)
        for name in list(KINDS)[1:]
    }
    load = round(os.getloadavg()[0], 1)
    milliseconds = round(1000 * statistics.median(times["one"]) / STEPS, 2)
    record(
        "threads", settings={"rounds": rounds, "load of the machine": load}, figures={"one, ms a step": milliseconds, **figures},
        targets={"two / one": 1.0},
    )  # fmt: skip


if __name__ == "__main__":
    if "--work" in sys.argv:
        work()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
