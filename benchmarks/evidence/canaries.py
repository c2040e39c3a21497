"""How often each canary cries in healthy studies; it must be at most once in a thousand.

python benchmarks/evidence/canaries.py [--studies 20000] [--to FOLDER]

A study is simulated from the canary's own features on: labels that mean nothing, the pipeline's head or its linear stand-in (ridge
regression on the labels, so that 20,000 studies take seconds), the pipeline's decision rule. Finished cells are kept in the folder,
so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib

os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from scanprior.evidence.canary import agreed, at_chance, found, ranked
from scanprior.learning.arm import log_softmax
from scanprior.learning.canaries import chance_hits
from scanprior.learning.logistic_head import fit_head


class Cell(NamedTuple):
    """Patients with labels, folds (1: a third is tested once), features, and how the head is fitted."""

    canary: str
    patients: int
    folds: int
    features: int
    head: str  # ridge, or logistic: the pipeline's own


CELLS = [
    *(Cell("patches", n, 1, 0, "any") for n in (4, 60)),
    *(Cell("permuted", *size, "ridge") for size in ((36, 3, 2), (36, 3, 300), (60, 3, 300), (100, 5, 20), (90, 1, 20))),
    *(Cell("border", *size, "ridge") for size in ((36, 3, 78), (90, 1, 78))),
    Cell("border", 36, 3, 78, "logistic"),
    Cell("permuted", 36, 3, 300, "logistic"),
    Cell("planted", 30, 3, 100, "logistic"),
]  # fmt: skip


def features(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """(patients, features): a few causes in common and noise; the border's are skewed, as air is."""
    shared = rng.normal(size=(cell.patients, 5)) @ rng.normal(size=(5, cell.features))
    values = shared + rng.normal(size=(cell.patients, cell.features))
    return np.exp(values / 2) if cell.canary == "border" else values


def probabilities(train: np.ndarray, labels: np.ndarray, test: np.ndarray, cell: Cell) -> np.ndarray:
    """(tested, 2) from the head."""
    if cell.head == "logistic":
        head = fit_head(train.copy(), labels, 2, 1e-1 if cell.canary == "border" else 1e-3, 0)
        return np.exp(log_softmax(test @ head.weight.T + head.bias))
    centre, scale = train.mean(0), train.std(0) + 1e-3
    train, test = (train - centre) / scale, (test - centre) / scale
    kernel = train @ train.T
    ridge = 0.1 * np.trace(kernel) / len(kernel)
    weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), labels - labels.mean())
    score = stats.norm.cdf(test @ (train.T @ weights))
    return np.stack([1 - score, score], axis=1)


def cries(cell: Cell, rng: np.random.Generator) -> bool:
    """Whether the canary cries in one healthy study."""
    if cell.canary == "patches":
        rows = []
        for _ in range(cell.patients):
            targets = rng.permutation(np.repeat(np.arange(3), 67))
            guesses = rng.choice(3, len(targets), p=rng.dirichlet(np.ones(3)))
            rows.append(((guesses == targets).sum(), *chance_hits(guesses, targets, 3), len(targets)))
        return not at_chance("permuted", agreed(*np.array(rows, dtype=float).T, folds=1)).passed
    label = np.arange(cell.patients) % 2
    fold = np.arange(cell.patients) // 2 % max(cell.folds, 3)
    values = features(cell, rng)
    if cell.canary == "planted":  # one deviation of the intensities in every feature, beside patients' own brightness
        values += 1.0 * label[:, None] * np.sqrt(6) + 0.3 * rng.normal(size=(cell.patients, 1))
    probability = np.zeros((cell.patients, 2))
    tested = fold < cell.folds if cell.folds > 1 else fold == 0
    for one in np.unique(fold[tested]):
        train = fold != one
        probability[fold == one] = probabilities(values[train], label[train], values[fold == one], cell)
    score = ranked(probability[tested], label[tested], fold[tested])
    return not (found("planted", score) if cell.canary == "planted" else at_chance(cell.canary, score)).passed


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--to", type=Path, default=Path("results/benchmarks/canaries"))
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    print("canary    patients  folds  features  head        cried in       of   rate (95 % interval)       target")
    for cell in CELLS:
        file = options.to / ("-".join(map(str, (*cell, options.studies))) + ".json")
        if not file.exists():
            rng = np.random.default_rng([1, zlib.crc32(repr(cell).encode())])
            file.write_text(json.dumps(sum(cries(cell, rng) for _ in range(options.studies))))
        cried = int(json.loads(file.read_text()))
        exact = stats.binomtest(cried, options.studies).proportion_ci(0.95)
        rate = f"{100 * cried / options.studies:.3f} % ({100 * exact.low:.3f} to {100 * exact.high:.3f})"
        print(f"{cell.canary:9s} {cell.patients:8d} {cell.folds:6d} {cell.features:9d}  {cell.head:9s} {cried:10d} "
              f"{options.studies:8d}   {rate:26s} 0.1 %", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
