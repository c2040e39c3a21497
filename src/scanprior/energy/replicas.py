"""Several processes that train one machine together, each on its share of every mini-batch (data parallel).

Every process makes the same updates from the mean of what all of them saw, so that their parameters stay the same bits;
their random numbers, and with them their chains, are their own. Outside of `together`, and alone, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed

_TOGETHER = ContextVar("together", default=False)


@contextmanager
def together() -> Generator[None]:
    """Within it, the processes of `torch.distributed` train as one; all of them have to enter and leave it alike."""
    token = _TOGETHER.set(True)
    try:
        yield
    finally:
        _TOGETHER.reset(token)


def replicas() -> tuple[int, int]:
    """This process's place among those that train together, and how many they are; alone, 0 and 1."""
    if _TOGETHER.get() and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def average_(*tensors: Tensor) -> None:
    """Replace every tensor by its mean over the processes, all in one exchange."""
    _, size = replicas()
    if size == 1:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, mean in zip(tensors, flat.div_(size).split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def share(rows: Tensor) -> Tensor:
    """This process's part of `rows` (n, …); rows repeat from the first on until every process has as many."""
    place, size = replicas()
    return rows if size == 1 else rows[torch.arange(len(rows) + -len(rows) % size) % len(rows)][place::size]
