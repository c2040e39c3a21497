"""Which stages before training are out of date: run one by one, they let what follows stand where they come out the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

from scanprior.digest import short_digest
from scanprior.pipeline import STEPS, job_name
from scanprior.study import Study

STAGES = tuple(STEPS)[: tuple(STEPS).index("pretrain")]


def goals(study: Study) -> Iterator[str]:
    """Each stage before pretraining that is out of date, looked at when the caller has run the one before.

    Snakemake plans ahead: it would pretrain and train again after any stage that has to run, even where that stage then makes
    the bytes it had made before (raw files that were copied, code that changed no number). None before a first prior.
    """
    if any((study.folder("pretrain", job_name(**job)) / "record.json").exists() for job in study.jobs("pretrain")):
        yield from (stage for stage in STAGES if _outdated(study, stage))


def _outdated(study: Study, stage: str) -> bool:
    """Whether a job of `stage` is missing, or was made by other code, settings, raw files or inputs than there are now."""
    now = study.state(stage)
    for job in study.jobs(stage):
        try:
            record = json.loads((study.folder(stage, job_name(**job)) / "record.json").read_text())
            inputs = {
                folder.relative_to(study.results).as_posix(): short_digest(
                    json.loads((folder / "digests.json").read_text())
                )
                for folder in study.inputs(stage, **job)
            }
        except (FileNotFoundError, json.JSONDecodeError):
            return True
        if any(record.get(name) != value for name, value in {**now, "inputs": inputs}.items()):
            return True
        if stage == "index" and record.get("notes", {}).get("listing") != study.listing():
            return True
    return False
