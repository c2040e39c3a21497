"""The power forecast against the rate of "helps" (and of "equivalent" without an effect) in simulated studies.

OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/power_check.py --studies 400
"""

from __future__ import annotations

import argparse

import numpy as np
from simulate import dice_like

from scanprior.evidence.bootstrap import cells_of, resample, two_way
from scanprior.evidence.power import Spread, chances
from scanprior.evidence.verdict import judge

SD = (0.04, 0.008, 0.03)
BUDGETS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--replicates", type=int, default=600)
    args = parser.parse_args()
    # simulate.dice_like: the draws' effect is 0.8 shared and 0.6 own per budget, noise is independent in each budget
    spread = Spread(SD[0], SD[1] * np.sqrt(0.64 + 0.36 / BUDGETS), SD[2] / np.sqrt(BUDGETS))
    print("| differences | patients | draws | margin | true Δ | helps: forecast | simulated "
          "| equivalent: forecast | simulated |\n" + "|---" * 9 + "|")  # fmt: skip
    shapes = {"no skew": {"skew": 1e-3}, "heavy tails": {"tail": True}, "skewness −1.3": {}}
    cells = [(30, 5), (60, 20), (100, 5)]
    for name, shape in shapes.items():
        for patients, draws in cells:
            for margin, effect in ((0.01, 0.015), (0.01, 0.025), (0.02, 0.0)):
                rng = np.random.default_rng([3, patients, draws, int(1000 * effect)])
                verdicts = []
                for number in range(args.studies):
                    one = dice_like(rng, patients, draws, effect, sd=SD, **shape).one
                    resampling = resample(one.stratum, seed=number, replicates=args.replicates)
                    primary = two_way(cells_of(one, resampling), resampling).primary
                    verdicts.append(judge(primary.low, primary.high, margin))
                said = chances(effect, spread, patients, draws, margin=margin)
                helps, same = (100 * verdicts.count(one) / args.studies for one in ("helps", "equivalent"))
                print(f"| {name} | {patients} | {draws} | {margin} | {effect} | {100 * said.helps:.0f} | {helps:.0f} "
                      f"| {100 * said.equivalent:.0f} | {same:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
