"""Stage index: which scans and patients there are, under their pseudonyms, and what can't be used and why."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scanprior.errors import CohortError, ConfigError
from scanprior.privacy.pseudonyms import file_pseudonym, identity_of, patient_pseudonym, scan_pseudonym
from scanprior.scans.coarse import lettered, thirds
from scanprior.scans.cohort import SELECTORS, Aside, Cohort, Rules, join, selected
from scanprior.scans.discover import Source, discover
from scanprior.scans.labels import Columns, Problem, missing_columns
from scanprior.scans.table import Table, read_table
from scanprior.stages.contents import contents
from scanprior.stages.stage import open_stage
from scanprior.stages.surplus import remove_surplus
from scanprior.study import Study

LISTING = "cohort-problems.txt"


class Inputs(NamedTuple):
    """What `cohort` in the study file points to, opened."""

    root: Path
    labels: Table | None
    patients: Table | None
    maps: Path | None
    skip: frozenset[Path]


def run(study: Study, *, workers: int = 1) -> None:
    """Write patients.parquet and scans.parquet with coarse values only, and private/<study>/ with the way back; pixels
    are read by `workers` processes.

    Raises:
        CohortError: with every problem at once; hospital ids stand in private/<study>/cohort-problems.txt only.
    """
    with open_stage(study, "index") as stage:
        stage.note(listing=study.listing())
        cohort = survey(study, workers=workers, progress=stage.progress)
        patients, scans = patient_table(study, cohort), scan_table(study, cohort)
        for frame, column in ((patients, "patient"), (scans, "scan")):
            if frame[column].duplicated().any():
                raise CohortError("two names came out alike under this key", hint="delete the key to get another one")
        patients.to_parquet(stage.folder / "patients.parquet", index=False)
        scans.to_parquet(stage.folder / "scans.parquet", index=False)
        _write_private(study, cohort)
        for item in cohort.aside:
            patient = patient_pseudonym(study.key, item.identity) if item.identity is not None else None
            stage.quarantine(item=_item(study, item), patient=patient, reason=item.reason, sentence=item.sentence)
        stage.note(
            patients=len(patients),
            labelled=sum(person.labelled for person in cohort.patients),
            scans=len(scans),
            quarantined=len(cohort.aside),
            suspects=[warning.sentence for warning in cohort.warnings],
        )
    remove_surplus(study)


def check(study: Study) -> Cohort:
    """Find all that can be wrong with the cohort from headers and tables alone, before any work starts.

    Raises:
        CohortError: as `run`; identical voxels under two patients and cut pixels are found by `run` only.
    """
    return survey(study, voxels=False)


def survey(
    study: Study, *, voxels: bool = True, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> Cohort:
    """Read tables and scans and join them; without `voxels` only the headers of the scans.

    Raises:
        CohortError: with every problem at once. Missing folders, tables and columns are told before any scan is read.
    """
    columns = _columns(study)
    inputs = _open(study, columns)
    task = study.config.task
    rules = Rules(
        identify=identity,
        name=lambda one: patient_pseudonym(study.key, one),
        columns=columns,
        select=study.config.cohort.select,
        classes=task.classes if task.kind == "voxel" else None,
        positive=task.positive if task.kind == "patient" else None,
        together=study.config.cohort.together,
        limit=study.config.cohort.limit,
    )
    found = discover(
        inputs.root,
        skip=inputs.skip,
        voxels=voxels,
        wanted=lambda source: selected(source, rules.select),
        workers=workers,
        progress=progress,
    )
    cohort = join(found, rules, labels=inputs.labels, patients=inputs.patients, maps=inputs.maps, voxels=voxels)
    _write_listing(study, cohort)
    _refuse(study, cohort.problems)
    return cohort


def identity(source: Source) -> str:
    """The hospital's name of the patient whose scan this is, by the same rule as de-identification."""
    return identity_of(source.patient_id, source.patient_name, source.birth_date, source.study_uid)


