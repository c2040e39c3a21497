"""A finished study in a temporary folder as the stages around split and evaluate leave it: tables, no scan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from scanprior.evidence.splits import members
from scanprior.study import Study

HEAD = """
study: fake
cohort: {scans: scans, simulated: true, LABELS}
task: TASK
privacy: {key: public}
engine: {shards: 1}
arms: [ARMS]
evaluation: EVALUATION
"""


def make_study(house: Path, *, arms: str, evaluation: str, voxel: bool = False, together: str = "") -> Study:
    """Write the study file; nothing else exists yet."""
    labels = "label_maps: maps" if voxel else "labels: labels.csv"
    labels += ", columns: {split: split}" if "given" in evaluation else ""
    labels += ", columns: {site: site}" if "sites" in evaluation else ""
    labels += f", together: {together}" if together else ""
    task = "{kind: voxel, classes: {1: front, 2: back}}" if voxel else "{kind: patient, positive: ill}"
    text = HEAD.replace("LABELS", labels).replace("TASK", task).replace("ARMS", arms).replace("EVALUATION", evaluation)
    path = house / "study.yaml"
    path.write_text(text)
    study = Study.load(path)
    return Study(study.config, path, house)


def write_index(study: Study, patients: pd.DataFrame) -> None:
    """index/patients.parquet with the contract's columns."""
    full = pd.DataFrame(
        {"age": None, "sex": None, "site": None, "split": None, "label": None, "n_scans": 1}, index=patients.index
    )
    for column in patients:
        full[column] = patients[column]
    scans = pd.DataFrame(
        {"scan": full["patient"].str.replace("P", "S"), "patient": full["patient"], "order": full["order"]}
    )
    scans = scans.assign(scanner="A", format="dicom", modality="MR", n_files=30, matrix="64×64×30")
    publish(study.folder("index"), {"patients.parquet": full, "scans.parquet": scans})


def publish(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables and the digests that the stage shell looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / name, index=False)
    (folder / "digests.json").write_text("{}")


def train_all(study: Study, *, gain: dict[str, float], seed: int = 0) -> None:
    """Predictions and validation tables for every arm and draw, each arm better by its `gain`."""
    for folder in study.inputs("evaluate"):
        if not folder.exists():
            publish(folder, {})
    split = json.loads((study.folder("split") / "split.json").read_text())
    table = pd.read_parquet(study.folder("index") / "patients.parquet").set_index("patient")
    rng = np.random.default_rng(seed)
    voxel = study.config.task.kind == "voxel"
    hardness = pd.Series(rng.normal(size=len(table)), index=table.index)
    for arm in study.config.arms:
        for number in range(study.config.evaluation.draws):
            rows, trials = [], []
            for draw in split["draws"]:
                if draw["draw"] != number:
                    continue
                for budget in split["budgets"]:
                    train, valid = members(draw["order"], budget, split["block"])
                    assert train and valid
                    trials.append({"budget": budget, "fold": draw["fold"], "trial": 0, "params": "{}", "seconds": 0.1,
                                   "score": 0.5 + gain[arm], "chosen": True})  # fmt: skip
                    for patient in draw["test"]:
                        row = {"budget": budget, "draw": number, "fold": draw["fold"], "patient": patient}
                        quality = gain[arm] + 0.3 * np.log2(budget)
                        if voxel:
                            dice = 1 / (1 + np.exp(-(quality + 0.3 * hardness[patient] + 0.1 * rng.normal())))
                            row |= {
                                "scan": patient.replace("P", "S"),
                                "dice_front": dice,
                                "dice_back": dice,
                                "dice": dice,
                            }
                        else:
                            sign = 1 if table.loc[patient, "label"] == "ill" else -1
                            p = 1 / (1 + np.exp(-(sign * quality + 1.5 * hardness[patient] + 0.5 * rng.normal())))
                            row |= {"p_well": 1 - p, "p_ill": p}
                        rows.append(row)
            tables = {"predictions.parquet": pd.DataFrame(rows), "validation.parquet": pd.DataFrame(trials)}
            publish(study.folder("train", f"{arm}/draw-{number}"), tables)
    for name in study.config.canaries:
        write_canary(study, name, quality=3.0 if name == "planted" else 0.0)


def write_canary(study: Study, name: str, *, quality: float) -> None:
    """What a canary leaves: predictions that are better than chance by `quality`, in logits or standard deviations."""
    split = json.loads((study.folder("split") / "split.json").read_text())
    tested = [(draw["fold"], patient) for draw in split["draws"] if draw["draw"] == 0 for patient in draw["test"]]
    rng = np.random.default_rng(len(name))
    rows = []
    for number, (fold, patient) in enumerate(tested):
        row = {"budget": 8, "draw": 0, "fold": fold, "patient": patient}
        if study.config.task.kind == "patient":
            target = number % 2
            p = 1 / (1 + np.exp(-(quality * (2 * target - 1) + rng.normal())))
            row |= {"p_well": 1 - p, "p_ill": p, "target": target}
        elif name == "planted":
            row |= {"dice": 1 / (1 + np.exp(-quality + 0.1 * rng.normal()))}
        else:
            hits = round(100 + quality * 8)
            row |= {"patches": 300, "hits": hits, "expected": 100.0, "variance": 66.0}
        rows.append(row)
    publish(study.folder("train", f"canary_{name}/draw-0"), {"predictions.parquet": pd.DataFrame(rows)})
