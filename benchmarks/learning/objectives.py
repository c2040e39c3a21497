"""Which objective trains the best prior for the hippocampus study, judged without its test patients.

SCANPRIOR_DATA=… python benchmarks/learning/objectives.py [--draws 5] [--trials 1] [--epochs 4] [--per-scan 150]

Cohort, patches, layers and cells are those of prior_strength.py, but the 60 test patients stay out of it: of 40 labelled
patients 24 are judged and 16 lend their labels, 2, 4 or 8 in a draw, validation included. The score is the balanced accuracy
of the fine-tuned prior over 3 classes on the patches of the 24. All priors share seeds, patches, draws and settings; the
difference to cd1 of the same hidden units has a 95 % interval over draws and patients (two-way bootstrap), of one prior each.
Every prior and every cell is kept in --work, so that a run that was stopped goes on; --report prints what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform

os.environ["OMP_NUM_THREADS"] = "1"

import time
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import prior_strength
import torch
from patch_accuracy import SIZE
from prior_strength import BUDGETS, LAYERS, Cohort, accuracy, cell, interval, seeds

from scanprior.learning.arm import Setup
from scanprior.learning.pretraining import pretrain
from scanprior.learning.prior import load_prior, save_prior
from scanprior.learning.registry import make_arm

LABELLED, LENDERS = 40, 16
RESULT = Path(__file__).parents[1] / "results" / "objectives.json"


class Way(NamedTuple):
    """One way to train a prior."""

    hidden: str
    objective: str
    centered: bool = True

    @property
    def name(self) -> str:
        """bernoulli cd1, bernoulli cd1 plain (not centered), …"""
        return f"{self.hidden} {self.objective}{'' if self.centered else ' plain'}"


WAYS = (
    Way("rectified", "cd1"), Way("rectified", "cd5-sampled"), Way("rectified", "cd1", centered=False),
    Way("bernoulli", "cd1"), Way("bernoulli", "cd5-sampled"), Way("bernoulli", "pcd1"),
    Way("bernoulli", "cd1", centered=False),
)  # fmt: skip


def prior_of(cohort: Cohort, way: Way, work: Path, epochs: int) -> Any:
    """The prior, trained on the pool unless it is there."""
    folder = work / f"prior-{way.name.replace(' ', '-')}"
    if not (folder / "prior.safetensors").exists():
        rows, centres, _ = cohort.unlabelled(prior_strength.PER_SCAN)
        began = time.process_time()
        result = pretrain(
            lambda chosen: torch.from_numpy(cohort.store.gather(rows[chosen.numpy()], centres[chosen.numpy()])),
            len(rows), patch_size=SIZE, seeds=seeds, work=folder / "training", layers=LAYERS, epochs=epochs, **way._asdict(),
        )  # fmt: skip
        seconds = round(time.process_time() - began, 1)
        save_prior(result.prior, folder, {"measured": result.measured, "training": {"cpu_seconds": seconds}})
        print(f"{way.name}: {len(rows)} patches, {seconds} s of processor", flush=True)
    return load_prior(folder)


def report(cells: dict[str, Any], facts: dict[str, Any], work: Path) -> dict[str, Any]:
    """Accuracy per way and budget beside cd1 of the same units, from the draws that every way has."""
    result: dict[str, Any] = {**facts, "prior cpu seconds": {}, "budgets": {}}
    for way in WAYS:
        card = work / f"prior-{way.name.replace(' ', '-')}" / "card.json"
        if card.exists():
            result["prior cpu seconds"][way.name] = json.loads(card.read_text())["training"]["cpu_seconds"]
    for budget in BUDGETS:
        draws = [
            draw for draw in range(facts["draws"]) if all(f"{way.name}/{budget}/{draw}" in cells for way in WAYS)
        ]  # fmt: skip
        if not draws:
            continue
        tables = {
            way: np.array([cells[f"{way.name}/{budget}/{draw}"]["table"] for draw in draws]) for way in WAYS
        }  # fmt: skip
        rows: dict[str, Any] = {}
        for way, table in tables.items():
            scores, reference = accuracy(table), tables[Way(way.hidden, "cd1")]
            rows[way.name] = {
                "accuracy": round(float(scores.mean()), 4), "deviation of draws": round(float(scores.std()), 4),
                "less cd1": round(float((scores - accuracy(reference)).mean()), 4), "interval": interval(table, reference),
            }  # fmt: skip
        result["budgets"][str(budget)] = {"draws": len(draws), "ways": rows}
    return result


def show(result: dict[str, Any]) -> None:
    """The table."""
    for budget, row in result["budgets"].items():
        print(f"\n{budget} labelled patients, {row['draws']} draws")
        for name, one in row["ways"].items():
            low, high = one["interval"]
            print(
                f"  {name:24s} {one['accuracy']:.3f} ± {one['deviation of draws']:.3f}   less cd1 {one['less cd1']:+.3f}"
                f" [{low:+.3f}, {high:+.3f}]   prior {result['prior cpu seconds'][name]:.0f} s"
            )


def main() -> None:
    """Train and fit what is missing, then print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--trials", type=int, default=1, help="settings of the arm, the same for every way")
    parser.add_argument("--epochs", type=int, default=4, help="of every prior, per layer")
    parser.add_argument("--per-scan", type=int, default=150, help="patches, of priors and of arms")
    parser.add_argument("--work", type=Path, default=Path("work/objectives"))
    parser.add_argument("--report", action="store_true", help="only print what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = {"draws": options.draws, "trials": options.trials, "epochs": options.epochs, "patches per scan": options.per_scan,
             "layers": list(LAYERS), "lenders": LENDERS, "judged": LABELLED - LENDERS,
             "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}", "date": str(date.today())}  # fmt: skip
    work = options.work / f"{options.per_scan}-{options.epochs}"
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"cells-{options.trials}.jsonl"
    cells = {one["key"]: one for one in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    if not options.report:
        prior_strength.PER_SCAN = options.per_scan
        cohort = Cohort(Path(os.environ["SCANPRIOR_DATA"]) / "hippocampus")
        labelled = cohort.labelled[:LABELLED]
        cohort.labelled, cohort.test = labelled[:LENDERS], labelled[LENDERS:]
        judged = cohort.bags(cohort.test)
        for draw in range(options.draws):
            for budget in BUDGETS:
                for way in WAYS:
                    key = f"{way.name}/{budget}/{draw}"
                    if key not in cells:
                        prior = prior_of(cohort, way, work, options.epochs)
                        arm = make_arm("dbn", Setup(3, SIZE, LAYERS, way.hidden, prior))
                        cells[key] = {"key": key, **cell(cohort, arm, judged, budget, draw, options.trials)}
                        with file.open("a") as stream:
                            stream.write(json.dumps(cells[key]) + "\n")
            print(f"draw {draw} done", flush=True)
    result = report(cells, facts, work)
    show(result)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
