"""False claims on real scores: the two arms' names are swapped patient by patient at random, so there is no effect.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/swaps.py results/hippocampus/evaluate/scores.parquet
prints how often the interval of the primary difference leaves 0 out (target: at most 5 % + simulation error).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from scanprior.evidence.interval import cells_of, interval, over_budgets
from scanprior.evidence.statistic import MeanStatistic


def differences(scores: pd.DataFrame, one: str, other: str):
    """(draws, budgets, patients) paired differences of a scores.parquet."""
    wide = scores.pivot_table(index=["draw", "budget", "patient"], columns="arm", values="score")
    paired = (wide[one] - wide[other]).unstack("patient")
    draws, budgets = (paired.index.get_level_values(name).unique() for name in ("draw", "budget"))
    full = paired.reindex(pd.MultiIndex.from_product([draws, budgets]))
    return full.to_numpy(float).reshape(len(draws), len(budgets), -1)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scores")
    parser.add_argument("--one", default="dbn")
    parser.add_argument("--other", default="scratch")
    parser.add_argument("--swaps", type=int, default=1000)
    args = parser.parse_args()
    values = differences(pd.read_parquet(args.scores), args.one, args.other)
    rng, start = np.random.default_rng(0), time.monotonic()
    above = below = 0
    for _ in range(args.swaps):
        signs = rng.integers(0, 2, values.shape[-1]) * 2.0 - 1.0
        swapped = MeanStatistic(values * signs)
        primary = interval(*over_budgets(cells_of(swapped))[0], swapped.stratum, 0.95)
        above += primary.low > 0
        below += primary.high < 0
    print(f"{args.one} − {args.other}: {values.shape[-1]} patients, {values.shape[0]} draws, {args.swaps} swaps: "
          f"{100 * above / args.swaps:.1f} % above 0, {100 * below / args.swaps:.1f} % below, "
          f"{time.monotonic() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
