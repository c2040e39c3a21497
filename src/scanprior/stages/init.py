"""`scanprior init`: draft a study file from what is found in a folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scanprior.config import NAME
from scanprior.errors import CohortError, ConfigError
from scanprior.scans.cohort import Cohort, Rules, join
from scanprior.scans.discover import Found, Source, discover
from scanprior.scans.guess import LabelGuess, id_column, label_columns, positive_class, scan_columns
from scanprior.scans.labels import Columns
from scanprior.scans.nifti import is_nifti, read_nifti, stem
from scanprior.scans.refused import Refused
from scanprior.scans.table import Table, read_table
from scanprior.scans.volume import axes
from scanprior.stages.index import identity

TABLES = (".csv", ".tsv", ".xlsx")
MAP_FOLDERS = re.compile(r"label|mask|seg|annotation|ground", re.IGNORECASE)
# What evidence/splits.py asks of each class: two to train and validate, and one to test in each fold.
BESIDE_FOLDS = 2
KEYWORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}


class Survey(NamedTuple):
    """What was found, and what the columns were taken for."""

    scans: Path
    maps: Path | None
    labels: Path | None
    patients: Path | None
    columns: Columns
    guess: LabelGuess | None
    classes: dict[int, str]
    found: Found
    cohort: Cohort


def draft(folder: Path, labels: Path | None, name: str) -> str:
    """Return the text of a study file for the scans in `folder`; comments say what was found and what is to be decided.

    Only headers are read. The task is `patient` when a label table with a class column is found, `voxel` when a folder
    of label maps with the scans' names lies inside `folder` or beside it.

    Raises:
        ConfigError: the folder or the given table is missing.
        CohortError: there is no usable scan, or neither labels nor label maps.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"a study can't be called {name!r}", hint="--name: small letters, digits, - and _, 41 at most, e.g. mystudy"
        )
    if not folder.is_dir():
        raise ConfigError("there is no such folder", hint="scanprior init FOLDER: the folder that holds the raw scans")
    if labels is not None and not labels.is_file():
        raise ConfigError("the label table is not there", hint="scanprior init FOLDER --labels FILE.csv")
    survey = _survey(folder.resolve(), labels.resolve() if labels is not None else None)
    if not survey.cohort.patients:
        raise CohortError(survey.cohort.problems[0].sentence, hint="name the folder that holds the raw scans")
    if survey.maps is None and (survey.guess is None or survey.guess.columns.label is None):
        raise CohortError(
            "neither a table with a class column nor a folder of label maps was found",
            hint="scanprior init FOLDER --labels FILE.csv: one row per patient, one column with the class",
        )
    return _text(survey, name)


def _survey(folder: Path, labels: Path | None) -> Survey:
    scans, maps = _map_folder(folder)
    paths = [labels] if labels is not None else []
    paths += [file for place in dict.fromkeys((scans, folder, scans.parent)) for file in sorted(place.iterdir())
              if file.suffix.lower() in TABLES and file != labels]  # fmt: skip
    tables = {path: table for path in paths if (table := _try_table(path)) is not None}
    found = discover(scans, skip=frozenset(paths) | ({maps} if maps else set()), voxels=False)
    nifti = [source for source in found.sources if source.kind == "nifti"]
    loose = [source.key for source in nifti if not source.patient_id]
    patients, columns = None, Columns()
    for path, table in tables.items():
        if loose and (pair := scan_columns(table, loose)):
            patients, columns = path, Columns(patient=pair[1], label=None, scan=pair[0])
            break
    everyone = {identity(s) for s in found.sources if s.kind == "dicom"} | {s.patient_id for s in nifti}
    if patients is not None:
        everyone |= {str(row[columns.patient]) for row in tables[patients].rows if row[columns.patient]}
    else:
        everyone |= {source.names[0] for source in nifti}
    guess, label_path = None, None
    for path, table in tables.items():
        if (column := id_column(table, everyone - {""})) is None or (path == patients and path != labels):
            continue
        candidate = label_columns(table, column)
        if guess is None or (guess.columns.label is None and candidate.columns.label is not None):
            guess, label_path = candidate, path
    classes = _classes(maps) if maps is not None else {}
    if guess is not None:
        columns = replace(guess.columns, scan=columns.scan)
    rules = Rules(identify=identity, name=lambda _: "a patient", columns=columns, classes=classes or None)
    cohort = join(
        found,
        rules,
        labels=tables[label_path] if label_path else None,
        patients=tables[patients] if patients else None,
        maps=maps,
        voxels=False,
    )
    return Survey(scans, maps, label_path, patients, columns, guess, classes, found, cohort)


