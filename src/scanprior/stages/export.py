"""Export what outlives the pipeline: the prior with its model card, and the splits as nnU-Net reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from scanprior.errors import ScanpriorError
from scanprior.evidence.nnunet import splits_final
from scanprior.study import Study


def export(study: Study, folder: Path) -> list[str]:
    """Write every prior of a finished study and `splits_final.json` to `folder`; returns a line for each file."""
    priors = sorted(file.parent for file in study.results.glob("prior*/prior.safetensors"))
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
    written.append(f'to use the prior: scanprior.load_prior("{folder / priors[0].name}")')
    return written
