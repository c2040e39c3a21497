"""Bags of patches: what gets one label. Voxel task: a patch; patient task: all patches of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scanprior.patches.store import PatchStore


@dataclass(frozen=True)
class Bags:
    """`len(targets)` bags over n patches, which are sorted by bag; patches are gathered from the store when asked for."""

    store: PatchStore
    scan_rows: np.ndarray  # (n,) row of the store
    centres: np.ndarray  # (n, 3) voxel that the patch is centred on
    bag: np.ndarray  # (n,) rising: 0 … number of bags − 1
    targets: np.ndarray  # (bags,) class of the bag, −1 where unknown
    covariates: np.ndarray | None = None  # (bags, k) what is known of a patient besides the scans, NaN where it is not

    @classmethod
    def of_patches(cls, store: PatchStore, scan_rows: np.ndarray, centres: np.ndarray, targets: np.ndarray) -> Bags:
        """Every patch is a bag of its own."""
        return cls(store, scan_rows, centres, np.arange(len(targets)), targets)

    @cached_property
    def starts(self) -> np.ndarray:
        """(bags + 1,) where each bag's patches start."""
        return np.searchsorted(self.bag, np.arange(len(self.targets) + 1))

    def patches(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Patches of some rows, float32 (rows, voxels per patch)."""
        return self.store.gather(self.scan_rows[rows], self.centres[rows])

    def thinned(self, patches: int) -> Bags:
        """About `patches` patches in all: every bag keeps evenly spaced ones; bags of one patch are thinned themselves."""
        total = len(self.bag)
        if total <= patches:
            return self
        if total == len(self.targets):
            keep = np.linspace(0, total - 1, patches).round().astype(int)
            return Bags.of_patches(self.store, self.scan_rows[keep], self.centres[keep], self.targets[keep])
        each = max(1, patches // len(self.targets))
        chosen = [
            np.linspace(first, end - 1, min(each, end - first)).round().astype(int)
            for first, end in zip(self.starts[:-1], self.starts[1:], strict=True)
        ]
        keep = np.concatenate(chosen)
        rows, centres, bag = self.scan_rows[keep], self.centres[keep], self.bag[keep]
        return Bags(self.store, rows, centres, bag, self.targets, self.covariates)
