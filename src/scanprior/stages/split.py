"""split: who is tested and who lends labels, once for all arms; patients only, so it runs before any scan is opened."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from scanprior.config import StudyConfig
from scanprior.errors import CohortError
from scanprior.evidence.splits import Patients, Request, SplitError, digest, make_split
from scanprior.privacy.pseudonyms import patient_pseudonym
from scanprior.stages.stage import open_stage
from scanprior.study import Study


def run(study: Study) -> None:
    """Write split/split.json from index/patients.parquet.

    Raises:
        CohortError: with one sentence for each reason why the cohort can't carry the study.
    """
    with open_stage(study, "split") as stage:
        content = plan(study, pd.read_parquet(study.folder("index") / "patients.parquet"))
        (stage.folder / "split.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        sides = {side: len(content[side]) for side in ("pool", "labelled", "test", "withheld")}
        stage.note(sha256=content["sha256"], **sides)


def plan(study: Study, patients: pd.DataFrame) -> dict[str, Any]:
    """The content of split.json for the patients of index/patients.parquet; `scanprior check` asks for it before any work.

    Raises:
        CohortError: as `run`.
    """
    table = patients.sort_values("order", kind="stable")
    names = table["patient"].tolist()
    rows, classes = read_patients(table, study.config, _groups(study, names))
    evaluation = study.config.evaluation
    request = Request(evaluation.scheme, classes, evaluation.budgets, evaluation.draws, evaluation.folds,
                      evaluation.test or 0, evaluation.pool)  # fmt: skip
    try:
        split = make_split(rows, request, study.seed)
    except SplitError as refused:
        raise CohortError(
            f"{len(refused.sentences)} reasons why this cohort can't carry the study: " + " ".join(refused.sentences),
            hint="change the evaluation section of the study file, then: scanprior check " + str(study.path),
        ) from None
    tested = {row for draw in split.draws for row in draw.test}
    return {
        "scheme": request.scheme,
        "classes": list(classes),
        "block": len(classes),
        "pool": [names[row] for row in split.pool],
        "labelled": [names[row] for row in split.labelled],
        "test": [names[row] for row in split.test],
        "withheld": [names[row] for row in split.withheld],
        "budgets": list(request.budgets),
        "draws": [
            {
                "draw": d.draw,
                "fold": d.fold,
                "order": [names[row] for row in d.order],
                "test": [names[row] for row in d.test],
            }
            for d in split.draws
        ],
        "fewest": min(sum(rows.label[row] == number for row in tested) for number in range(len(classes))),
        "sha256": digest(split, request.budgets),
    }


def read_patients(table: pd.DataFrame, config: StudyConfig, groups: list[int]) -> tuple[Patients, tuple[str, ...]]:
    """Rows and class names for the split; the positive class of a patient task comes last."""
    labelled = table["labelled"].to_numpy(bool)
    given, site = (
        tuple(value if isinstance(value, str) else None for value in table[name]) for name in ("split", "site")
    )
    if config.task.kind == "voxel":
        return Patients(tuple(0 if known else -1 for known in labelled), tuple(groups), given, site), ("labelled",)
    found = {str(label) for label, known in zip(table["label"], labelled, strict=True) if known}
    positive = config.task.positive
    if positive is not None and (positive not in found or len(found) != 2):
        raise CohortError(
            f"task.positive: {positive!r} and one other class are expected, the labelled patients have {sorted(found)}",
            hint="name the class as the label table writes it",
        )
    if len(found) < 2:
        raise CohortError(
            f"the labelled patients have {len(found)} class, at least 2 are needed", hint="look at cohort.columns.label"
        )
    classes = tuple(sorted(found, key=lambda name: (name == positive, name)))
    index = {name: number for number, name in enumerate(classes)}
    label = tuple(index[str(name)] if known else -1 for name, known in zip(table["label"], labelled, strict=True))
    return Patients(label, tuple(groups), given, site), classes


def _groups(study: Study, names: list[str]) -> list[int]:
    """A group number per patient; the ids of `cohort.together` are known here only as pseudonyms."""
    group = {name: row for row, name in enumerate(names)}
    for number, ids in enumerate(study.config.cohort.together, 1):
        pseudonyms = [patient_pseudonym(study.key, one) for one in ids]
        missing = sum(one not in group for one in pseudonyms)
        if missing and study.config.cohort.limit is None:
            raise CohortError(
                f"cohort.together: {missing} of the {len(ids)} patients of group {number} are not in the cohort",
                hint="write the ids as the scans or the patient table have them",
            )
        merged = {group[one] for one in pseudonyms if one in group}
        group = {name: min(merged) if row in merged else row for name, row in group.items()}
    return [group[name] for name in names]
