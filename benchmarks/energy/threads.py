"""Two threads against one, by the clock, idle and loaded: `python benchmarks/energy/threads.py [rounds]`.

Worker processes that train a 784 x 500 machine by CD-1 on one thread, on two that share the products while that is faster (what
scanprior does, `scanprior/energy/crew.py`), and on two of OpenMP, sleeping or spinning while they wait. In turn, 300 steps in
blocks of 30 each time, the others stopped meanwhile (OpenMP's idle thread would take a core). Then the same beside one and
beside two processes that never rest. Two processes of one kind differ by a tenth, so one and two threads have several each:
the ratio is that of the means of their medians, beside how far the processes of one thread lie from their own mean.
Target of the project's issue 8: never slower.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import scanprior  # noqa: F401 - before torch, so that it can tell OpenMP how to wait

BLOCKS, STEPS = 10, 30
KINDS = {
    "one": (4, "1", {}),
    "two": (4, "2", {}),
    "two of OpenMP, sleeping": (1, "2", {"OPENMP_SHARES": "1"}),
    "two of OpenMP, spinning": (1, "2", {"OPENMP_SHARES": "1", "OMP_WAIT_POLICY": "ACTIVE"}),
}


def work() -> None:
    """Time some blocks whenever a line comes in."""
    import torch
    from torch import Generator

    from scanprior.energy.objectives import CD
    from scanprior.energy.rbm import RBM
    from scanprior.energy.step import Stepper
    from scanprior.energy.units import Bernoulli

    data = torch.rand(5000, 784, generator=Generator().manual_seed(0))
    rows = torch.randint(5000, (STEPS, 100), generator=Generator().manual_seed(1))
    stepper = Stepper(
        RBM(Bernoulli(784), Bernoulli(500)), CD(1, sample_visible=True), batch_size=100, steps=10**9, seed=0,
        learning_rate=1e-4,
    )  # fmt: skip
    if "OPENMP_SHARES" in os.environ:  # torch's own way: every operation, not whole products
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        stepper.block(data, rows)
        torch.set_num_threads(threads)
        stepper._crew.block = lambda _: nullcontext()
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(BLOCKS):
            stepper.block(data, rows)
        print(time.perf_counter() - began, flush=True)


def start(threads: str, given: dict[str, str]) -> subprocess.Popen[str]:
    """A worker with its own environment."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--work"], env={**environment, "OMP_NUM_THREADS": threads, **given},
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def ask(worker: subprocess.Popen[str]) -> float:
    """Seconds of its next blocks; it is stopped before and after."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.send_signal(signal.SIGCONT)
    worker.stdin.write("go\n")
    worker.stdin.flush()
    seconds = float(worker.stdout.readline())
    worker.send_signal(signal.SIGSTOP)
    return seconds


def compare(workers: dict[str, list[subprocess.Popen[str]]], rounds: int) -> dict[str, float | list[float]]:
    """Milliseconds a step of one thread, the other kinds' ratios to it, and the ratios of its own processes to their mean."""
    every = [(name, place) for name, kind in workers.items() for place in range(len(kind))]
    times: dict[tuple[str, int], list[float]] = {key: [] for key in every}
    for number in range(rounds + 1):
        for name, place in every[::-1] if number % 2 else every:
            seconds = ask(workers[name][place])
            if number:  # the first time they get used to the load
                times[name, place].append(seconds)
    medians = {
        name: [statistics.median(times[name, place]) for place in range(len(kind))] for name, kind in workers.items()
    }
    one = statistics.fmean(medians["one"])
    figures: dict[str, float | list[float]] = {"one, ms a step": round(1000 * one / BLOCKS / STEPS, 2)}
    for name in list(workers)[1:]:
        figures[f"{name} / one"] = round(statistics.fmean(medians[name]) / one, 3)
    for name in ("one", "two"):
        figures[f"each process of {name} / mean of one"] = sorted(round(median / one, 3) for median in medians[name])
    return figures


def main(rounds: int) -> None:
    """Print and record the ratios."""
    from common import record

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C does: through the `finally` below
    workers: dict[str, list[subprocess.Popen[str]]] = {name: [] for name in KINDS}
    loads: list[subprocess.Popen[bytes]] = []
    figures: dict[str, dict[str, float | list[float]]] = {}
    try:
        for name, (processes, threads, given) in KINDS.items():
            for _ in range(processes):
                workers[name].append(start(threads, given))
                ask(workers[name][-1])
        for busy in range(3):
            figures[f"beside {busy} busy processes"] = compare(workers, rounds)
            print(busy, figures[f"beside {busy} busy processes"], flush=True)
            loads.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
    finally:  # nothing busy or stopped is left behind
        for process in (*loads, *(process for kind in workers.values() for process in kind)):
            process.kill()
            process.wait()
    record(
        "threads",
        settings={"rounds": rounds, "steps a round": BLOCKS * STEPS},
        figures=figures,
        targets={"two / one": 1.0},
    )


if __name__ == "__main__":
    if "--work" in sys.argv:
        work()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
