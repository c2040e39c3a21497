"""Patches whose voxels have changed places: the same intensities, no anatomy."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

ORDERS = 1000  # different orders; each patch keeps its own, and what two places share averages out over them


class Shuffle:
    """Gives every patch, by its row number, one of `ORDERS` random orders of its voxels."""

    def __init__(self, voxels: int, seed: int) -> None:
        generator = Generator().manual_seed(seed)
        self._orders = torch.rand(ORDERS, voxels, generator=generator).argsort(dim=1)

    def __call__(self, rows: Tensor, patches: Tensor) -> Tensor:
        """The patches (n, voxels) of the row numbers `rows` (n,), shuffled."""
        return patches.gather(1, self._orders[rows % ORDERS])
