"""The power forecast against the rate of "helps" (and of "equivalent" without an effect) in simulated studies.

OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/power_check.py --studies 1000
The forecast is told the patients' standard deviation and skewness, taken as lognormal: not the heavy tails, nor the gamma.
"""

from __future__ import annotations

import argparse

import numpy as np
from simulate import dice_like

from scanprior.evidence.interval import cells_of, interval, over_budgets
from scanprior.evidence.power import Spread, chances, patients_needed
from scanprior.evidence.verdict import judge

SD = (0.04, 0.008, 0.03)
BUDGETS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    args = parser.parse_args()
    # simulate.dice_like: the draws' effect is 0.8 shared and 0.6 own per budget, noise is independent in each budget
    spread = Spread(SD[0], SD[1] * np.sqrt(0.64 + 0.36 / BUDGETS), SD[2] / np.sqrt(BUDGETS))
    print("| differences | patients | draws | margin | true Δ | helps: forecast | simulated "
          "| equivalent: forecast | simulated |\n" + "|---" * 9 + "|")  # fmt: skip
    shapes = {
        "no skew": ({"skew": 1e-3}, 0.0),
        "heavy tails": ({"tail": True}, 0.0),
        "skewness −1.3": ({}, -1.3),
        "skewness −2.3": ({"skew": 0.6}, -2.3),
        "skewness −1.3, gamma": ({"skew": -1.3}, -1.3),
    }
    cells = [(30, 5), (60, 20), (100, 5)]
    worst = 0.0
    for name, (shape, skewness) in shapes.items():
        for patients, draws in cells:
            for margin, effect in ((0.01, 0.015), (0.01, 0.025), (0.02, 0.0)):
                rng = np.random.default_rng([3, patients, draws, int(1000 * effect)])
                verdicts = []
                for _ in range(args.studies):
                    one = dice_like(rng, patients, draws, effect, sd=SD, **shape).one
                    primary = interval(*over_budgets(cells_of(one))[0], one.stratum, 0.95)
                    verdicts.append(judge(primary.low, primary.high, margin))
                said = chances(effect, spread._replace(skewness=skewness), patients, draws, margin=margin)
                helps, same = (100 * verdicts.count(one) / args.studies for one in ("helps", "equivalent"))
                print(f"| {name} | {patients} | {draws} | {margin} | {effect} | {100 * said.helps:.0f} | {helps:.0f} "
                      f"| {100 * said.equivalent:.0f} | {same:.0f} |", flush=True)  # fmt: skip
                worst = max(worst, abs(100 * said.helps - helps), abs(100 * said.equivalent - same))
    print("\n| differences | margin | draws | patients that the forecast asks for | equivalent: forecast | simulated |")
    print("|---" * 6 + "|")
    for name, (shape, skewness) in shapes.items():
        for margin, draws in ((0.02, 5), (0.01, 20)):
            known = spread._replace(skewness=skewness)
            needed = patients_needed(0.0, known, 2, draws, margin=margin)
            if needed is None:
                raise SystemExit("no size is enough")
            rng = np.random.default_rng([4, needed.patients, draws])
            same = 0
            for _ in range(args.studies):
                one = dice_like(rng, *needed, 0.0, sd=SD, **shape).one
                primary = interval(*over_budgets(cells_of(one))[0], one.stratum, 0.95)
                same += judge(primary.low, primary.high, margin) == "equivalent"
            said = chances(0.0, known, *needed, margin=margin).equivalent
            print(f"| {name} | {margin} | {needed.draws} | {needed.patients} | {100 * said:.0f} "
                  f"| {100 * same / args.studies:.0f} |", flush=True)  # fmt: skip
    print(f"\n{args.studies} studies per row; the forecast is off by at most {worst:.1f} points")


if __name__ == "__main__":
    main()
