"""What the study's canaries found, from the tables that their jobs of the stage train left."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scanprior.errors import StageError
from scanprior.evidence.canary import Canary, Score, agreed, at_chance, found, overlapped, ranked
from scanprior.evidence.tables import Design
from scanprior.learning.catalogue import CANARY, CanaryName
from scanprior.pipeline import job_name
from scanprior.study import Study


def read_canaries(study: Study, design: Design) -> list[Canary]:
    """The outcome of every canary that the study asks for.

    Raises:
        StageError: one of them did not run.
    """
    return [_outcome(study, design, name) for name in study.config.canaries]


def _outcome(study: Study, design: Design, name: CanaryName) -> Canary:
    file = study.folder("train", job_name(arm=CANARY + name, draw=0)) / "predictions.parquet"
    if not file.exists():
        raise StageError(
            f"evaluate: the canary {name} has left no predictions",
            hint=f"scanprior stage train {study.path} --arm {CANARY}{name} --draw 0",
        )
    score = _score(pd.read_parquet(file), design, name)
    return found(name, score) if name == "planted" else at_chance(name, score)


def _score(table: pd.DataFrame, design: Design, name: CanaryName) -> Score:
    if design.metric == "dice":
        if name == "planted":
            return overlapped(table["dice"].to_numpy(float))
        columns = (table[key].to_numpy(float) for key in ("hits", "expected", "variance", "patches"))
        return agreed(*columns, folds=len(set(table["fold"])))
    probability = table[[f"p_{kind}" for kind in design.classes]].to_numpy(float)
    return ranked(probability, table["target"].to_numpy(np.int64), table["fold"].to_numpy(np.int64))
