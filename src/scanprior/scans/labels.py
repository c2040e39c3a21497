"""Rows of the label table, joined to patients by hospital id."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scanprior.scans.bids import whole_years
from scanprior.scans.table import Table

SEXES = {"m": "M", "male": "M", "1": "M", "f": "F", "female": "F", "w": "F", "2": "F", "o": "O", "other": "O"}
MISSING = ("na", "n/a", "nan", "none", "null", "-", ".", "?")  # what tables write where a number is not known
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
          "test": "test", "pool": "pool", "unlabelled": "pool"}  # fmt: skip
# More classes than this is a measurement or a name, not a class.
MOST_CLASSES = 20


class Problem(NamedTuple):
    """Something that keeps the study from starting. `sentence` may be shown; `items` (ids, paths) are private."""

    sentence: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Which columns of the label and patient tables mean what; the names as the study file gives them."""

    patient: str = "patient"
    label: str | None = None
    scan: str = "scan"
    site: str | None = None
    age: str | None = None
    sex: str | None = None
    split: str | None = None
    covariates: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Person:
    """What the label table says of one patient; None where it says nothing."""

    label: str | None = None
    site: str | None = None
    age: int | None = None
    sex: str | None = None
    split: str | None = None
    covariates: tuple[float | None, ...] = ()


@dataclass(frozen=True, repr=False)
class Joined:
    """Persons by identity, the ids of rows that fit no patient, and what is wrong with the table."""

    persons: dict[str, Person] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def missing_columns(labels: Table | None, patients: Table | None, columns: Columns) -> list[Problem]:
    """One problem for each column that the study file names and its table lacks."""
    wanted: list[tuple[Table, str, str]] = []
    if labels is not None:
        named = {name: getattr(columns, name) for name in ("patient", "label", "site", "age", "sex", "split")}
        wanted += [(labels, name, column) for name, column in named.items() if column]
        wanted += [(labels, "covariates", column) for column in columns.covariates]
    if patients is not None:
        wanted += [(patients, "scan", columns.scan), (patients, "patient", columns.patient)]
    found = [table.require(column, key=f"cohort.columns.{name}") for table, name, column in wanted]
    return [Problem(sentence) for sentence in found if sentence]


def join_labels(table: Table, columns: Columns, identities: Iterable[str]) -> Joined:
    """Match rows to `identities`; several rows of one patient must agree, and rows of unknown patients are counted.

    "sub-01" and "01" name the same patient (BIDS); blanks around an id don't count.
    """
    known = {plain_id(identity): identity for identity in identities}
    rows: dict[str, list[dict[str, str | None]]] = {}
    unmatched: list[str] = []
    nameless = 0
    for row in table.rows:
        name = row.get(columns.patient)
        if name is None:
            nameless += 1
        elif (identity := known.get(plain_id(name))) is None:
            unmatched.append(name)
        else:
            rows.setdefault(identity, []).append(row)
    problems: list[Problem] = []
    if nameless:
        problems.append(Problem(f"cohort.labels: {_count(nameless, 'row')} without a patient id"))
    if not rows and known:
        problems.append(Problem(_no_match(unmatched, known), tuple(unmatched)))
    elif near := _nearly(unmatched, [name for name, identity in known.items() if identity not in rows]):
        said = f"{_count(len(near), 'row')} would fit a patient without a row, but for leading zeros or capitals"
        problems.append(Problem(f"cohort.labels: {said} (export the ids as text)", tuple(near)))
    for name in ("label", "split"):
        column = getattr(columns, name)
        torn = [i for i, group in rows.items() if column and len({row[column] for row in group if row[column]}) > 1]
        if torn:
            problems.append(
                Problem(
                    f"cohort.labels: {_count(len(torn), 'patient')} with several rows that give different values "
                    f"of {name} (two patients under one id, or a slip)",
                    tuple(torn),
                )
            )
    problems += _covariate_problems(rows.values(), columns)
    persons = {identity: _person(group, columns) for identity, group in rows.items()}
    if columns.split:
        odd = [i for i, group in rows.items() if (v := _first(group, columns.split)) and v.lower() not in SPLITS]
        if odd:
            problems.append(
                Problem(
                    f"cohort.labels: {_count(len(odd), 'patient')} whose split is none of train, val, test, pool",
                    tuple(odd),
                )
            )
    return Joined(persons, tuple(unmatched), tuple(problems))


