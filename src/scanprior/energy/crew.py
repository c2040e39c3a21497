"""Threads that share the products of a training step, for as long as that is faster.

OpenMP shares out every small operation and waits for each, which on a busy machine, where a helper does not get a core at
once, makes two threads slower than one. Here only whole products are shared, and the clock says whether at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

import torch

MOST = 8
NARROWEST = 64  # columns of a product that are worth handing over
TILE = 16  # parts begin at a multiple of this, as the libraries' own blocks do; see `Shared`
WORTH = 0.9  # sharing must take less than this part of the time; single blocks are timed, and times are noisy
FORGET = 0.3  # weight of the last block in the usual time of its way
RARELY = 100  # the slower way is tried again after this many blocks per block that the trial loses
LEAST_LOSS, GREATEST_LOSS = 0.4, 4.0  # so every 40 to 400 blocks


class Crew:
    """The calling thread and its helpers: they run the parts of a product at the same time or, where that is slower, in turn.

    What is computed is the same either way, to the bit: a part is always one thread's work. Each block of training runs in the way
    that took less time lately; the other is tried again now and then, because a machine's load changes.

    Args:
        threads: of them all, at most 8.
        clock: gives seconds.

    Attributes:
        shares: whether they run parts at the same time now.
    """

    def __init__(self, threads: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.threads = max(1, min(threads, MOST))
        self._clock = clock
        self.shares = False
        self._seconds: dict[bool, float] = {}
        self._warm: set[bool] = set()  # ways that have had a block
        self._blocks_since_trial = 0

    def parts(self, width: int) -> list[slice]:
        """Cut `width` columns into a part per thread, none of them narrow."""
        number = max(1, min(self.threads, width // NARROWEST))
        ends = [*(width * place // number // TILE * TILE for place in range(number)), width]
        return [slice(begin, end) for begin, end in pairwise(ends)]

    def each(self, task: Callable[[slice], object], parts: Sequence[slice]) -> None:
        """Run `task`, which needs no gradient, on every part; returns, or raises what a task raised, when all have ended."""
        own = parts[:1] if self.shares else parts
        handed: list[Future[None]] = [_helpers(self.threads - 1).submit(_run, task, part) for part in parts[len(own) :]]
        try:
            for part in own:
                task(part)
        finally:
            wait(handed)
        for future in handed:
            future.result()

    @contextmanager
    def block(self, steps: Callable[[], int]) -> Generator[None]:
        """Around a block of training: torch itself uses one thread. `steps` gives the number of mini-batches so far."""
        threads = torch.get_num_threads()
        if threads == 1:
            self.shares = False
            yield
            return
        self.shares = shares = self.threads > 1 and self._faster()
        torch.set_num_threads(1)
        before, began = steps(), self._clock()
        try:
            yield
        finally:
            torch.set_num_threads(threads)
        if shares not in self._warm:  # its first block also starts threads and fills caches: another is timed
            self._warm.add(shares)
            return
        seconds = (self._clock() - began) / max(1, steps() - before)
        usual = self._seconds.get(shares, seconds)
        self._seconds[shares] = usual + FORGET * (seconds - usual)

    def _faster(self) -> bool:
        """Whether to share the next block."""
        for way in (False, True):
            if way not in self._seconds:
                return way
        better = self._seconds[True] < WORTH * self._seconds[False]
        loss = self._seconds[not better] / self._seconds[better] - 1.0
        self._blocks_since_trial += 1
        if self._blocks_since_trial > RARELY * min(max(loss, LEAST_LOSS), GREATEST_LOSS):
            self._blocks_since_trial = 0
            del self._seconds[not better]  # what it took then says little about now
            return not better
        return better


def _run(task: Callable[[slice], object], part: slice) -> None:
    with torch.no_grad():
        task(part)


@cache
def _helpers(number: int) -> ThreadPoolExecutor:
    """Threads that sleep until they are needed, made once in a process."""
    return ThreadPoolExecutor(number, "scanprior-crew", initializer=lambda: torch.set_num_threads(1))


os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads don't come along
