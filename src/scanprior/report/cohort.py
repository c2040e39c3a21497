"""Who is in the study, who was set aside and what was done to the files, from the stages' tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
    return tuple((str(name), f"{count(int(number))} patients") for name, number in numbers.items())


def quarantined(table: pd.DataFrame) -> tuple[Quarantined, ...]:
    """Rows of the quarantine tables with their stage, in the order of the stages."""
    rows: list[Quarantined] = []
    for row in table.to_dict("records"):
        patient = None if pd.isna(row["patient"]) else str(row["patient"])
        rows.append(Quarantined(str(row["stage"]), str(row["item"]), patient, str(row["reason"]), str(row["sentence"])))
    return tuple(rows)


def deidentification(
    summaries: Sequence[Mapping[str, Any]], *, profile: str, faces: str, text: str
) -> Deidentification | None:
    """The sum of the shards' summaries; nested counts are named by their path."""
    if not summaries:
        return None
    totals: dict[str, int] = {}
    for summary in summaries:
        for name, number in _leaves(summary, ""):
            totals[name] = totals.get(name, 0) + number
    removed = sum(number for name, number in totals.items() if re.search(r"faces?: (removed|defaced)", name))
    kept = sum(number for name, number in totals.items() if name.startswith("face")) - removed
    return Deidentification(profile, faces, text, tuple(totals.items()), removed, max(kept, 0))


def _leaves(value: Mapping[str, Any], path: str) -> Iterable[tuple[str, int]]:
    for key, item in value.items():
        name = f"{path}: {key}".removeprefix(": ").replace("_", " ").replace("-", " ")
        if isinstance(item, Mapping):
            yield from _leaves(item, name)
        elif isinstance(item, int) and not isinstance(item, bool):
            yield name, item
