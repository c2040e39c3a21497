"""Guess what the columns of a table mean, from their values first and their names second."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple

from scanprior.scans.bids import whole_years
from scanprior.scans.cohort import scan_name
from scanprior.scans.labels import MOST_CLASSES, SEXES, SPLITS, Columns, plain_id
from scanprior.scans.table import Table

SITES = re.compile(r"cent(re|er)|site|hospital|institut|klinik|clinic|zentrum", re.IGNORECASE)
LABELS = re.compile(r"diagnos|label|group|class|lesion|outcome|status|target|condition|dx|arm|type", re.IGNORECASE)
PATIENTS = re.compile(r"patient|subject|participant|case|proband|(^|_)id$", re.IGNORECASE)
HEALTHY = {"healthy", "control", "controls", "hc", "normal", "negative", "neg", "no", "none", "0", "benign", "absent"}


class LabelGuess(NamedTuple):
    """The label table's columns; `label` None when no column looks like a class. `classes` counts its values."""

    columns: Columns
    classes: dict[str, int]


def id_column(table: Table, identities: Collection[str]) -> str | None:
    """The column that holds the most of `identities` (at least one), the first of equals."""
    known = {plain_id(identity) for identity in identities}
    return _best(table, lambda value: plain_id(value) in known)


def scan_columns(table: Table, scans: Collection[str]) -> tuple[str, str] | None:
    """The columns (scan, patient) of a table that says whose scan is whose, or None when it is no such table.

    `scans` are paths from the scans folder; at least half of them must stand in one column.
    """
    names = {scan_name(scan) for scan in scans} | {scan_name(scan).rsplit("/", 1)[-1] for scan in scans}
    column = _best(table, lambda value: scan_name(value) in names)
    if column is None or sum(scan_name(row[column] or "") in names for row in table.rows) * 2 < len(scans):
        return None
    others = [name for name in table.columns if name != column]
    named = [name for name in others if PATIENTS.search(name)]
    return (column, (named or others)[0]) if others else None


def label_columns(table: Table, patient: str) -> LabelGuess:
    """Guess label, site, age, sex and split among the columns beside `patient`."""
    values = {name: [v for row in table.rows if (v := row[name]) is not None] for name in table.columns}
    rest = [name for name in table.columns if name != patient and values[name]]
    age = next(
        (n for n in rest if n.lower().startswith("age") and all(whole_years(v) is not None for v in values[n])), None
    )
    sex = next((n for n in rest if n.lower() in ("sex", "gender") and all(v.lower() in SEXES for v in values[n])), None)
    split = next((n for n in rest if {v.lower() for v in values[n]} <= set(SPLITS)), None)
    site = next((n for n in rest if SITES.search(n) and len(set(values[n])) <= len(values[n]) / 2), None)
    classes = [n for n in rest if n not in (age, sex, split, site) and _is_class(values[n])]
    label = max(classes, key=lambda name: _rank(name, values[name]), default=None)
    counts = dict(sorted(Counter(values[label]).items())) if label else {}
    return LabelGuess(Columns(patient, label, "scan", site, age, sex, split), counts)


def positive_class(classes: Collection[str]) -> str | None:
    """Of two classes the one that is not called healthy; else the later in the alphabet."""
    if len(classes) != 2:
        return None
    ill = [name for name in sorted(classes) if name.lower() not in HEALTHY]
    return ill[-1] if ill else sorted(classes)[-1]


def _is_class(values: list[str]) -> bool:
    """Few values, each with company: two of a kind at least, and no more kinds than half the rows."""
    counts = Counter(values)
    return 2 <= len(counts) <= min(MOST_CLASSES, len(values) / 2) and min(counts.values()) >= 2


def _rank(name: str, values: list[str]) -> tuple[bool, int, int]:
    """Columns named like a label first, then those that say something of more patients, then of two classes."""
    return bool(LABELS.search(name)), len(values), -len(set(values))


def _best(table: Table, fits: Callable[[str], bool]) -> str | None:
    hits = {name: sum(fits(value) for row in table.rows if (value := row[name])) for name in table.columns}
    best = max(hits, key=lambda name: hits[name], default=None)
    return best if best is not None and hits[best] else None
