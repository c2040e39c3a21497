"""The tables that come with the scans, and the truth that doesn't."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from .nifti import nifti_path
from .plan import Patient
from .planted import Planted


def write_labels(folder: Path, patients: Sequence[Patient]) -> None:
    """labels.csv: one row per labelled patient, keyed by the hospital's id, with semicolons as German exports have."""
    rows = [
        (p.person.patient_id, "lesion" if p.lesion else "healthy", p.site.institution, p.person.age, p.person.sex)
        for p in patients
        if p.labelled
    ]
    _write(folder / "labels.csv", ("patient_id", "diagnosis", "centre", "age", "sex"), sorted(rows))


def write_subjects(folder: Path, patients: Sequence[Patient]) -> None:
    """subjects.csv: whose scan each NIfTI file (named without its suffix) is, because its header can't say."""
    rows = [(nifti_path(p, folder).name.split(".")[0], p.person.patient_id) for p in patients]
    _write(folder / "subjects.csv", ("scan", "patient_id"), sorted(rows))


def write_truth(folder: Path, patients: Sequence[Patient], planted: Sequence[Planted]) -> None:
    """truth.csv (what was simulated for whom) and planted.json (every identifier), outside the hospital's tree."""
    columns = ("patient_id", "labelled", "lesion", "scanner", "format", "transfer_syntax", "layout")
    rows = [
        (
            p.person.patient_id, int(p.labelled), int(p.lesion), p.site.code,
            "nifti" if p.nifti else "dicom", "" if p.nifti else str(p.syntax), "" if p.nifti else p.layout,
        )
        for p in patients
    ]  # fmt: skip
    _write(folder / "truth.csv", columns, sorted(rows))
    text = json.dumps([item._asdict() for item in planted], ensure_ascii=False, indent=1)
    (folder / "planted.json").write_text(text + "\n", encoding="utf-8")


def _write(file: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=";", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
