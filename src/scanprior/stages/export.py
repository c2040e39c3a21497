"""Export what outlives the pipeline: priors with model cards, splits as nnU-Net reads them, and what a journal asks for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from scanprior.errors import ScanpriorError
from scanprior.evidence.nnunet import splits_final
from scanprior.pipeline import job_name
from scanprior.study import Study

# What goes with a manuscript: folder below the study's results ("" = top) and pattern.
JOURNAL = (
    ("", "report.html"),
    ("", "verdict.json"),
    ("evaluate", "scores.csv"),
    ("report", "methods.md"),
    ("report", "*.csv"),
)


def export(study: Study, folder: Path) -> list[str]:
    """Write every prior, `splits_final.json` and, in journal/, report, scores and checklists; returns a line for each file.

    Raises:
        ScanpriorError: the study has no prior yet.
    """
    every = (study.folder("pretrain", job_name(**job)) for job in study.jobs("pretrain"))
    priors = sorted(folder for folder in every if (folder / "prior.safetensors").is_file())
    split = study.results / "split" / "split.json"
    if not priors or not split.is_file():
        raise ScanpriorError(f"the study {study.name} has no prior yet", hint=f"scanprior run {study.path}")
    written: list[str] = []
    for prior in priors:
        target = folder / prior.name
        target.mkdir(parents=True, exist_ok=True)
        for name in ("prior.safetensors", "card.json", "model_card.md"):
            shutil.copyfile(prior / name, target / name)
            written.append(f"{target / name}")
    file = folder / "splits_final.json"
    file.write_text(json.dumps(splits_final(json.loads(split.read_text())), indent=1) + "\n", encoding="utf-8")
    written.append(f"{file}")
    for below, pattern in JOURNAL:
        for source in sorted((study.results / below).glob(pattern)):
            target = folder / "journal" / source.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
            written.append(f"{target}")
    written.append(f'to use the prior: scanprior.load_prior("{folder / priors[0].name}")')
    return written