def class_problems(labels: Sequence[str], positive: str | None) -> list[Problem]:
    """What is wrong with the classes of the labelled patients that have a usable scan (one label each)."""
    classes = sorted(set(labels))
    if not labels:
        return [Problem("cohort.labels: no patient with a usable scan has a label")]
    if len(classes) == 1:
        return [Problem(f"cohort.labels: all {len(labels)} labels are of one class; at least two are needed")]
    if len(classes) > MOST_CLASSES or (len(labels) >= 8 and len(classes) > len(labels) / 2):
        return [Problem(f"cohort.columns.label: {len(classes)} different values among {len(labels)} patients; "
                        "is this the column with the class?")]  # fmt: skip
    if positive is not None and positive not in classes:
        # Class names are shown only when they are surely classes, so that a wrong column shows no names.
        shown = f" ({', '.join(classes)})" if len(classes) <= 5 and min(map(labels.count, classes)) > 1 else ""
        return [Problem(f"task.positive: no label says {positive!r}; there are {len(classes)} classes{shown}")]
    return []


def plain_id(name: str) -> str:
    """A patient id without blanks around it and without BIDS's "sub-"."""
    name = name.strip(" \t\r\n\0")
    return name[4:] if name.startswith("sub-") else name


def _nearly(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names that would be known but for leading zeros or capitals."""
    bare = {name.lstrip("0").lower() for name in known}
    return [name for name in names if plain_id(name).lstrip("0").lower() in bare]


def _no_match(unmatched: Sequence[str], known: dict[str, str]) -> str:
    close = len(_nearly(unmatched, known))
    why = f"; {close} would, but for leading zeros or capitals (export the ids as text)" if close else ""
    return f"cohort.labels: none of {_count(len(unmatched), 'row')} fits one of the {len(known)} patients{why}"


def _person(rows: Sequence[dict[str, str | None]], columns: Columns) -> Person:
    sex, split = _first(rows, columns.sex), _first(rows, columns.split)
    return Person(
        label=_first(rows, columns.label),
        site=_first(rows, columns.site),
        age=whole_years(_first(rows, columns.age)),
        sex=SEXES.get(sex.lower()) if sex else None,
        split=SPLITS.get(split.lower()) if split else None,
        covariates=tuple(_coarse(_first(rows, column)) for column in columns.covariates),
    )


def _covariate_problems(groups: Iterable[Sequence[dict[str, str | None]]], columns: Columns) -> list[Problem]:
    """One problem for each covariate that is no column of numbers; its name is not shown, its place is."""
    found: list[Problem] = []
    groups = list(groups)
    for number, column in enumerate(columns.covariates, start=1):
        where = f"cohort.columns.covariates: number {number} of the list"
        if column in (columns.patient, columns.label):
            found.append(Problem(f"{where} is the column of the patient or of the label, which is no covariate"))
            continue
        values = [_first(group, column) for group in groups]
        wrong = sum(value is not None and value.lower() not in MISSING and _coarse(value) is None for value in values)
        if wrong:
            found.append(
                Problem(f"{where} has {_count(wrong, 'value')} that is no number; code categories as 0 and 1 first")
            )
    return found


def _coarse(text: str | None) -> float | None:
    """A number to three significant digits, so that no long id and no date gets through; None where there is none."""
    try:
        value = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return float(f"{value:.3g}") if math.isfinite(value) else None


def _first(rows: Sequence[dict[str, str | None]], column: str | None) -> str | None:
    return next((value for row in rows if (value := row.get(column))), None) if column else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
