"""How much each prior is worth: patch accuracy of arms that start from one, less that of the best arm that doesn't.

SCANPRIOR_DATA=… python benchmarks/learning/prior_strength.py [--draws 10] [--trials 2] [--width 32] [--background near] …

Hippocampus, 13³ patches: priors see 70 pool patients without labels; arms see 2, 4 or 8 labelled patients, validation
included; balanced accuracy over 3 classes on the patches of 60 unseen patients. Every arm gets the same number of
trials, chosen by its validation patients; at each budget the best arm with a prior and the best without are those of
the highest mean validation score. 95 % intervals: patients and draws resampled together (two-way bootstrap).
--width is that of every convolutional network, with a prior and without (16 in the pipeline). Every prior and every
fit is kept in --work, so that a run that was stopped goes on and several processes may share the --arms between them;
--report prints what there is. Results are kept per width.
"""

from __future__ import annotations

import argparse
import json
import os
import platform

os.environ["OMP_NUM_THREADS"] = "1"

import hashlib
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from patch_accuracy import POOL, SIZE, TEST, load

from scanprior.learning.arm import Arm, Setup
from scanprior.learning.bags import Bags
from scanprior.learning.convolutional_pretraining import pretrain_autoencoder, pretrain_machines, pretrain_placed
from scanprior.learning.pretraining import pretrain
from scanprior.learning.prior import load_prior, save_prior
from scanprior.learning.registry import make_arm
from scanprior.learning.tuning import trial_settings
from scanprior.patches import sampling
from scanprior.patches.store import PatchStore

BUDGETS, PER_SCAN, LAYERS, RESAMPLES = (2, 4, 8), 400, (400, 200), 2000
WITHOUT = ("cnn", "mlp", "logistic")
CONVOLUTIONAL = ("conv_dbn", "conv_autoencoder", "conv_dbn_placed")
ABLATION = "cnn_placed"  # the placed prior without its machines: not a candidate, it shows what they add
ARMS = (*WITHOUT, *CONVOLUTIONAL, ABLATION, "dbn")
RESULTS = Path(__file__).parents[1] / "results"


def seeds(*names: str | int) -> int:
    """Seeds by name."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


class Cohort:
    """Patches with classes of every patient, and who is tested, unlabelled and labelled."""

    def __init__(self, folder: Path) -> None:
        patients, scans = load(folder)
        self.scans, self.patient_of_scan = scans, np.array(patients)
        self.store = PatchStore([scan.image for scan in scans], SIZE)
        drawn = [
            sampling.balanced_positions(scan.allowed, scan.labels, 3, PER_SCAN, np.random.default_rng(row))
            for row, scan in enumerate(scans)
            if scan.labels is not None
        ]
        self.rows = np.repeat(np.arange(len(scans)), [len(targets) for _, targets in drawn])
        self.centres, self.targets = (np.concatenate(part) for part in zip(*drawn, strict=True))
        self.owner = self.patient_of_scan[self.rows]
        order = np.random.default_rng(1).permutation(np.unique(self.patient_of_scan))
        self.test, self.pool, self.labelled = order[:TEST], order[TEST : TEST + POOL], order[TEST + POOL :]

    def bags(self, patients: np.ndarray) -> Bags:
        """Every patch of some patients."""
        kept = np.isin(self.owner, patients)
        return Bags.of_patches(self.store, self.rows[kept], self.centres[kept], self.targets[kept])

    def unlabelled(self, per_scan: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scan, centre and place (mm from the scan's middle; nan beyond its edges) of the patches that priors learn from."""
        chosen = np.flatnonzero(np.isin(self.patient_of_scan, self.pool))
        centres = [
            sampling.uniform_positions(self.scans[row].allowed, per_scan, np.random.default_rng(row)) for row in chosen
        ]
        rows, every = np.repeat(chosen, [len(part) for part in centres]), np.concatenate(centres)
        middle = (np.array([scan.image.shape for scan in self.scans])[rows] - 1) / 2
        places = (every - middle).astype(np.float32)
        places[~self.store.inside(rows, every)] = np.nan
        return rows, every, places


