"""Stage train: one arm on one draw → predictions for the test patients, validation scores, learning history."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any, cast

from scanprior.errors import StageError
from scanprior.evidence.splits import members
from scanprior.learning.arm import Arm, Setup
from scanprior.learning.catalogue import CANARIES, CATALOGUE, ArmName, CanaryName, canary_of
from scanprior.learning.cohort import Cell, PatientCohort
from scanprior.learning.experiment import run_arm
from scanprior.learning.registry import make_arm
from scanprior.learning.ways import of_ways
from scanprior.pipeline import job_name
from scanprior.stages.cohorts import PLANTED_TESTED, arm_cohort, canary_cells, canary_cohort
from scanprior.stages.stage import Stage, open_stage
from scanprior.study import Study


def run(study: Study, *, arm: str, draw: int | Sequence[int]) -> None:
    """Fit `arm` on every fold and budget of each `draw`, with the study's number of tuning trials, and predict the test
    patients. Several draws are published together, so that a kill in the last loses none of the others' work.

    A canary (arm canary_permuted, …) goes the same way with another cohort, at the largest budget of each fold.
    """
    canary = canary_of(arm)
    name = CANARIES[canary][0] if canary else _known(arm)
    if CATALOGUE[name].network:  # loaded before the stage's clock starts, so that the record tells start-up from work
        import_module("scanprior.learning.network_arm")
    with ExitStack() as jobs:
        for number in [draw] if isinstance(draw, int) else draw:
            job = job_name(arm=arm, draw=number)
            stage = jobs.enter_context(open_stage(study, "train", job=job, arm=arm, draw=number))
            _train(study, stage, name, canary, number)
            stage.rest()


def _train(study: Study, stage: Stage, name: ArmName, canary: CanaryName | None, draw: int) -> None:
    split = json.loads((study.folder("split") / "split.json").read_text(encoding="utf-8"))
    cells = cells_of(split, draw)
    if canary is None:
        cohort = arm_cohort(study, name, split, cells)
    else:
        few = PLANTED_TESTED if canary == "planted" and study.config.task.kind == "voxel" else None
        cells = canary_cells(cells, most_tested=few)
        cohort = canary_cohort(study, canary, split, cells, stage.seed("canary", canary))
    arm_for = cache(lambda fold: _arm(study, name, draw, fold, split))
    results = run_arm(
        arm_for, cells, cohort, draw=draw, trials=study.config.evaluation.trials,
        work=stage.work / "fits", seeds=stage.seed, log=stage.log, progress=stage.progress,
    )  # fmt: skip
    predictions = results.predictions
    if canary and isinstance(cohort, PatientCohort):  # what it was tested against: its labels may not be the study's
        predictions = predictions.assign(target=[cohort.labels[name] for name in predictions["patient"]])
    predictions.to_parquet(stage.folder / "predictions.parquet", index=False)
    results.validation.to_parquet(stage.folder / "validation.parquet", index=False)
    results.history.to_parquet(stage.folder / "history.parquet", index=False)
    stage.note(cells=results.facts, skipped=results.skipped)


def _known(arm: str) -> ArmName:
    for name in CATALOGUE:
        if name == arm:
            return name
    raise StageError(f"train: there is no arm {arm!r}", hint=f"arms: {', '.join(CATALOGUE)}")


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
    setup = Setup(
        classes=len(config.task.classes) + 1 if config.task.kind == "voxel" else len(split["classes"]),
        patch_size=config.patches.size, layers=config.prior.layers, hidden=hidden, pooled=not voxel,
        accelerator=config.engine.accelerator,
    )  # fmt: skip
    kind = config.prior_of(name)
    ways = [0] if kind is None else config.ways_of(kind)
    setups = [setup]
    if kind is not None:
        from scanprior.learning.prior import load_prior

        context = f"d{draw}-f{fold}" if len(study.contexts()) > 1 else "all"
        folders = [study.results / study.prior_name(kind, context, way) for way in ways]
        setups = [replace(setup, prior=load_prior(folder)) for folder in folders]
    made = [make_arm(name, one) for one in setups]
    if CATALOGUE[name].network:
        from scanprior.learning.network_arm import NetworkArm
        from scanprior.learning.training import Plan

        made = [replace(cast(NetworkArm, one), plan=Plan(epochs=config.evaluation.epochs)) for one in made]
    if "torch" in sys.modules:
        from scanprior.learning.same_bits import same_bits

        same_bits()
    return of_ways(made, ways)
