"""Several processes that train one machine together, each on its share of every mini-batch (data parallel).

Every process makes the same updates from the mean of what all of them saw, so that their parameters stay the same bits;
their random numbers, and with them their chains, are their own. Alone, nothing here does anything.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def replicas() -> tuple[int, int]:
    """This process's place among those of `torch.distributed`, and how many they are; alone, 0 and 1."""
    if distributed.is_available() and distributed.is_initialized():
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
    """This process's part of `rows` (n, …), as many as every other's: up to one row less than there are processes comes twice."""
    place, size = replicas()
    return rows if size == 1 else rows[torch.arange(len(rows) + -len(rows) % size) % len(rows)][place::size]