def patient_table(study: Study, cohort: Cohort) -> pd.DataFrame:
    """index/patients.parquet: one row per patient, sorted by order; sites coded A, B, … by frequency.

    The study's covariates are covariate_1, covariate_2, …, since a column's name may tell what a table's owner would not.
    """
    sites = lettered([person.site for person in cohort.patients])
    own = {
        f"covariate_{number + 1}": pd.Series([_nth(p.covariates, number) for p in cohort.patients], dtype="float64")
        for number in range(len(study.config.cohort.columns.covariates))
    }
    return pd.DataFrame(
        {
            "patient": pd.Series([patient_pseudonym(study.key, p.identity) for p in cohort.patients], dtype="string"),
            "order": pd.Series([p.order for p in cohort.patients], dtype="int64"),
            "labelled": pd.Series([p.labelled for p in cohort.patients], dtype="bool"),
            "label": pd.Series([p.label for p in cohort.patients], dtype="string"),
            "site": pd.Series(sites, dtype="string"),
            "age": pd.Series([p.age for p in cohort.patients], dtype="float64"),
            "sex": pd.Series([p.sex for p in cohort.patients], dtype="string"),
            "split": pd.Series([p.split for p in cohort.patients], dtype="string"),
            "n_scans": pd.Series([p.scans for p in cohort.patients], dtype="int64"),
            **own,
        }
    )


def _nth(values: Sequence[float | None], number: int) -> float | None:
    """A patient without a row in the table has no values."""
    return values[number] if number < len(values) else None


def scan_table(study: Study, cohort: Cohort) -> pd.DataFrame:
    """index/scans.parquet: one row per usable scan, sorted by order; a patient's scans share a shard."""
    rank = {person.identity: person.order for person in cohort.patients}
    scans = cohort.scans
    scanners = lettered([scan.source.scanner.strip("\\") or None for scan in scans])
    root = study.locate(study.config.cohort.scans, "scans").resolve()
    shards = [rank[scan.identity] % study.config.engine.shards for scan in scans]
    return pd.DataFrame(
        {
            "scan": pd.Series([scan_pseudonym(study.key, scan.source.key) for scan in scans], dtype="string"),
            "patient": pd.Series([patient_pseudonym(study.key, scan.identity) for scan in scans], dtype="string"),
            "order": pd.Series([scan.order for scan in scans], dtype="int64"),
            "format": pd.Series([scan.source.kind for scan in scans], dtype="string"),
            "modality": pd.Series([_modality(scan.source.modality) for scan in scans], dtype="string"),
            "scanner": pd.Series(scanners, dtype="string"),
            "days": pd.Series([scan.days for scan in scans], dtype="Int64"),
            "period": pd.Series(thirds([scan.source.study_date or None for scan in scans]), dtype="Int64"),
            "delivery": pd.Series(thirds([scan.source.key for scan in scans]), dtype="Int64"),
            "matrix": pd.Series(
                ["×".join(map(str, s.source.shape)) if s.source.shape else None for s in scans], dtype="string"
            ),
            "content": pd.Series(contents(scans, study.key, root), dtype="string"),
            "has_map": pd.Series([scan.label_map is not None for scan in scans], dtype="bool"),
            "n_files": pd.Series([len(scan.source.files) for scan in scans], dtype="int64"),
            "shard": pd.Series(shards, dtype="int64"),
        }
    )


def _modality(text: str) -> str:
    """A modality of the standard's form (PS3.3 C.7.3.1.1.1), else "unknown": free text may name anybody."""
    return text if text in ("CT", "MR", "PT", "NM", "US", "OT") else "unknown"


def _columns(study: Study) -> Columns:
    """The columns of the study file; a voxel task has its labels in maps, so it needs no label column."""
    named = study.config.cohort.columns
    label = named.label if study.config.task.kind == "patient" else None
    return Columns(named.patient, label, named.scan, named.site, named.age, named.sex, named.split, named.covariates)


