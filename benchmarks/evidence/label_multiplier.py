"""Coverage and width of the label multiplier's interval for known k, steep and flat learning curves.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/label_multiplier.py --studies 300
prints a Markdown table; seeds are fixed. Scores: log-likelihood per patient; both arms follow one curve of the labels,
the first as if it had k times as many. `reach` is the end of what the budgets 2 … 32 can show (8 = 16^0.75).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from scanprior.evidence.interval import cells_of
from scanprior.evidence.metrics import log_score
from scanprior.evidence.savings import label_multiplier
from scanprior.evidence.statistic import MeanStatistic

BUDGETS = (2, 4, 8, 16, 32)
SLOPES = {"steep": 0.45, "flat": 0.2}  # log-odds of the true class per doubling of the labels


def study(rng, patients: int, draws: int, k: float, slope: float) -> tuple[MeanStatistic, MeanStatistic]:
    """Two arms with shared patients; patient, draw and interaction effects on the log-odds."""
    label = np.arange(patients) % 2
    sign = 2 * label - 1
    common = 0.7 * rng.normal(size=patients)
    arms: list[MeanStatistic] = []
    for factor in (k, 1.0):
        curve = slope * np.log2(np.array(BUDGETS) * factor)
        by_draw = 0.15 * rng.normal(size=(draws, 1, 1))
        noise = 0.4 * rng.normal(size=(draws, len(BUDGETS), patients))
        logit = sign * (curve[None, :, None] + by_draw) + common + 0.5 * rng.normal(size=patients) + noise
        p = 1 / (1 + np.exp(-logit))
        arms.append(MeanStatistic(log_score(np.stack([1 - p, p], -1), label)))
    return arms[0], arms[1]


def row(curve: str, patients: int, draws: int, k: float, studies: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng([9, patients, draws, int(10 * k), len(curve)])
    lows, highs, estimates, open_ended = [], [], [], 0
    for _ in range(studies):
        one, other = study(rng, patients, draws, k, SLOPES[curve])
        found = label_multiplier(cells_of(one), cells_of(other), BUDGETS, one.stratum)
        estimates.append(found.estimate)
        lows.append(0.0 if "low" in found.censored else found.low)
        highs.append(np.inf if "high" in found.censored else found.high)
        open_ended += bool({"low", "high"} & set(found.censored))
    low, high = np.array(lows), np.array(highs)
    covers = 100 * np.mean((low <= k) & (k <= high))
    return (f"| {curve} | {patients} | {draws} | {k:g} | {covers:.1f} | {100 * np.mean(low > 1):.1f} "
            f"| {np.median(estimates):.2f} | {np.median(low):.2f}–{np.median(high):.2f} "
            f"| {100 * open_ended / studies:.0f} |")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--patients", default="30,60,100")
    parser.add_argument("--curves", default=",".join(SLOPES))
    args = parser.parse_args()
    start = time.monotonic()
    print("| curve | patients | draws | true k | covers % | k > 1 claimed % | median estimate "
          "| median interval | open-ended % |\n" + "|---" * 9 + "|")  # fmt: skip
    for curve in args.curves.split(","):
        for k in (1.0, 2.0, 4.0):
            for patients in map(int, args.patients.split(",")):
                print(row(curve, patients, args.draws, k, args.studies), flush=True)
    print(f"\n{args.studies} studies per row, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