def _map_folder(folder: Path) -> tuple[Path, Path | None]:
    """The folder of scans and the folder of label maps: two folders whose NIfTI files share most of their stems."""
    inside = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    pairs = [(folder, other) for other in inside if MAP_FOLDERS.search(other.name)]
    pairs += [(folder, other) for other in sorted(folder.parent.iterdir())
              if other.is_dir() and other != folder and MAP_FOLDERS.search(other.name)]  # fmt: skip
    pairs = [(a, b) for b in inside if MAP_FOLDERS.search(b.name) for a in inside if a != b] + pairs
    for scans, maps in pairs:
        drawn = _stems(maps)
        shared = drawn & (_stems(scans) | {place.name for place in scans.iterdir()})
        if drawn and len(shared) * 2 > len(drawn):
            return scans, maps
    return folder, None


def _stems(folder: Path) -> set[str]:
    return {stem(file) for file in folder.iterdir() if is_nifti(file) and not file.name.startswith(".")}


def _classes(maps: Path) -> dict[int, str]:
    """The values in the first label maps, named class_1, class_2, …"""
    values: set[int] = set()
    for file in sorted(file for file in maps.iterdir() if is_nifti(file) and not file.name.startswith("."))[:20]:
        try:
            values |= {int(value) for value in np.unique(read_nifti(file).array)}
        except Refused:
            continue
    return {value: f"class_{value}" for value in sorted(values - {0}) if value > 0}


def _try_table(path: Path) -> Table | None:
    try:
        return read_table(path, what=path.name)
    except CohortError:
        return None


class Plan(NamedTuple):
    """Evaluation and scope that fit the number of patients."""

    folds: int
    budgets: list[int]
    draws: int
    pool: int
    scope: str
    enough: bool


