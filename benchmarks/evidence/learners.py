"""Coverage with real learners on simulated patients: training sides overlap between draws, as they do in a study.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/evidence/learners.py --studies 500
Patients have 30 features, of which 3 tell the class. `scratch` is ridge regression on 10 random projections, drawn anew
for each model as random starts are; the arm beside it is a second such arm (no effect) or sees the 3 features with 7
random projections (an effect). Truth: the mean difference over 4 times as many cohorts, so that sides and labels vary.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time

import numpy as np

from scanprior.evidence.interval import cells_of, interval, over_budgets
from scanprior.evidence.metrics import contests, log_score
from scanprior.evidence.splits import Patients, Request, make_split, members
from scanprior.evidence.statistic import MeanStatistic, PairStatistic

FEATURES, TOLD, SEEN = 30, 3, 10
SCHEMES = {
    "cv 36": (36, Request("cv", ("a", "b"), (8, 16, 24), draws=5, folds=3)),
    "cv 60": (60, Request("cv", ("a", "b"), (8, 16, 32), draws=5, folds=3)),
    "holdout 40 + 60": (100, Request("holdout", ("a", "b"), (4, 8, 16, 40), draws=5, test=60)),
    "holdout 80 + 60": (140, Request("holdout", ("a", "b"), (4, 8, 16, 40), draws=5, test=60)),
}


def seeds_of(number: int):
    """Seeds by name, as a study has them."""
    return lambda *names: int.from_bytes(hashlib.sha256(json.dumps([number, *names]).encode()).digest()[:4], "big")


def cohort(rng, patients: int):
    """Features (patients, FEATURES) and labels."""
    label = np.arange(patients) % 2
    x = rng.normal(size=(patients, FEATURES))
    x[:, :TOLD] += 0.6 * (label[:, None] - 0.5) * 2 * 0.5
    return x, label


def model(rng, x, label, train, told: bool):
    """Log-odds of everyone from a ridge fit on `train`."""
    if told:
        mixed = x[:, TOLD:] @ rng.normal(size=(FEATURES - TOLD, SEEN - TOLD)) / np.sqrt(FEATURES - TOLD)
        seen = np.concatenate([x[:, :TOLD], mixed], 1)
    else:
        seen = x @ rng.normal(size=(FEATURES, SEEN)) / np.sqrt(FEATURES)
    a, y = seen[train], 2.0 * label[train] - 1
    weight = np.linalg.solve(a.T @ a + 3.0 * np.eye(SEEN), a.T @ (y - y.mean()))
    return 2 * ((seen - a.mean(0)) @ weight)


def study(number: int, scheme: str, effect: bool):
    """Probabilities (arms, draws, budgets, patients, 2), labels and folds of one simulated study."""
    patients, request = SCHEMES[scheme]
    rng = np.random.default_rng([5, number, patients, len(request.budgets), int(effect)])
    x, label = cohort(rng, patients)
    rows = Patients(tuple(label.tolist()), tuple(range(patients)), (None,) * patients)
    split = make_split(rows, request, seeds_of(number))
    p = np.full((2, request.draws, len(request.budgets), patients, 2), np.nan)
    fold = np.full((request.draws, patients), -1)
    for draw in split.draws:
        test = np.array(draw.test)
        fold[draw.draw, test] = draw.fold
        for b, budget in enumerate(request.budgets):
            train = [row for side in members(draw.order, budget, 2) for row in side]
            for arm in range(2):
                q = 1 / (1 + np.exp(-model(rng, x, label, train, effect and arm == 0)[test]))
                p[arm, draw.draw, b, test] = np.stack([1 - q, q], -1)
    return p, label, fold


def statistics(p, label, fold, metric: str):
    """One statistic per arm."""
    if metric == "auc":
        return [PairStatistic(contests(arm, label, fold), len(label)) for arm in p]
    return [MeanStatistic(log_score(arm, label)) for arm in p]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--designs", default=",".join(SCHEMES))
    args = parser.parse_args()
    start = time.monotonic()
    print(
        "| design | scores | true Δ | covers % | too high % | too low % | width | SD of the estimate |\n"
        + "|---" * 8
        + "|"
    )
    for scheme in args.designs.split(","):
        for effect in (False, True):
            found = {"auc": ([], []), "log_loss": ([], [])}
            for number in range(4 * args.studies):
                p, label, fold = study(number, scheme, effect)
                for metric, (estimates, edges) in found.items():
                    both = statistics(p, label, fold, metric)
                    unit = (both[0].stratum >= 0).astype(float)[None]
                    estimates.append(float(np.nanmean(both[0].cells(unit) - both[1].cells(unit))))
                    if number < args.studies:
                        cells = cells_of(both[0]).minus(cells_of(both[1]))
                        primary = interval(*over_budgets(cells)[0], both[0].stratum, 0.95)
                        edges.append((primary.low, primary.high))
            for metric, (estimates, edges) in found.items():
                truth = float(np.mean(estimates)) if effect else 0.0
                low, high = np.array(edges).T
                above, below = 100 * np.mean(low > truth), 100 * np.mean(high < truth)
                print(f"| {scheme} | {metric} | {truth:.3f} | {100 - above - below:.1f} | {above:.1f} | {below:.1f} "
                      f"| {np.mean(high - low):.3f} | {np.std(estimates):.3f} |", flush=True)  # fmt: skip
    print(f"\n{args.studies} studies per row, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
