"""From the tables of predictions to arrays (draws, budgets, patients): who should have a score, and who has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanprior.evidence.metrics import SCORES, Array, Metric, contests, placements
from scanprior.evidence.statistic import MeanStatistic, PairStatistic, Statistic


class Design(NamedTuple):
    """Who is tested in which draw, and how scores are measured."""

    patients: tuple[str, ...]  # all that are tested in any draw, by voxel digest
    label: NDArray[np.int64]  # (patients,) class index; 0 in a voxel task
    fold: NDArray[np.int64]  # (draws, patients) the fold that tests the patient, −1 = not tested
    classes: tuple[str, ...]
    budgets: tuple[int, ...]
    metric: Metric

    @property
    def draws(self) -> int:
        """How many draws were planned."""
        return len(self.fold)

    @property
    def planned(self) -> int:
        """How many scores each arm should have."""
        return int((self.fold >= 0).sum()) * len(self.budgets)


class Arm(NamedTuple):
    """An arm's scores."""

    name: str
    score: Array  # (draws, budgets, patients) higher is better, NaN = missing; for the AUC the placement
    probability: Array | None  # (draws, budgets, patients, classes), patient tasks
    strangers: int  # predictions for patients that the draw doesn't test

    @property
    def got(self) -> int:
        """How many scores there are."""
        return int((~np.isnan(self.score)).sum())


def design_of(split: Mapping[str, Any], patients: pd.DataFrame, metric: Metric) -> Design:
    """The design in a split.json, with labels from the patient table (columns patient, label; sorted by order)."""
    tested = {name for draw in split["draws"] for name in draw["test"]}
    rows = patients.loc[patients["patient"].isin(list(tested))].sort_values(by="order", kind="stable")
    names = tuple(rows["patient"])
    place = {name: row for row, name in enumerate(names)}
    classes = tuple(split["classes"])
    label = np.array(
        [classes.index(str(value)) for value in rows["label"]] if metric != "dice" else [0] * len(names), dtype=np.int64
    )
    fold = np.full((1 + max(draw["draw"] for draw in split["draws"]), len(names)), -1)
    for draw in split["draws"]:
        fold[draw["draw"], [place[name] for name in draw["test"]]] = draw["fold"]
    return Design(names, label, fold, classes, tuple(split["budgets"]), metric)


def read_arm(name: str, predictions: pd.DataFrame, design: Design) -> Arm:
    """Scores of one arm from its predictions (all draws): columns budget, draw, fold, patient, and p_<class> or dice.

    Several rows of one patient (several scans) are averaged. Values that are not finite count as missing.
    """
    voxel = design.metric == "dice"
    columns = ["dice"] if voxel else [f"p_{kind}" for kind in design.classes]
    place = {patient: row for row, patient in enumerate(design.patients)}
    draw, fold, size = (predictions[key].to_numpy(np.int64) for key in ("draw", "fold", "budget"))
    at = np.array([place.get(patient, -1) for patient in predictions["patient"]], dtype=np.int64)
    # Draws and budgets that the study no longer has may lie about from an older plan; they are no part of it.
    planned = np.isin(size, design.budgets) & (draw >= 0) & (draw < design.draws)
    ours = planned & (at >= 0) & (design.fold[np.clip(draw, 0, design.draws - 1), at] == fold)
    index = (draw[ours], np.searchsorted(design.budgets, size[ours]), at[ours])
    values = predictions[columns].to_numpy(float)[ours]
    shape = (design.draws, len(design.budgets), len(design.patients), len(columns))
    total, number = np.zeros(shape), np.zeros(shape[:3])
    np.add.at(total, index, values)
    np.add.at(number, index, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number[..., None]
    mean[~np.isfinite(mean).all(-1)] = np.nan
    strangers = int((planned & ~ours).sum())
    if voxel:
        return Arm(name, mean[..., 0], None, strangers)
    if design.metric == "auc":
        return Arm(name, placements(contests(mean, design.label, design.fold), len(design.patients)), mean, strangers)
    return Arm(name, SCORES[design.metric](mean, design.label), mean, strangers)


def statistic_of(arm: Arm, design: Design, other: Arm | None = None) -> Statistic:
    """The mean score of an arm; with `other`, over the cells that both arms have, so that pairs stay pairs."""
    if design.metric == "auc" and arm.probability is not None:
        probability = arm.probability
        if other is not None and other.probability is not None:
            probability = np.where(np.isnan(other.probability), np.nan, probability)
        return PairStatistic(contests(probability, design.label, design.fold), len(design.patients))
    return MeanStatistic(arm.score if other is None else np.where(np.isnan(other.score), np.nan, arm.score))


def long_scores(arm: Arm, design: Design) -> pd.DataFrame:
    """One row per scored patient, draw and budget: arm, budget, draw, patient, score and p_<class>."""
    draw, budget, patient = np.nonzero(~np.isnan(arm.score))
    table = pd.DataFrame({
        "arm": arm.name, "budget": np.array(design.budgets)[budget], "draw": draw,
        "patient": np.array(design.patients)[patient], "score": arm.score[draw, budget, patient],
    })  # fmt: skip
    if arm.probability is not None:
        for column, kind in enumerate(design.classes):
            table[f"p_{kind}"] = arm.probability[draw, budget, patient, column]
    return table