def plan(sizes: Sequence[int], unlabelled: int) -> Plan:
    """Folds, budgets, pool and scope for classes of so many labelled patients each (a voxel task has one class).

    Budgets double from the smallest that can be, two patients of each class, up to what the smallest training side has.
    Without unlabelled patients a third of the labelled ones play the archive where there are enough, else the prior
    sees the training patients.
    """
    kinds, total = len(sizes), sum(sizes)
    pool = total // 3 if unlabelled < 4 and min(sizes) >= 18 else 0
    rarest = min(sizes) * (total - pool) // total
    folds = max(2, min(3, rarest - BESIDE_FOLDS))
    side = (total - pool) - -(-(total - pool) // folds) - (kinds - 1)
    most = max(side // kinds * kinds, 2 * kinds)
    budgets = [2 * kinds]
    while budgets[-1] * 2 <= most and len(budgets) < 4:
        budgets.append(budgets[-1] * 2)
    if budgets[-1] * 1.3 <= most < budgets[-1] * 2:
        budgets.append(most)
    scope = "disjoint" if pool or unlabelled >= 4 else "inductive"
    return Plan(folds, budgets, 5 if scope == "disjoint" else 2, pool, scope, rarest >= folds + BESIDE_FOLDS)


def _text(survey: Survey, name: str) -> str:
    cohort, columns = survey.cohort, survey.columns
    voxel = survey.maps is not None
    labelled = [person for person in cohort.patients if person.labelled]
    counts = Counter(person.label or "" for person in labelled)
    sizes = [max(1, len(labelled))] if voxel or not counts else [counts[label] for label in sorted(counts)]
    chosen = plan(sizes, len(cohort.patients) - len(labelled))
    lines = _report(survey, labelled)
    lines += [f"study: {quoted(name)}", "seed: 0", "cohort:", f"  scans: {quoted(str(survey.scans))}"]
    lines += _select(cohort)
    if survey.labels is not None:
        lines.append(f"  labels: {quoted(_place(survey.labels, survey.scans))}")
    if voxel:
        lines.append(f"  label_maps: {quoted(str(survey.maps))}")
    if survey.patients is not None:
        lines.append(f"  patients: {quoted(_place(survey.patients, survey.scans))} # whose scan is whose")
    named = {"patient": columns.patient} if survey.labels or survey.patients else {}
    named |= {"label": columns.label} if columns.label and not voxel else {}
    named |= {"scan": columns.scan} if survey.patients else {}
    named |= {key: value for key in ("site", "age", "sex", "split") if (value := getattr(columns, key))}
    if named:
        lines.append("  columns: {" + ", ".join(f"{key}: {quoted(value)}" for key, value in named.items()) + "}")
    if voxel:
        classes = ", ".join(f"{value}: {quoted(label)}" for value, label in survey.classes.items())
        lines.append(f"task: {{kind: voxel, classes: {{{classes}}}}} # give the classes their names")
    else:
        positive = positive_class(counts)
        extra = f", positive: {quoted(positive)}" if positive else ""
        lines.append(
            f"task: {{kind: patient{extra}}} # classes: {', '.join(f'{k} ({v})' for k, v in sorted(counts.items()))}"
        )
    spacing, size = _grid([scan.source for scan in cohort.scans])
    lines += [
        "privacy: {profile: research, faces: auto, text: auto}",
        f"prepare: {{spacing: {spacing}, intensity: zscore}} # mm after resampling: about what the scans have",
        f"patches: {{size: {size}, per_scan: 200}}",
        f"prior: {{layers: [400, 200], hidden: rectified, epochs: 10, scope: {chosen.scope}}}"
        + ("" if chosen.scope == "disjoint" else " # too few unlabelled patients for disjoint"),
        f"evaluation: {{scheme: cv, folds: {chosen.folds}, pool: {chosen.pool}, budgets: {chosen.budgets}, "
        f"draws: {chosen.draws}, margin: 0.02}} # margin: the smallest difference that matters to you",
    ]
    if not chosen.enough:
        lines.insert(
            0,
            f"# TOO FEW: every class needs {2 + BESIDE_FOLDS} labelled patients (2 folds, 2 to train and validate).",
        )
    return "\n".join(lines) + "\n"


def _report(survey: Survey, labelled: Sequence[object]) -> list[str]:
    """What was found, as comments; counts only."""
    cohort = survey.cohort
    kinds = Counter(scan.source.kind for scan in cohort.scans)
    scans = " and ".join(
        f"{number} {kind.replace('dicom', 'DICOM').replace('nifti', 'NIfTI')}" for kind, number in sorted(kinds.items())
    )
    lines = [
        f"# Drafted by scanprior init from {scans} scans of {len(cohort.patients)} patients, {len(labelled)} labelled.",
        "# Read it through: every line is a guess until you have looked at it. Then: scanprior check THIS_FILE",
    ]
    aside = Counter(item.reason for item in cohort.aside)
    if aside:
        lines.append(
            "# Can't be used: " + ", ".join(f"{count} {reason}" for reason, count in sorted(aside.items())) + "."
        )
    lines += [f"# To mend: {problem.sentence}" for problem in cohort.problems]
    return lines


def _select(cohort: Cohort) -> list[str]:
    """The series that most patients have, when patients have several."""
    if max(person.scans for person in cohort.patients) < 2:
        return []
    have: dict[str, set[str]] = {}
    for scan in cohort.scans:
        have.setdefault(scan.source.description or scan.source.names[0], set()).add(scan.identity)
    common = sorted((text for text in have if len(have[text]) > 2), key=lambda text: (-len(have[text]), text))
    if len(common) < 2:
        return ["  # some patients have several scans: all are used; to choose a series: select: {series: T1}"]
    listed = "; ".join(f"{text!r} of {len(have[text])} patients" for text in common[:6])
    return [
        f"  # series: {listed}",
        f"  select: {{series: {quoted(common[0])}}} # one series, so that contrasts don't mix",
    ]


def _grid(sources: Sequence[Source]) -> tuple[list[float], list[int]]:
    """Spacing (median over the scans per patient axis, at least 1 mm) and patch size that fit the scans."""
    spacings, extents = [], []
    for source in sources:
        if source.shape is None or source.spacing is None or source.affine is None:
            continue
        order = np.argsort(axes(np.array(source.affine).reshape(4, 4))[0])
        spacings.append(np.array(source.spacing)[order])
        extents.append((np.array(source.spacing) * source.shape)[order])
    middle = np.maximum(np.median(spacings, axis=0), 1.0)
    if middle.max() <= 1.5 * middle.min():
        middle[:] = np.median(middle)
    middle = np.round(middle, 1)
    voxels = np.median(extents, axis=0) / middle
    size = [int(min(13, max(3, side // 3))) for side in voxels]
    return [float(side) for side in middle], [side - (side % 2 == 0) for side in size]


def _place(path: Path, scans: Path) -> str:
    """A path as the study file may give it: relative to the scans where it lies below them."""
    return path.relative_to(scans).as_posix() if path.is_relative_to(scans) else str(path)


def quoted(text: str) -> str:
    """A YAML scalar: plain where that is safe, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z_/.][\w ./-]*", text) and text.lower() not in KEYWORDS and text == text.strip()
    return text if plain else json.dumps(text, ensure_ascii=False)
