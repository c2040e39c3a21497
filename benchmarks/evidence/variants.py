"""Coverage of the candidates for the interval with 30 patients, where they differ most.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/variants.py --studies 1000
Each cell: coverage % (width over the oracle's). Seeds are fixed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from coverage import make
from scipy import stats

from scanprior.evidence.bootstrap import SMALLEST_SE, cells_of, over_budgets, patient_variance, resample, two_way

EDGES = [0.025, 0.975]
NAMES = ("two-way percentile", "t, Satterthwaite", "t + t", "bootstrap-t + t", "scanprior")


def candidates(statistic, seed: int, replicates: int) -> list[tuple[float, float]]:
    """Intervals of all candidates on one study, in the order of NAMES."""
    resampling = resample(statistic.stratum, seed=seed, replicates=replicates)
    cells = cells_of(statistic, resampling)
    (values, reps, influence), _ = over_budgets(cells)
    draws, patients, estimate = len(values), resampling.patients, values.mean()
    mean = influence.mean(0)
    by_patients = patient_variance(mean, resampling.stratum)[0]
    by_draws = values.var(ddof=1) / draws
    rng = np.random.default_rng([seed, 4])
    shares = rng.multinomial(draws, np.full(draws, 1 / draws), replicates) / draws
    total = by_patients + by_draws
    half = stats.t.ppf(0.975, total**2 / (by_patients**2 / (patients - 1) + by_draws**2 / (draws - 1))) * total**0.5
    own = np.sqrt(patient_variance(mean, resampling.stratum, resampling.weights))
    pivot = (reps.mean(1) - estimate) / np.maximum(own, SMALLEST_SE * by_patients**0.5)
    noise = rng.standard_t(draws - 1, replicates) * by_draws**0.5
    student = rng.standard_t(patients - 1, replicates)
    primary = two_way(cells, resampling).primary
    return [
        tuple(np.quantile((reps * shares).sum(1), EDGES)),
        (estimate - half, estimate + half),
        tuple(np.quantile(estimate - student * by_patients**0.5 - noise, EDGES)),
        tuple(np.quantile(estimate - pivot * by_patients**0.5 - noise, EDGES)),
        (primary.low, primary.high),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=800)
    parser.add_argument("--kinds", default="dice,skewed,tail")
    args = parser.parse_args()
    start = time.monotonic()
    print("| scores | draws | " + " | ".join(NAMES) + " |\n" + "|---" * (2 + len(NAMES)) + "|")
    for kind in args.kinds.split(","):
        for draws in (5, 20):
            rng = np.random.default_rng([8, draws, len(kind)])
            edges = []
            study = make(kind, rng, 30, draws, 0.0)
            for number in range(args.studies):
                study = make(kind, rng, 30, draws, 0.0)
                edges.append(candidates(study.one, number, args.replicates))
            low, high = np.moveaxis(np.array(edges), 2, 0)
            covers = 100 * np.mean((low <= 0) & (high >= 0), axis=0)
            width = np.mean(high - low, axis=0) / (2 * 1.96 * study.truth.se)
            row = " | ".join(f"{c:.1f} ({w:.2f})" for c, w in zip(covers, width, strict=True))
            print(f"| {kind} | {draws} | {row} |", flush=True)
    print(f"\n{args.studies} studies per row, {args.replicates} replicates, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
