"""Stage train: one arm on one draw → predictions for the test patients, validation scores, learning history."""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from scanprior.errors import StageError
from scanprior.evidence.splits import members
from scanprior.learning.arm import Arm, Setup
from scanprior.learning.catalogue import CATALOGUE, ArmName
from scanprior.learning.cohort import Cell, Cohort, PatientCohort, VoxelCohort
from scanprior.learning.covariates import covariate_table
from scanprior.learning.experiment import run_arm
from scanprior.learning.registry import make_arm
from scanprior.patches.store import PatchStore
from scanprior.pipeline import job_name
from scanprior.stages.stage import open_stage
from scanprior.study import Study


def run(study: Study, *, arm: ArmName, draw: int) -> None:
    """Fit `arm` on every fold and budget of `draw`, with the study's number of tuning trials, and predict the test patients."""
    if CATALOGUE[arm].network:  # loaded before the stage's clock starts, so that the record tells start-up from work
        import_module("scanprior.learning.network_arm")
    with open_stage(study, "train", job=job_name(arm=arm, draw=draw), arm=arm, draw=draw) as stage:
        split = json.loads((study.folder("split") / "split.json").read_text(encoding="utf-8"))
        cells = cells_of(split, draw)
        cohort = _cohort(study, arm, split, {name for cell in cells for name in (*cell.train, *cell.valid, *cell.test)})
        arm_for = cache(lambda fold: _arm(study, arm, draw, fold, split))
        results = run_arm(
            arm_for, cells, cohort, draw=draw, trials=study.config.evaluation.trials,
            work=stage.work / "fits", seeds=stage.seed, log=stage.log, progress=stage.progress,
        )  # fmt: skip
        for name in ("predictions", "validation", "history"):
            getattr(results, name).to_parquet(stage.folder / f"{name}.parquet", index=False)
        stage.note(cells=results.facts, skipped=results.skipped)


def cells_of(split: dict[str, Any], draw: int) -> list[Cell]:
    """Every fold and budget of a draw, small budgets first; budgets beyond a fold's patients are left out.

    Raises:
        StageError: the split knows no such draw.
    """
    cells: list[Cell] = []
    for part in split["draws"]:
        if part["draw"] != draw:
            continue
        for budget in split["budgets"]:
            if budget <= len(part["order"]):
                train, valid = members(part["order"], budget, split["block"])
                cells.append(Cell(part["fold"], budget, tuple(train), tuple(valid), tuple(part["test"])))
    if not cells:
        known = sorted({part["draw"] for part in split["draws"]})
        raise StageError(f"train: the split has no draw {draw} with enough patients", hint=f"draws: {known}")
    return cells


def _arm(study: Study, name: ArmName, draw: int, fold: int, split: dict[str, Any]) -> Arm:
    config, hidden = study.config, study.config.hidden_of(name)
    voxel = config.task.kind == "voxel"
    prior, kind = None, config.prior_of(name)
    if kind is not None:
        from scanprior.learning.prior import load_prior

        context = f"d{draw}-f{fold}" if len(study.contexts()) > 1 else "all"
        prior = load_prior(study.results / study.prior_name(kind, context))
    made = make_arm(name, Setup(
        classes=len(config.task.classes) + 1 if config.task.kind == "voxel" else len(split["classes"]),
        patch_size=config.patches.size, layers=config.prior.layers, hidden=hidden, prior=prior, pooled=not voxel,
        accelerator=config.engine.accelerator,
    ))  # fmt: skip
    if "torch" in sys.modules:  # the same bits need the same number of threads, and one is fastest here
        sys.modules["torch"].set_num_threads(1)
    return made


def _cohort(study: Study, arm: ArmName, split: dict[str, Any], patients: set[str]) -> Cohort:
    """The scans and patches of some patients; only their volumes are packed."""
    folder, task = study.folder("patches"), study.config.task
    every = pd.read_parquet(folder / "scans.parquet")
    places = np.flatnonzero(every["patient"].isin(sorted(patients)))
    scans = every.iloc[places].reset_index(drop=True)
    row_of = np.full(len(every), -1)
    row_of[places] = np.arange(len(places))
    index = pd.read_parquet(folder / "index.parquet")
    rows = row_of[index["scan_row"].to_numpy()]
    kept = (rows >= 0) & (index["use"] == ("task" if task.kind == "voxel" else "prior")).to_numpy()
    patches = index[kept].assign(row=rows[kept], patient=scans["patient"].to_numpy()[rows[kept]]).reset_index(drop=True)
    store = PatchStore.open([study.results / image for image in scans["image"]], study.config.patches.size)
    if task.kind == "voxel":
        stems = [str(study.results / image).removesuffix(".image.npy") for image in scans["image"]]
        values = tuple(sorted(task.classes))
        names = tuple(task.classes[value] for value in values)
        return VoxelCohort(store, patches, scans.assign(stem=stems), values, names, task.region_dilation)
    table = pd.read_parquet(study.folder("index") / "patients.parquet")
    table = table.loc[table["patient"].isin(sorted(patients))]
    classes = tuple(split["classes"])
    known = table[table["labelled"].astype(bool)]
    labels = {
        str(name): classes.index(str(label)) for name, label in zip(known["patient"], known["label"], strict=True)
    }
    return PatientCohort(store, patches, labels, classes, _covariates(study, table) if arm == "covariates" else None)


def _covariates(study: Study, patients: pd.DataFrame) -> dict[str, np.ndarray]:
    """What is known of each patient besides the scans."""
    table = covariate_table(patients, pd.read_parquet(study.folder("index") / "scans.parquet"))
    return {str(name): row for name, row in zip(table.index, table.to_numpy(), strict=True)}