def _open(study: Study, columns: Columns) -> Inputs:
    cohort = study.config.cohort
    problems: list[Problem] = []
    places: dict[str, Path] = {}
    for what in ("scans", "labels", "label_maps", "patients"):
        if text := getattr(cohort, what):
            try:
                places[what] = study.locate(text, what).resolve()
            except ConfigError as error:
                problems.append(Problem(error.message))
    problems += [Problem(f"cohort.{what}: a file is there where a folder is expected")
                 for what in ("scans", "label_maps") if what in places and not places[what].is_dir()]  # fmt: skip
    tables: dict[str, Table | None] = {}
    for what, name in (("labels", "the label table"), ("patients", "the patient table")):
        try:
            tables[what] = read_table(places[what], what=name) if what in places else None
        except CohortError as error:
            tables[what] = None
            problems.append(Problem(f"cohort.{what}: {error.message}"))
    problems += missing_columns(tables["labels"], tables["patients"], columns)
    for key in cohort.select:
        if key not in SELECTORS:
            near = difflib.get_close_matches(key, SELECTORS, n=1, cutoff=0.4)
            guess = f"; did you mean {near[0]}?" if near else ""
            problems.append(Problem(f"cohort.select: unknown key {key!r}{guess} (allowed: {', '.join(SELECTORS)})"))
    if places.get("label_maps", 0) == places.get("scans", 1):
        problems.append(Problem("cohort.label_maps: the same folder as cohort.scans; keep scans and maps apart"))
    _refuse(study, problems)
    skip = frozenset(place for what, place in places.items() if what != "scans")
    return Inputs(places["scans"], tables["labels"], tables["patients"], places.get("label_maps"), skip)


def _refuse(study: Study, problems: list[Problem]) -> None:
    if not problems:
        return
    listed = "\n".join(f"  {number}. {problem.sentence}" for number, problem in enumerate(problems, 1))
    private = any(problem.items for problem in problems)
    where = f"the ids are listed in private/{study.name}/{LISTING}; " if private else ""
    raise CohortError(
        f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with the cohort\n{listed}",
        hint=f"{where}then: scanprior check {study.path}",
    )


def _item(study: Study, item: Aside) -> str:
    if item.source is not None:
        return scan_pseudonym(study.key, item.source.key)
    if item.path is not None:
        root = study.locate(study.config.cohort.scans, "scans").resolve()
        return file_pseudonym(study.key, os.path.relpath(item.path, root))
    return patient_pseudonym(study.key, item.identity or "")


def _write_private(study: Study, cohort: Cohort) -> None:
    """crosswalk (patient → hospital id), sources (scan → files) and quarantine (item → files), mode 0600."""
    key = study.key
    people = [(patient_pseudonym(key, p.identity), p.identity) for p in cohort.patients]
    _write_table(study, "crosswalk", pd.DataFrame(people, columns=["patient", "hospital_id"]))
    rows = [
        {
            "scan": scan_pseudonym(key, scan.source.key),
            "patient": patient_pseudonym(key, scan.identity),
            "hospital_id": scan.identity,
            "format": scan.source.kind,
            "files": json.dumps([str(file) for file in scan.source.files]),
            "label_map": str(scan.label_map) if scan.label_map is not None else None,
        }
        for scan in cohort.scans
    ]
    _write_table(study, "sources", pd.DataFrame(rows))
    aside = [
        {
            "item": _item(study, item),
            "reason": item.reason,
            "hospital_id": item.identity,
            "files": json.dumps(
                [str(f) for f in (item.source.files if item.source else [item.path] if item.path else [])]
            ),
        }
        for item in cohort.aside
    ]
    _write_table(study, "quarantine", pd.DataFrame(aside, columns=["item", "reason", "hospital_id", "files"]))


def _write_table(study: Study, name: str, frame: pd.DataFrame) -> None:
    part = study.private / f".{name}.{os.getpid()}"
    frame.astype("string").to_parquet(part, index=False)
    part.chmod(0o600)
    part.replace(study.private / f"{name}.parquet")


def _write_listing(study: Study, cohort: Cohort) -> None:
    """What the sentences count, by its hospital ids: for the eyes of who holds the scans."""
    file = study.private / LISTING
    lines = [
        line
        for problem in (*cohort.problems, *cohort.warnings)
        if problem.items
        for line in (problem.sentence, *(f"    {item}" for item in problem.items), "")
    ]
    if not lines:
        file.unlink(missing_ok=True)
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    part.chmod(0o600)
    part.replace(file)
