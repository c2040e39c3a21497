"""What a BIDS tree says about its scans beside the images: participants.tsv, scans.tsv and JSON sidecars."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.errors import CohortError
from scanprior.scans.nifti import stem
from scanprior.scans.table import Table, read_table

# BIDS 1.10, "Magnetic Resonance Imaging" and others: the data type folder tells the modality.
MODALITIES = {"anat": "MR", "func": "MR", "dwi": "MR", "fmap": "MR", "perf": "MR", "pet": "PT", "ct": "CT"}


class Facts(NamedTuple):
    """What is known of a NIfTI file from the files beside it; "" or None where nothing is said."""

    patient: str
    modality: str
    description: str
    scanner: str
    age: int | None
    sex: str
    study_date: str


def facts_of(path: Path, root: Path, participants: dict[str, dict[str, str | None]]) -> Facts:
    """Gather patient, series and scanner of a NIfTI file from its name, its sidecar and the participants' table."""
    match = re.match(r"(sub-[0-9A-Za-z]+)(?=[_.])", path.name)
    patient = match[1] if match else ""
    sidecar = _sidecar(path)
    person = participants.get(patient, {})
    suffix = stem(path).rsplit("_", 1)[-1] if patient else ""
    return Facts(
        patient=patient,
        modality=str(sidecar.get("Modality") or MODALITIES.get(path.parent.name if patient else "", "unknown")),
        description=" ".join(str(t) for t in (stem(path), suffix, sidecar.get("SeriesDescription")) if t),
        scanner="\\".join(str(sidecar.get(k) or "") for k in ("Manufacturer", "ManufacturersModelName", "StationName")),
        age=whole_years(person.get("age")),
        sex=(person.get("sex") or person.get("gender") or "").upper()[:1],
        study_date=_acquired(path, root) if patient else "",
    )


def read_participants(root: Path) -> dict[str, dict[str, str | None]]:
    """participants.tsv as rows by participant_id; empty when there is none or it can't be read."""
    table = _table(root / "participants.tsv")
    if table is None or "participant_id" not in table.columns:
        return {}
    return {str(row["participant_id"]): row for row in table.rows if row["participant_id"]}


def whole_years(text: str | None) -> int | None:
    """An age in years as tables have it ("52", "52.4", "89+", "41 y"), rounded down; None when there is no number."""
    match = re.match(r"\s*(\d{1,3})(?:[.,]\d+)?\s*(?:\+|y|years?|a)?\s*$", text or "", re.IGNORECASE)
    return int(match[1]) if match and int(match[1]) <= 130 else None


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.with_name(stem(path) + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _acquired(path: Path, root: Path) -> str:
    """The day (YYYYMMDD) that a *_scans.tsv above the image gives for it."""
    for folder in path.parents:
        for file in sorted(folder.glob("sub-*_scans.tsv")):
            table = _table(file)
            if table is None or not {"filename", "acq_time"} <= set(table.columns):
                continue
            for row in table.rows:
                if row["filename"] and folder / row["filename"] == path and row["acq_time"]:
                    day = row["acq_time"][:10].replace("-", "")
                    return day if day.isdigit() and len(day) == 8 else ""
        if folder == root:
            break
    return ""


def _table(path: Path) -> Table | None:
    try:
        return read_table(path, what="a BIDS table")
    except CohortError:
        return None
