"""Coverage, width and false claims of the interval on simulated studies, beside four usual practices.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/coverage.py --studies 1000 --kinds dice,tail,log_loss,auc
prints a Markdown table; the seeds are fixed. The oracle's width is 2 × 1.96 × the true standard error of the estimate.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import stats
from simulate import Simulated, classified, dice_like

from scanprior.evidence.interval import cells_of, interval, over_budgets

EFFECTS = {"dice": 0.02, "tail": 0.02, "skewed": 0.02, "log_loss": 0.5, "auc": 0.5, "auc_cv": 0.5}


def make(kind: str, rng, patients: int, draws: int, effect: float) -> Simulated:
    """One simulated study of a kind."""
    if kind == "dice":
        return dice_like(rng, patients, draws, effect)
    if kind == "skewed":
        return dice_like(rng, patients, draws, effect, skew=0.6)
    if kind == "tail":
        return dice_like(rng, patients, draws, effect, tail=True)
    return classified(rng, patients, draws, effect, metric=kind.split("_cv")[0], folds=3 if kind.endswith("_cv") else 1)


def intervals(study: Simulated, seed: int, replicates: int) -> tuple[float, dict[str, tuple[float, float]]]:
    """The estimate, our interval, and those of the naive practices."""
    cells = cells_of(study.one)
    if study.other is not None:
        cells = cells.minus(cells_of(study.other))
    (values, influence), _ = over_budgets(cells)
    primary = interval(values, influence, study.one.stratum, 0.95)
    reps = resampled(study, seed, replicates)
    shares = np.random.default_rng([seed, 2]).multinomial(
        len(values), np.full(len(values), 1 / len(values)), replicates
    )
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return primary.estimate, {
        "scanprior": (primary.low, primary.high),
        "two-way percentile": tuple(np.quantile((reps * shares).sum(1) / len(values), [0.025, 0.975])),
        "patients only": tuple(np.quantile(reps.mean(1), [0.025, 0.975])),
        "one draw": tuple(np.quantile(reps[:, 0], [0.025, 0.975])),
        "t over draws": (values.mean() - half, values.mean() + half),
    }


def resampled(study: Simulated, seed: int, replicates: int):
    """(replicates, draws) differences over patients drawn with replacement, within classes for the AUC."""
    stratum = study.one.stratum
    rng = np.random.default_rng([seed, 0])
    weights = np.zeros((replicates, len(stratum)))
    for kind in range(stratum.max() + 1):
        rows = np.flatnonzero(stratum == kind)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=replicates)
    found = study.one.cells(weights)
    return (found if study.other is None else found - study.other.cells(weights)).mean(2)


def run_cell(kind: str, patients: int, draws: int, effect: float, studies: int, replicates: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng([20261124, sorted(EFFECTS).index(kind), patients, draws, int(effect > 0)])
    hits: dict[str, list[tuple[bool, bool, bool]]] = {}
    widths: list[float] = []
    estimates: list[float] = []
    study = make(kind, rng, patients, draws, effect)
    for number in range(studies):
        study = make(kind, rng, patients, draws, effect)
        delta = study.truth.delta
        estimate, found = intervals(study, number, replicates)
        estimates.append(estimate)
        for name, (low, high) in found.items():
            hits.setdefault(name, []).append((low <= delta <= high, low > delta, high < delta))
        widths.append(found["scanprior"][1] - found["scanprior"][0])
    se = study.truth.se if np.isfinite(study.truth.se) else float(np.std(estimates))
    cover, above, below = (100 * np.mean(hits["scanprior"], axis=0)).tolist()
    rivals = " | ".join(f"{100 * np.mean(hits[name], axis=0)[0]:.1f}" for name in list(hits)[1:])
    ratio = np.mean(widths) / (2 * 1.96 * se)
    return (f"| {kind} | {patients} | {draws} | {study.truth.delta:.3f} | {cover:.1f} | {above:.1f} | {below:.1f} "
            f"| {np.mean(widths):.3f} | {ratio:.2f} | {rivals} |")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--kinds", default="dice,tail,log_loss,auc")
    parser.add_argument("--patients", default="30,60,100")
    parser.add_argument("--draws", default="5,10,20")
    parser.add_argument("--effects", default="none,some")
    args = parser.parse_args()
    start = time.monotonic()
    print("| scores | patients | draws | true Δ | covers % | too high % | too low % | width | ÷ oracle "
          "| two-way percentile | patients only | one draw | t over draws |\n" + "|---" * 13 + "|")  # fmt: skip
    for kind in args.kinds.split(","):
        for effect in args.effects.split(","):
            for patients in map(int, args.patients.split(",")):
                for draws in map(int, args.draws.split(",")):
                    size = EFFECTS[kind] if effect == "some" else 0.0
                    print(run_cell(kind, patients, draws, size, args.studies, args.replicates), flush=True)
    print(f"\n{args.studies} studies per row, {args.replicates} replicates, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
