"""False claims, coverage and width of the candidates for the interval with 30 patients, where they differ most.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/variants.py
Differences without an effect, all studies of a row at once; each cell: coverage %, false "helps" % (width over the
oracle's). Seeds are fixed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import stats

from scanprior.evidence.interval import deviations, ends

EDGES = [0.025, 0.975]
NAMES = ("two-way percentile", "t, Satterthwaite", "t + t", "bootstrap-t + t", "wider of t, bootstrap-t", "scanprior")
BY_PATIENT, BY_DRAW, NOISE = 0.04, 0.0074, 0.0173  # as simulate.dice_like, averaged over its budgets
BLOCK = 500


def patients_of(rng, kind: str, size):
    """(studies, patients) with mean 0 and variance 1: a lognormal tail on the side of the losses, a t, or normal."""
    if kind == "heavy tails":
        return rng.standard_t(4, size) / np.sqrt(2)
    if kind == "no skew":
        return rng.normal(size=size)
    width = {"skewness −1.3": 0.4, "skewness −2.3": 0.6, "skewness −3.7": 0.8}[kind]
    x = rng.lognormal(0, width, size) - np.exp(width**2 / 2)
    return -x / np.sqrt((np.exp(width**2) - 1) * np.exp(width**2))


def candidates(values, replicates: int, rng):
    """(names, studies) lower and upper ends from (studies, draws, patients) differences."""
    _, draws, patients = values.shape
    by_patient, by_draw = values.mean(1), values.mean(2)
    estimate = by_patient.mean(1)
    x = by_patient - estimate[:, None]
    var_patients = (x**2).sum(1) / (patients - 1) / patients
    var_draws = by_draw.var(1, ddof=1) / draws
    se = np.sqrt(var_patients)
    weights = rng.multinomial(patients, np.full(patients, 1 / patients), replicates).astype(float)
    mean = weights @ x.T / patients
    own = np.sqrt(np.maximum(weights @ (x**2).T - patients * mean**2, 0.0) / (patients - 1) / patients)
    shares = rng.multinomial(draws, np.full(draws, 1 / draws), replicates) / draws
    noise = rng.standard_t(draws - 1, (replicates, 1)) * np.sqrt(var_draws)
    student = rng.standard_t(patients - 1, (replicates, 1))
    both = np.einsum("rd,rp,sdp->rs", shares, weights / patients, values, optimize=True)
    percentile = np.quantile(both, EDGES, axis=0)
    total = var_patients + var_draws
    df = total**2 / (var_patients**2 / (patients - 1) + var_draws**2 / (draws - 1))
    half = stats.t.ppf(0.975, df) * np.sqrt(total)
    plain = estimate + np.quantile(-student * se - noise, EDGES, axis=0)
    pivot = estimate + np.quantile(-mean / np.maximum(own, 0.1 * se) * se - noise, EDGES, axis=0)
    skew = (x**3).sum(1) / patients**3 / se**3
    low, high = ends(*deviations(se, np.sqrt(var_draws), skew, patients - 1, draws - 1, points=2000), 0.95)
    return [percentile, (estimate - half, estimate + half), plain, pivot,
            (np.minimum(plain[0], pivot[0]), np.maximum(plain[1], pivot[1])),
            (estimate + low, estimate + high)]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--replicates", type=int, default=800)
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--kinds", default="no skew,skewness −1.3,skewness −2.3,skewness −3.7,heavy tails")
    args = parser.parse_args()
    start = time.monotonic()
    print("| differences | draws | " + " | ".join(NAMES) + " |\n" + "|---" * (2 + len(NAMES)) + "|")
    for kind in args.kinds.split(","):
        for draws in (5, 20):
            rng = np.random.default_rng([8, draws, len(kind)])
            found = []
            for _ in range(args.studies // BLOCK):
                values = BY_PATIENT * patients_of(rng, kind, (BLOCK, 1, args.patients))
                values = values + BY_DRAW * rng.normal(size=(BLOCK, draws, 1))
                values = values + NOISE * rng.standard_t(5, (BLOCK, draws, args.patients)) / np.sqrt(5 / 3)
                found.append(np.array(candidates(values, args.replicates, rng)))
            low, high = np.concatenate(found, axis=2).transpose(1, 0, 2)
            se = np.sqrt(BY_PATIENT**2 / args.patients + BY_DRAW**2 / draws + NOISE**2 / (draws * args.patients))
            covers, helps = 100 * np.mean((low <= 0) & (high >= 0), axis=1), 100 * np.mean(low > 0, axis=1)
            width = np.mean(high - low, axis=1) / (2 * 1.96 * se)
            row = " | ".join(f"{c:.1f}, {h:.1f} ({w:.2f})" for c, h, w in zip(covers, helps, width, strict=True))
            print(f"| {kind} | {draws} | {row} |", flush=True)
    print(f"\n{args.studies} studies per row, {args.replicates} replicates, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
