"""Two threads against one, by the clock, idle and loaded: `python benchmarks/energy/threads.py [rounds]`.

Worker processes that train a 784 x 500 machine by CD-1 on one thread, on two that share the products while that is faster (what
scanprior does, `scanprior/energy/crew.py`), and on two of OpenMP, sleeping or spinning while they wait. In turn, 300 steps in
blocks of 30 each time, the others stopped meanwhile (OpenMP's idle thread would take a core); medians of the ratios to one thread.
Then the same beside one and beside two processes that never rest. Target of the project's issue 8: never slower.
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
    "one": ("1", {}),
    "two": ("2", {}),
    "two of OpenMP, sleeping": ("2", {"OPENMP_SHARES": "1"}),
    "two of OpenMP, spinning": ("2", {"OPENMP_SHARES": "1", "OMP_WAIT_POLICY": "ACTIVE"}),
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


def compare(workers: dict[str, subprocess.Popen[str]], rounds: int) -> dict[str, float]:
    """Median seconds of one thread's blocks, and the ratios to it."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(rounds + 1):
        for name, worker in workers.items():
            seconds = ask(worker)
            if number:  # the first time they get used to the load
                times[name].append(seconds)
    figures = {"one, ms a step": round(1000 * statistics.median(times["one"]) / BLOCKS / STEPS, 2)}
    for name in list(workers)[1:]:
        figures[f"{name} / one"] = round(
            statistics.median(a / b for a, b in zip(times[name], times["one"], strict=True)), 2
        )
    return figures


def main(rounds: int) -> None:
    """Print and record the ratios."""
    from common import record

    workers: dict[str, subprocess.Popen[str]] = {}
    loads: list[subprocess.Popen[bytes]] = []
    figures = {}
    try:
        for name, kind in KINDS.items():
            workers[name] = start(*kind)
            ask(workers[name])
        for busy in range(3):
            figures[f"beside {busy} busy processes"] = compare(workers, rounds)
            print(busy, figures[f"beside {busy} busy processes"], flush=True)
            loads.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
    finally:  # nothing busy or stopped is left behind
        for process in (*loads, *workers.values()):
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
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