def prior_of(cohort: Cohort, name: str, work: Path, options: argparse.Namespace) -> Any:
    """The prior that an arm starts from, trained unless it is there."""
    folder = work / f"prior-{name}"
    if not (folder / "prior.safetensors").exists():
        rows, centres, places = cohort.unlabelled(options.pool_patches)
        placed = partial(
            pretrain_placed, places=lambda chosen: torch.from_numpy(places[chosen.numpy()]), width=options.width,
            epochs=options.place_epochs,
        )  # fmt: skip
        ways: dict[str, Callable[..., Any]] = {
            "dbn": partial(pretrain, layers=LAYERS, epochs=options.epochs),
            "conv_dbn": partial(pretrain_machines, width=options.width, epochs=options.epochs),
            "conv_autoencoder": partial(pretrain_autoencoder, width=options.width, epochs=options.epochs),
            "conv_dbn_placed": partial(placed, machine_epochs=options.epochs),
            ABLATION: partial(placed, machine_epochs=0),
        }  # fmt: skip
        machines = "conv_dbn" if name == "conv_dbn_placed" else name  # the very same machines, trained once
        began = time.process_time()
        result = ways[name](
            lambda chosen: torch.from_numpy(cohort.store.gather(rows[chosen.numpy()], centres[chosen.numpy()])),
            len(rows), patch_size=SIZE, seeds=seeds, work=work / f"training-{machines}", accelerator=options.accelerator,
        )  # fmt: skip
        seconds = round(time.process_time() - began, 1)
        save_prior(result.prior, folder, {"measured": result.measured, "training": {"cpu_seconds": seconds}})
        print(f"prior of {name}: {len(rows)} patches, {seconds} s", flush=True)
    return load_prior(folder)


def arm_of(cohort: Cohort, name: str, work: Path, options: argparse.Namespace) -> Arm:
    """The arm, with its prior."""
    prior = None if name in WITHOUT else prior_of(cohort, name, work, options)
    setup = Setup(3, SIZE, LAYERS, "rectified", prior, accelerator=options.accelerator, width=options.width)
    return make_arm("conv_dbn_placed" if name == ABLATION else name, setup)


def cell(cohort: Cohort, arm: Arm, test: Bags, budget: int, draw: int, trials: int) -> dict[str, Any]:
    """Validation scores of all trials and, for the chosen one, right and all patches per test patient and class."""
    chosen = np.random.default_rng(100 + draw).permutation(cohort.labelled)[:budget]
    valid = np.arange(budget) % 4 == 1
    train_bags, valid_bags = cohort.bags(chosen[~valid]), cohort.bags(chosen[valid])
    began = time.process_time()
    fits = [
        arm.fit(train_bags, valid_bags, seeds("fit", draw, budget), settings=trial_settings(arm.space, trial, seeds))
        for trial in range(trials)
    ]
    seconds = time.process_time() - began
    best = max(fits, key=lambda fit: (fit.score, -min(row.valid_loss for row in fit.history)))
    guesses = best.predictor.bag_logits(test).argmax(1)
    owner = cohort.owner[np.isin(cohort.owner, cohort.test)]
    table = np.zeros((len(cohort.test), 3, 2), int)
    place = {patient: row for row, patient in enumerate(cohort.test)}
    rows = np.array([place[patient] for patient in owner])
    np.add.at(table, (rows, test.targets, 1), 1)
    np.add.at(table, (rows, test.targets, 0), guesses == test.targets)
    return {
        "valid": [fit.score for fit in fits],
        "chosen": fits.index(best),
        "seconds": seconds,
        "table": table.tolist(),
    }


