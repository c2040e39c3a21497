"""Patients who may be one person, looked for in the prepared scans of a study: before the verdict, by no label."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from scanprior.evidence.leaks import Leak, identical
from scanprior.evidence.suspects import Scan, suspects
from scanprior.pipeline import job_name
from scanprior.privacy.pseudonyms import patient_pseudonym
from scanprior.study import Study


def doubles(study: Study) -> list[Leak]:
    """Proof that two patients have the same voxels (as they are, mirrored or shifted), and doubts whether two are one.

    Volumes are read one at a time; a cohort of 260 small scans takes some seconds, whole heads about half a second each.
    """
    tables: list[pd.DataFrame] = []
    for job in study.jobs("prepare"):
        folder = study.folder("prepare", job_name(**job))
        if (folder / "scans.parquet").exists():
            digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
            table = pd.read_parquet(folder / "scans.parquet").assign(folder=folder)
            tables.append(table.assign(digest=[digests[f"{scan}.image.npy"] for scan in table["scan"]]))
    if not tables:
        return []
    scans = pd.concat(tables, ignore_index=True).sort_values("order", kind="stable").reset_index(drop=True)
    together = [[patient_pseudonym(study.key, one) for one in ids] for ids in study.config.cohort.together]
    if same := identical(scans.loc[:, ["patient", "digest"]], together):
        return same
    files = [folder / f"{scan}.image.npy" for folder, scan in zip(scans["folder"], scans["scan"], strict=True)]
    rows = [
        Scan(str(patient), float(step), float(bright))
        for patient, step, bright in zip(scans["patient"], scans["step"], scans["brightness"], strict=True)
    ]
    return suspects(rows, lambda row: np.load(files[row], mmap_mode="r"), together)
