"""Who is in the study, who was set aside and what was done to the files, from the stages' tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scanprior.report.content import (
    Deidentification,
    Quarantined,
    Table,
)
from scanprior.report.numbers import count


def cohort_table(patients: Any, scans: Any) -> Table:
    """What the cohort is made of; age and sex only as coarse counts."""
    ages = patients["age"].dropna().astype(float)
    sexes = patients["sex"].dropna()
    return (
        ("patients", count(len(patients))),
        ("of them labelled", count(int(patients["labelled"].astype(bool).sum()))),
        ("scans", count(len(scans))),
        ("format", _counts(scans["format"])),
        ("modality", _counts(scans["modality"])),
        ("scanners", _counts(scans["scanner"])),
        ("sites", _counts(patients["site"])),
        ("age in years", f"median {ages.median():.0f}, quartiles {ages.quantile(0.25):.0f} to {ages.quantile(0.75):.0f}"
         f" (known of {count(len(ages))})" if len(ages) >= 5 else "not known"),
        ("sex", _counts(sexes) if len(sexes) else "not known"),
    )  # fmt: skip


def _counts(values: Any) -> str:
    known = values.dropna().astype(str)
    if known.empty:
        return "not known"
    numbers = known.value_counts().sort_index()
    return ", ".join(f"{name} ({count(int(number))})" for name, number in numbers.items())


def label_table(patients: Any) -> Table:
    """(class, patients) of a patient task."""
    labels = patients.loc[patients["labelled"].astype(bool), "label"].dropna().astype(str)
    numbers = labels.value_counts().sort_index()
    return tuple(
        (str(name), f"{count(int(number))} {'patient' if number == 1 else 'patients'}")
        for name, number in numbers.items()
    )


def quarantined(table: pd.DataFrame) -> tuple[Quarantined, ...]:
    """Rows of the quarantine tables with their stage, in the order of the stages."""
    rows: list[Quarantined] = []
    for row in table.to_dict("records"):
        patient = None if pd.isna(row["patient"]) else str(row["patient"])
        rows.append(Quarantined(str(row["stage"]), str(row["item"]), patient, str(row["reason"]), str(row["sentence"])))
    return tuple(rows)


def deidentification(
    summaries: Sequence[Mapping[str, Any]],
    series: Any,
    *,
    profile: str,
    faces: str,
    text: str,
    public_key: bool = False,
) -> Deidentification | None:
    """The sum of the shards' summaries (files, actions, codes, edition); None without any.

    series: all shards' series.parquet; its column `removed` names a mask where voxels of a face were removed.
    """
    if not summaries:
        return None
    removed = int(series["removed"].notna().sum()) if "removed" in series else 0
    kept = len(series) - removed
    rows = [(FILES.get(name, f"files: {name}"), count(number)) for name, number in _sum(summaries, "files")]
    rows += [(FACES.get(name, f"faces: {name}"), count(number)) for name, number in _sum(summaries, "faces")]
    rows += [(ACTIONS.get(name, name.replace("-", " ")), count(number)) for name, number in _sum(summaries, "actions")]
    codes = [code for code, _ in _sum(summaries, "codes")]
    if codes:
        rows.append(("methods declared in the files (DICOM CID 7050)", ", ".join(codes)))
    editions = sorted({str(summary["edition"]) for summary in summaries if summary.get("edition")})
    if editions:
        rows.append(("rules of DICOM PS3.15, edition", ", ".join(editions)))
    return Deidentification(profile, faces, text, tuple(rows), removed, kept, public_key)


def _sum(summaries: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for summary in summaries:
        for name, number in (summary.get(key) or {}).items():
            totals[name] = totals.get(name, 0) + int(number)
    return sorted(totals.items())


# What the actions of the de-identification mean, for a reader who doesn't know the rules' names.
FILES = {"written": "files written", "quarantined": "files in quarantine", "duplicate": "files that came twice"}
FACES = {
    "removed": "scans with the face removed",
    "kept": "scans not looked at for a face, as the study says",
    "already-gone": "scans whose face was gone before",
    "stripped": "scans of a brain without skin",
    "outside": "scans whose field of view leaves the face out",
    "no-head": "scans without a head",
    "not-looked-for": "scans of a kind that shows no face",
    "quarantined": "scans set aside, because a face might be left",
}
ACTIONS = {
    "text-fields": "text fields of NIfTI headers emptied",
    "removed": "attributes removed",
    "private": "private attributes removed",
    "rejected": "values refused, not of their kind",
    "unreadable": "attributes removed, unreadable",
    "replaced": "identifiers replaced by pseudonyms",
    "shifted": "dates shifted",
    "capped": "ages over 89 made one class",
    "cleaned": "texts reduced to allowed words",
    "swept": "values removed because they held an identifier",
    "scrubbed": "compressed pixels freed of comments",
    "trimmed": "pixels freed of trailing bytes",
    "masked": "pixels freed of unused bits",
    "blanked": "frames with text blanked",
    "already-deidentified": "files that were de-identified before",
}
