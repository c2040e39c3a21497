"""Planted leaks are found, clean cohorts are left alone: simulated volumes and tables, no network.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/planted.py --cohorts 200
A volume is an anatomy that all share, one's own smooth deviation, and noise; 24 patients, sides of 22 to 26 voxels.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import pandas as pd
from scipy import ndimage

from scanprior.evidence.leaks import identical, overlaps, prior_on_test
from scanprior.evidence.shortcuts import shortcuts
from scanprior.evidence.suspects import Scan, suspects

PATIENTS, SIDE = 24, 26


def cohort(rng) -> list[np.ndarray]:
    """Volumes of strangers, cut to different sizes."""
    shared = ndimage.gaussian_filter(rng.normal(size=(SIDE,) * 3), 3)
    volumes = []
    for _ in range(PATIENTS):
        own = ndimage.gaussian_filter(rng.normal(size=(SIDE,) * 3), 2)
        cut = tuple(slice(a, SIDE - b) for a, b in rng.integers(0, 3, (3, 2)))
        noisy = shared / shared.std() + own / own.std() + 0.1 * rng.normal(size=(SIDE,) * 3)
        volumes.append(noisy[cut].astype(np.float32))
    return volumes


def rows(step: list[float] | None = None) -> list[Scan]:
    """One scan for each patient."""
    return [Scan(f"P-{i:02}", step[i] if step else float("nan"), float("nan")) for i in range(PATIENTS)]


def plant(kind: str, volumes: list[np.ndarray], rng) -> list[np.ndarray]:
    """Patient 1 gets a copy of patient 0."""
    copy = volumes[0].copy()
    if kind.startswith("mirrored"):
        copy = np.flip(copy, ["ijk".index(axis) for axis in kind.split()[1]])
    elif kind == "shifted":
        copy = copy[2:, :-3, 1:]
    elif kind == "shifted, mirrored, brighter":
        copy = 3 * copy[:, 1:-1, 2:][::-1] + 100
    elif kind == "second scan of one person":
        copy = copy + 0.1 * rng.normal(size=copy.shape)
    return [volumes[0], copy.astype(np.float32), *volumes[2:]]


VOXELS = (
    "as it is",
    "mirrored i",
    "mirrored j",
    "mirrored k",
    "mirrored ijk",
    "shifted",
    "shifted, mirrored, brighter",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--planted", type=int, default=25)
    args = parser.parse_args()
    start = time.process_time()
    failed, doubted, told = 0, 0, 0
    for number in range(args.cohorts):
        rng = np.random.default_rng([1, number])
        volumes = cohort(rng)
        found = suspects(rows(), volumes.__getitem__)
        failed += any(leak.proof for leak in found)
        doubted += len(found)
        table = pd.DataFrame({name: rng.choice(["A", "B", "C"], PATIENTS) for name in ("site", "scanner", "format")})
        told += any(one.suspect for one in shortcuts(table, [0, 1] * (PATIENTS // 2), seed=number))
    print(f"{args.cohorts} clean cohorts: {failed} failed, {doubted} doubted pairs of {args.cohorts * 276}, "
          f"{told} with a suspect shortcut\n")  # fmt: skip
    print("| planted | cohorts | found |\n|---|---|---|")
    for kind in (*VOXELS, "second scan of one person"):
        hits = Counter()
        for number in range(args.planted):
            rng = np.random.default_rng([2, number])
            volumes = plant(kind, cohort(rng), rng)
            for leak in suspects(rows(), volumes.__getitem__):
                if leak.patients == ("P-00", "P-01"):
                    hits["proof" if leak.proof else "doubt"] += 1
        print(f"| copy of another patient: {kind} | {args.planted} | {dict(hits)} |", flush=True)
    split = {"pool": ["P-1"], "draws": [{"draw": 0, "fold": 0, "order": ["P-2", "P-3"], "test": ["P-3", "P-1"]}]}
    print(f"| tested and lending labels; tested and in the pool | 1 | {[leak.check for leak in overlaps(split)]} |")
    print(f"| prior that saw a tested patient | 1 | {[leak.check for leak in prior_on_test(['P-3'], split)]} |")
    same = identical(pd.DataFrame({"patient": ["P-1", "P-2"], "digest": ["a", "a"]}))
    print(f"| the same bytes | 1 | {[leak.check for leak in same]} |")
    label = [0, 1] * (PATIENTS // 2)
    table = pd.DataFrame({"scanner": np.where(np.array(label) == 1, "A", "B")})
    print(f"| label = scanner | 1 | suspect: {shortcuts(table, label, seed=0)[0].suspect} |")
    print(f"\n{time.process_time() - start:.0f} s CPU")


if __name__ == "__main__":
    main()
