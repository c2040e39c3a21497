"""The frozen plan of a study: written before any result, compared with what was run."""

from __future__ import annotations

import json
from typing import Any

from scanprior.errors import StageError
from scanprior.evidence.plan import deviations, plan_digest, plan_of
from scanprior.study import Study

PLAN = "plan.json"


def freeze(study: Study) -> str:
    """Write results/<study>/plan.json, the plan as it stands before any result, and return its sha256.

    Raises:
        StageError: there are results already, so that nothing is left to be declared beforehand.
    """
    if any((study.results / "train").glob("*/*/predictions.parquet")):
        raise StageError(
            "the plan can't be frozen any more: arms have been trained", hint="freeze before scanprior run"
        )
    study.results.mkdir(parents=True, exist_ok=True)
    declared = _current(study)
    text = json.dumps(declared, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (study.results / PLAN).write_text(text, encoding="utf-8")
    return plan_digest(declared)


def plan(study: Study) -> dict[str, Any]:
    """The frozen plan's hash and how the study deviates from it; without one the hash of what was run."""
    now, file = _current(study), study.results / PLAN
    if not file.exists():
        return {"sha256": plan_digest(now), "frozen": False, "deviations": []}
    frozen = json.loads(file.read_text(encoding="utf-8"))
    return {"sha256": plan_digest(frozen), "frozen": True, "deviations": deviations(frozen, now)}


def _current(study: Study) -> dict[str, Any]:
    return plan_of(study.config.public(), study.state("evaluate")["code"])