def kept(file: Path) -> dict[str, Any]:
    """The cells in `file`, by key."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {one["key"]: one for one in map(json.loads, lines)}


def accuracy(tables: np.ndarray) -> np.ndarray:
    """Balanced accuracy of (…, patients, classes, 2)."""
    total = tables.sum(-3)
    return (total[..., 0] / total[..., 1]).mean(-1)


def interval(one: np.ndarray, other: np.ndarray) -> list[float]:
    """95 % interval of the mean difference over draws of (draws, patients, classes, 2), draws and patients resampled."""
    rng, found = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        draws, patients = rng.integers(len(one), size=len(one)), rng.integers(one.shape[1], size=one.shape[1])
        chosen = np.ix_(draws, patients)
        found.append(float((accuracy(one[chosen]) - accuracy(other[chosen])).mean()))
    return [round(float(value), 4) for value in np.quantile(found, [0.025, 0.975])]


def report(cells: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Accuracies per arm and budget, and the two differences that count, from the draws that every arm has."""
    result: dict[str, Any] = {**facts, "budgets": {}}
    for budget in BUDGETS:
        names = [name for name in ARMS if any(key.startswith(f"{name}/{budget}/") for key in cells)]
        if not any(name in WITHOUT for name in names):
            continue
        draws = [draw for draw in range(facts["draws"]) if all(f"{name}/{budget}/{draw}" in cells for name in names)]
        if not draws:
            continue
        tables = {name: np.array([cells[f"{name}/{budget}/{draw}"]["table"] for draw in draws]) for name in names}
        valid = {
            name: float(np.mean([max(cells[f"{name}/{budget}/{draw}"]["valid"]) for draw in draws])) for name in names
        }
        reference = max((name for name in names if name in WITHOUT), key=lambda name: valid[name])
        row: dict[str, Any] = {"draws": len(draws), "best without a prior": reference, "arms": {}}
        for name in names:
            scores = accuracy(tables[name])
            row["arms"][name] = {
                "accuracy": round(float(scores.mean()), 4), "deviation of draws": round(float(scores.std()), 4),
                "validation": round(valid[name], 4),
                "less best without": round(float((scores - accuracy(tables[reference])).mean()), 4),
                "interval": interval(tables[name], tables[reference]),
                "fit seconds": round(float(np.mean([cells[f"{name}/{budget}/{draw}"]["seconds"] for draw in draws])), 1),
            }  # fmt: skip
        candidates = [name for name in names if name not in (*WITHOUT, ABLATION)]
        if candidates:
            row["best prior"] = max(candidates, key=lambda name: valid[name])
            row["gain"] = row["arms"][row["best prior"]]["less best without"]
            row["gain interval"] = row["arms"][row["best prior"]]["interval"]
        result["budgets"][str(budget)] = row
    return result


def show(result: dict[str, Any]) -> None:
    """The table."""
    for budget, row in result["budgets"].items():
        print(
            f"\n{budget} labelled patients, {row['draws']} draws; best without a prior by validation: {row['best without a prior']}"
        )
        for name, one in row["arms"].items():
            low, high = one["interval"]
            print(
                f"  {name:18s} {one['accuracy']:.3f} ± {one['deviation of draws']:.3f}   validation {one['validation']:.3f}"
                f"   difference {one['less best without']:+.3f} [{low:+.3f}, {high:+.3f}]   {one['fit seconds']:.1f} s"
            )
        if "gain" in row:
            low, high = row["gain interval"]
            print(f"  best prior by validation: {row['best prior']}, {row['gain']:+.3f} [{low:+.3f}, {high:+.3f}]")


def main() -> None:
    """Fit what is missing, then print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--width", type=int, default=32, help="kernels of the first convolution")
    parser.add_argument("--pool-patches", type=int, default=1500, help="per scan, that priors learn from")
    parser.add_argument("--epochs", type=int, default=3, help="of every prior, per layer")
    parser.add_argument("--place-epochs", type=int, default=12, help="of the placed priors' second part")
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--background", choices=["near", "uniform"], default="near", help="see patch_accuracy.py")
    parser.add_argument("--work", type=Path, default=Path("work/prior_strength"))
    parser.add_argument("--report", action="store_true", help="only print what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = torch.cuda.get_device_name() if options.accelerator == "gpu" else torch.backends.cpu.get_cpu_capability()
    facts = {"draws": options.draws, "trials": options.trials, "width": options.width, "patches per pool scan": options.pool_patches,
             "epochs": options.epochs, "place epochs": options.place_epochs, "background": options.background,
             "machine": f"{platform.machine()}, {machine}", "date": str(date.today())}  # fmt: skip
    priors = f"{options.width}-{options.pool_patches}-{options.epochs}-{options.place_epochs}"
    work = options.work / f"{options.background}-{options.trials}-{priors}"
    work.mkdir(parents=True, exist_ok=True)
    file = work / "cells.jsonl"
    cells = kept(file)
    if not options.report:
        if options.background == "uniform":
            sampling.NEAR = 1000
        cohort = Cohort(Path(os.environ["SCANPRIOR_DATA"]) / "hippocampus")
        arms = {name: arm_of(cohort, name, options.work / f"priors-{priors}", options) for name in options.arms}
        test = cohort.bags(cohort.test)
        for draw in range(options.draws):
            for budget in BUDGETS:
                for name, arm in arms.items():
                    key = f"{name}/{budget}/{draw}"
                    if key not in cells:
                        cells[key] = {"key": key, **cell(cohort, arm, test, budget, draw, options.trials)}
                        with file.open("a") as stream:
                            stream.write(json.dumps(cells[key]) + "\n")
            print(f"draw {draw} done", flush=True)
    result = report(kept(file), facts)  # with what other processes have done meanwhile
    show(result)
    RESULTS.mkdir(exist_ok=True)
    name = f"prior_strength_{options.width}" + ("" if options.background == "near" else "_uniform")
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
