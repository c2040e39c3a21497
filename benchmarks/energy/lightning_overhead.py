"""Pretraining through Lightning, logging on, against `fit_rbm`: `python benchmarks/energy/lightning_overhead.py [epochs]`.

The same machine (2197-600, rectified, 40,000 patches of 13^3 as in the hippocampus study, mini-batches of 100, blocks of 16),
torch on one thread. Two threads hand a baton to each other before every block, so that both trainings meet the same noise of
the machine, a third of a second apart; then once more with the threads exchanged. Printed: all seconds of pretraining over all of
`fit_rbm`'s from the first block to the last, by processor and by clock, with the 95 % interval of a bootstrap over pairs of
blocks. Two rows: pretraining on patches in memory (target of the project's issue 8: 1.04), which it standardises, checks and
clips again; and on patches gathered from their volumes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Generator

from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.training import Standardiser, fit_rbm
from scanprior.energy.units import Gaussian, ReLU
from scanprior.learning.pretraining import pretrain
from scanprior.patches.store import PatchStore

ROWS, HIDDEN = 40_000, 600
BLOCKS = 25  # of an epoch: 400 mini-batches, 16 a block
RESAMPLES = 2000

Stamp = tuple[float, float]  # seconds of processor and of clock


def now() -> Stamp:
    """Seconds of processor that the process has used, and of the clock."""
    return time.process_time(), time.perf_counter()


class Baton:
    """Lets two threads run in turn: whoever passes waits until the other passes or ends; keeps the seconds in between."""

    def __init__(self) -> None:
        self.turn, self.change = 0, threading.Condition()
        self.ended: set[int] = set()
        self.runners: dict[int, int] = {}
        self.segments: tuple[list[Stamp], list[Stamp]] = ([], [])
        self.since: Stamp = now()

    def run(self, number: int, training: Callable[[], object]) -> None:
        """Run `training` as runner 0 or 1, in its turns only."""
        with self.change:
            self.runners[threading.get_ident()] = number
            self.change.wait_for(lambda: self.turn == number)
        self.since = now()
        try:
            training()
        finally:
            self._note(number)
            with self.change:
                self.ended.add(number)
                self.turn = 1 - number
                self.change.notify_all()

    def pass_on(self) -> None:
        """End the running thread's turn, and wait for the next."""
        number = self.runners[threading.get_ident()]
        self._note(number)
        with self.change:
            if 1 - number not in self.ended:
                self.turn = 1 - number
                self.change.notify_all()
                self.change.wait_for(lambda: self.turn == number)
        self.since = now()

    def _note(self, number: int) -> None:
        processor, clock = now()
        self.segments[number].append((processor - self.since[0], clock - self.since[1]))


def alternate(first: Callable[[], object], second: Callable[[], object], blocks: int) -> np.ndarray:
    """Train both in turn, block by block; seconds (blocks - 1, 2 trainings, processor and clock)."""
    baton, block = Baton(), Stepper.block

    def timed(*args: object, **kwargs: object) -> object:
        baton.pass_on()
        return block(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    Stepper.block = timed  # pyright: ignore[reportAttributeAccessIssue]
    try:
        other = threading.Thread(target=baton.run, args=(1, second))
        other.start()
        baton.run(0, first)
        other.join()
    finally:
        Stepper.block = block
    # The first segment is the set-up before the first block; the last goes on after the training, to save the prior.
    seconds = np.stack([np.array(segments[1:-1]) for segments in baton.segments], 1)
    assert len(seconds) == blocks - 1
    return seconds


def show(name: str, seconds: np.ndarray) -> None:
    """Print the ratio of the first training's seconds to the second's, and its interval."""
    drawn = seconds[np.random.default_rng(0).integers(len(seconds), size=(RESAMPLES, len(seconds)))].sum(1)
    whole, (low, high) = seconds.sum(0), np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975], axis=0)
    for place, clock in enumerate(("processor", "clock")):
        ratio = whole[0, place] / whole[1, place]
        print(f"{name}, {clock}: {ratio:.3f} [{low[place]:.3f}, {high[place]:.3f}]", flush=True)


def main() -> None:
    """Print the ratios."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    volumes = [rng.normal(size=(40, 50, 40)).cumsum(0).astype(np.float32) for _ in range(20)]
    store = PatchStore(volumes, (13, 13, 13))
    scans, centres = rng.integers(0, 20, ROWS), np.stack([rng.integers(0, side, ROWS) for side in (40, 50, 40)], 1)

    def gather(rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(store.gather(scans[rows.numpy()], centres[rows.numpy()]))

    everything = gather(torch.arange(ROWS))
    data = Standardiser.of(everything)(everything).clamp_(-5, 5)

    def alone() -> None:
        rbm = RBM(Gaussian(data.shape[1]), ReLU(HIDDEN))
        fit_rbm(rbm, data, epochs=epochs, generator=Generator().manual_seed(0))

    def through_lightning(source: Callable[[torch.LongTensor], torch.Tensor]) -> None:
        logged: list[tuple[int, dict[str, float]]] = []
        with tempfile.TemporaryDirectory() as work:
            pretrain(
                source, ROWS, patch_size=(13, 13, 13), seeds=lambda *names: len(names), work=Path(work),
                layers=(HIDDEN,), epochs=epochs, log=lambda values, step: logged.append((step, values)),
            )  # fmt: skip

    sources = {
        "patches in memory (target 1.04)": lambda rows: everything[rows],
        "patches gathered from volumes": gather,
    }
    for name, source in sources.items():
        lightning = partial(through_lightning, source)
        one, other = alternate(lightning, alone, epochs * BLOCKS), alternate(alone, lightning, epochs * BLOCKS)
        show(name, np.concatenate([one, other[:, ::-1]]))


if __name__ == "__main__":
    main()
