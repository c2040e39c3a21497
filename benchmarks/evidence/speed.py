"""Time of the whole evidence step: 100 patients × 6 budgets × 20 draws × 8 arms, all curves and comparisons.

    OMP_NUM_THREADS=1 python benchmarks/evidence/speed.py
prints wall and CPU seconds for Dice-like scores and for the AUC (target: 20 s).
"""

from __future__ import annotations

import time

import numpy as np

from scanprior.evidence.analysis import Comparer, Rules, secondary_pairs
from scanprior.evidence.metrics import contests, placements
from scanprior.evidence.tables import Arm, Design

PATIENTS, DRAWS, BUDGETS = 100, 20, (2, 4, 8, 16, 32, 64)
PRIORS = ("dbn", "dbn_bernoulli")
ARMS = (*PRIORS, "scratch", "scratch_bernoulli", "mlp", "cnn", "logistic", "pca_logistic")


def arms_for(metric: str, design: Design, rng) -> list[Arm]:
    """Invented scores of all arms."""
    shape = (DRAWS, len(BUDGETS), PATIENTS)
    found: list[Arm] = []
    for name in ARMS:
        if metric == "dice":
            found.append(Arm(name, rng.uniform(0.6, 0.9, shape), None, 0))
            continue
        p = 1 / (1 + np.exp(-(design.label - 0.5 + rng.normal(size=shape))))
        both = np.stack([1 - p, p], -1)
        found.append(Arm(name, placements(contests(both, design.label, design.fold), PATIENTS), both, 0))
    return found


def main() -> None:
    """Print the times."""
    names = tuple(f"P-{i}" for i in range(PATIENTS))
    for metric in ("dice", "auc"):
        label = np.arange(PATIENTS) % 2 if metric == "auc" else np.zeros(PATIENTS, dtype=np.int64)
        fold = np.zeros((DRAWS, PATIENTS), dtype=np.int64)
        design = Design(names, label, fold, ("well", "ill"), BUDGETS, metric)
        arms = {arm.name: arm for arm in arms_for(metric, design, np.random.default_rng(0))}
        wall, cpu = time.monotonic(), time.process_time()
        comparer = Comparer(design, Rules(0.02, 0.95), lambda *_: 1)
        for arm in arms.values():
            comparer.curve(arm)
        partners = {"dbn": "scratch", "dbn_bernoulli": "scratch_bernoulli"}
        pairs = [("dbn", "scratch"), *secondary_pairs(list(arms), partners, "cnn", ("dbn", "scratch"))]
        for one, other in pairs:
            comparer.compare(arms[one], arms[other])
        comparer.savings(arms["dbn"], arms["scratch"])
        print(f"{metric}: {time.monotonic() - wall:.1f} s wall, {time.process_time() - cpu:.1f} s CPU")


if __name__ == "__main__":
    main()
