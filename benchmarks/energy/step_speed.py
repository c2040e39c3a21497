"""Time of a training step against its own five matrix products: `python benchmarks/energy/step_speed.py [rounds]`.

One thread, process time, variants interleaved in every round, median of the rounds (first one dropped). FIVE = v W, h W',
v1 W, v' h, v1' h1 with plain `@` at the same shapes. The targets are those of the project's issue 8.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import Generator

from scanprior.energy.objectives import CD, PCD, Objective
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Units

BATCH, BATCHES = 100, 20


def five(visible: int, hidden: int) -> Callable[[], None]:
    """The five products of a CD-1 step, as many times as a block has mini-batches."""
    v, h, w = torch.rand(BATCH, visible), torch.rand(BATCH, hidden), torch.rand(visible, hidden)

    def run() -> None:
        for _ in range(BATCHES):
            v @ w, h @ w.t(), v @ w, v.t() @ h, v.t() @ h

    return run


def block(visible: Units, hidden: Units, objective: Objective, momentum: float, centered: bool) -> Callable[[], None]:
    """A block of as many mini-batches of random data."""
    rbm = RBM(visible, hidden, centered=centered)
    data = torch.rand(5000, visible.size, generator=Generator().manual_seed(0))
    rows = torch.randint(5000, (BATCHES, BATCH), generator=Generator().manual_seed(1))
    schedule = Schedule(momentum=momentum, final_momentum=momentum)
    stepper = Stepper(
        rbm, objective, batch_size=BATCH, steps=10**9, seed=0, learning_rate=1e-4, schedule=schedule
    )  # fmt: skip
    return lambda: stepper.block(data, rows) and None


def variants() -> dict[str, tuple[str, Callable[[], None], float | None]]:
    """Name to (baseline, what is timed, target)."""
    small, large = (784, 500), (2197, 600)
    made: dict[str, tuple[str, Callable[[], None], float | None]] = {}

    def add(name: str, shape: tuple[int, int], visible: Units, hidden: Units, objective: Objective, target: float | None,
            *, momentum: float = 0.5, centered: bool = False) -> None:  # fmt: skip
        made[name] = (f"FIVE {shape[0]}x{shape[1]}", block(visible, hidden, objective, momentum, centered), target)

    for shape in (small, large):
        made[f"FIVE {shape[0]}x{shape[1]}"] = (f"FIVE {shape[0]}x{shape[1]}", five(*shape), None)
    d, h = small
    add("784x500 means", small, Bernoulli(d), Bernoulli(h), CD(1), 1.18)
    add("784x500 sampled", small, Bernoulli(d), Bernoulli(h), CD(1, sample_visible=True), 1.25)
    add("784x500 means, centered", small, Bernoulli(d), Bernoulli(h), CD(1), None, centered=True)
    add("784x500 PCD-1", small, Bernoulli(d), Bernoulli(h), PCD(1, BATCH), None)
    d, h = large
    add("2197x600 means", large, Gaussian(d), Bernoulli(h), CD(1), 1.07)
    add("2197x600 sampled", large, Gaussian(d), Bernoulli(h), CD(1, sample_visible=True), 1.15)
    variance = Gaussian(d, learn_variance=True)
    add("2197x600 learned variance", large, variance, Bernoulli(h), CD(1, sample_visible=True), 1.31)
    add("2197x600 rectified, centered", large, Gaussian(d), ReLU(h), CD(1), None, centered=True)
    return made


def main(rounds: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    made = variants()
    times: dict[str, list[float]] = {name: [] for name in made}
    for number in range(rounds + 1):
        for name, (_, run, _) in made.items():
            started = time.process_time()
            run()
            if number:
                times[name].append(time.process_time() - started)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread, medians of {rounds} rounds"
    )
    for name, (baseline, _, target) in made.items():
        # A ratio per round, so that a slow spell of the machine hits both sides of it.
        ratio = statistics.median(t / b for t, b in zip(times[name], times[baseline], strict=True))
        goal = "" if target is None else f"  target {target:.2f}  {'reached' if ratio <= target else 'MISSED'}"
        print(f"{name:30s} {1e6 * statistics.median(times[name]) / BATCHES:8.0f} us  {ratio:5.2f}{goal}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
