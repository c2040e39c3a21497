"""Scans, labels, patients and label maps joined into one cohort; every problem at once, no identity in any sentence."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from scanprior.scans.discover import Found, Source
from scanprior.scans.labelmaps import pair
from scanprior.scans.labels import Columns, Joined, Person, Problem, class_problems, join_labels
from scanprior.scans.table import Table

SELECTORS = ("series", "modality")


@dataclass(frozen=True, repr=False)
class Rules:
    """What the study file says of the cohort. `identify` tells a DICOM source's patient, `name` codes an identity."""

    identify: Callable[[Source], str]
    name: Callable[[str], str]
    columns: Columns = field(default_factory=Columns)
    select: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[int, str] | None = None
    positive: str | None = None
    together: tuple[tuple[str, ...], ...] = ()
    limit: int | None = None


@dataclass(frozen=True, repr=False)
class Scan:
    """A usable scan: its source, its patient's identity, its rank by voxel digest, days since the patient's first."""

    source: Source
    identity: str
    order: int
    days: int | None
    label_map: Path | None


@dataclass(frozen=True, repr=False)
class Patient:
    """A patient with at least one usable scan; `order` is the rank by the digest of all voxels of the patient."""

    identity: str
    order: int
    labelled: bool
    label: str | None
    site: str | None
    age: int | None
    sex: str | None
    split: str | None
    scans: int
    covariates: tuple[float | None, ...] = ()


@dataclass(frozen=True, repr=False)
class Aside:
    """A scan (with `source`), a file (with `path`) or a label row (neither) that can't be used, and why."""

    reason: str
    sentence: str
    identity: str | None = None
    source: Source | None = None
    path: Path | None = None


@dataclass(frozen=True, repr=False)
class Cohort:
    """Patients and scans sorted by order, everything set aside, and what must be mended or looked at."""

    patients: list[Patient]
    scans: list[Scan]
    aside: list[Aside]
    problems: list[Problem]
    warnings: list[Problem]


def join(
    found: Found,
    rules: Rules,
    *,
    labels: Table | None,
    patients: Table | None,
    maps: Path | None,
    voxels: bool = True,
) -> Cohort:
    """Join what `discover` found with the tables and the folder of label maps.

    Nothing is raised: `problems` is empty when the study may start. Scans with a problem of their own, copies within a
    patient, and series that `select` leaves out are set aside with a reason; the rest goes on. Without `voxels`, for
    sources found without them, the ranks mean nothing and label maps are paired by name only.
    """
    problems: list[Problem] = []
    aside = [Aside(item.reason, item.sentence, path=item.path) for item in found.rejected]
    owned, nameless = _owners(found.sources, rules, patients, problems)
    aside += [Aside("no-patient", "the patient table has no row for this scan", source=source) for source in nameless]
    problems += _two_persons(owned)
    usable: list[tuple[Source, str]] = []
    for source, identity in owned:
        if not selected(source, rules.select):
            reason, sentence = "not-selected", "the study selects another series"
        elif source.problem is not None:
            reason, sentence = source.problem.reason, source.problem.sentence
        else:
            usable.append((source, identity))
            continue
        aside.append(Aside(reason, sentence, identity, source))
    usable, copies = _without_duplicates(usable, rules, problems)
    aside += copies
    label_maps: dict[str, Path] = {}
    if maps is not None and rules.classes is not None:
        paired = pair(maps, [source for source, _ in usable], rules.classes, voxels=voxels)
        problems += paired.problems if usable else []
        aside += [Aside(item.reason, item.sentence, path=item.path) for item in paired.rejected]
        aside += [Aside(paired.refused[s.key].reason, paired.refused[s.key].sentence, i, s)
                  for s, i in usable if s.key in paired.refused]  # fmt: skip
        usable = [(source, identity) for source, identity in usable if source.key not in paired.refused]
        label_maps = paired.maps
    if not usable:
        problems.insert(0, _empty(found, aside))
    everyone = {identity for _, identity in owned}
    joined = join_labels(labels, rules.columns, everyone) if labels is not None else Joined()
    problems += joined.problems
    if joined.persons:
        aside += [Aside("label-without-scan", "a row of the label table without a scan", i) for i in joined.unmatched]
    problems += _strangers(rules.together, everyone)
    people = _patients(usable, joined.persons, label_maps, voxel=rules.classes is not None)
    people = people[: rules.limit if voxels else None]  # the first by digest, which is not known without voxels
    if labels is not None and rules.classes is None and usable and joined.persons:
        problems += class_problems([p.label for p in people if p.label is not None], rules.positive)
    chosen = {person.identity for person in people}
    scans = _scans([(s, i) for s, i in usable if i in chosen], label_maps)
    return Cohort(people, scans, aside, problems, _one_person(owned, rules.name))


def _owners(
    sources: Sequence[Source], rules: Rules, table: Table | None, problems: list[Problem]
) -> tuple[list[tuple[Source, str]], list[Source]]:
    """Every source with its patient's identity; and NIfTI files that the patient table leaves out."""
    rows: dict[str, set[str]] = defaultdict(set)
    for row in table.rows if table is not None else ():
        scan, patient = row.get(rules.columns.scan), row.get(rules.columns.patient)
        if scan and patient:
            rows[scan_name(scan)].add(patient)
    if torn := sorted(scan for scan, owners in rows.items() if len(owners) > 1):
        problems.append(Problem(f"cohort.patients: {len(torn)} scans belong to two patients each", tuple(torn)))
    owned: list[tuple[Source, str]] = []
    nameless: list[Source] = []
    for source in sources:
        if source.kind == "dicom":
            owned.append((source, rules.identify(source)))
        elif table is not None:
            named = rows.get(scan_name(source.key)) or rows.get(source.names[0]) or {None}
            owner = min(named, key=str)
            if owner is None:
                nameless.append(source)
            else:
                owned.append((source, owner))
        else:
            owned.append((source, source.patient_id or source.names[0]))
    nifti = sum(source.kind == "nifti" for source in sources)
    if table is not None and nifti and len(nameless) == nifti:
        problems.append(Problem(f"cohort.patients: no row fits the name of one of the {nifti} NIfTI scans"))
    return owned, nameless


def scan_name(text: str) -> str:
    """A scan as tables name it: path from the scans folder, or file name; without .nii or .nii.gz."""
    return text.replace("\\", "/").removeprefix("./").removesuffix(".gz").removesuffix(".nii")


def selected(source: Source, select: Mapping[str, str]) -> bool:
    """Whether a source is of the series (part of its description, for NIfTI its name too) and modality wanted."""
    texts = {"series": source.description, "modality": source.modality}
    return all(wanted.lower() in texts.get(key, "").lower() for key, wanted in select.items())


def _two_persons(owned: Sequence[tuple[Source, str]]) -> list[Problem]:
    """Ids under which the headers tell of two birth dates or two sexes."""
    facts: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for source, identity in owned:
        facts[identity][0].update({source.birth_date} - {""})
        facts[identity][1].update({source.sex} & {"M", "F"})
    torn = tuple(sorted(identity for identity, (births, sexes) in facts.items() if len(births) > 1 or len(sexes) > 1))
    if not torn:
        return []
    sentence = (
        f"cohort.scans: two persons under one patient id ({len(torn)} ids): birth date or sex differ between scans"
    )
    return [Problem(sentence, torn)]


def _one_person(owned: Sequence[tuple[Source, str]], name: Callable[[str], str]) -> list[Problem]:
    """Ids that share a name and a birth date: suspects, not proof."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, identity in owned:
        if source.patient_name and source.birth_date:
            ids[source.patient_name.lower(), source.birth_date].add(identity)
    return [
        Problem(f"{' and '.join(sorted(map(name, group)))} have one name and birth date: one person? "
                "Then list their ids under cohort.together", tuple(sorted(group)))
        for _, group in sorted(ids.items()) if len(group) > 1
    ]  # fmt: skip


def _without_duplicates(
    usable: Sequence[tuple[Source, str]], rules: Rules, problems: list[Problem]
) -> tuple[list[tuple[Source, str]], list[Aside]]:
    """Keep one of identical scans of a patient; identical scans of two patients prove that the cohort leaks."""
    groups: dict[str, list[tuple[Source, str]]] = defaultdict(list)
    for source, identity in usable:
        groups[source.digest or source.key].append((source, identity))
    kept: list[tuple[Source, str]] = []
    copies: list[Aside] = []
    for _, group in sorted(groups.items()):
        owners = sorted({identity for _, identity in group})
        if len(owners) > 1 and not any(set(owners) <= set(declared) for declared in rules.together):
            names = " and ".join(sorted(map(rules.name, owners)))
            sentence = f"cohort.scans: {names} hold one and the same image: one person under two ids, or a mix-up"
            problems.append(Problem(sentence, tuple(owners)))
        kept.append(group[0])
        sentence = "repeats another scan of the same patient voxel by voxel"
        copies += [Aside("duplicate-scan", sentence, identity, source) for source, identity in group[1:]]
    return kept, copies


def _strangers(together: Sequence[Sequence[str]], everyone: set[str]) -> list[Problem]:
    unknown = tuple(identity for group in together for identity in group if identity not in everyone)
    if not unknown:
        return []
    return [Problem(f"cohort.together: {len(unknown)} ids are no patient of this cohort", unknown)]


def _empty(found: Found, aside: Sequence[Aside]) -> Problem:
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(item.reason for item in aside).most_common(6))
    there = f"{len(found.sources)} series or volumes and {len(found.rejected)} other files were found ({reasons})"
    return Problem(
        f"cohort.scans: no usable scan; {there if found.sources or found.rejected else 'the folder is empty'}"
    )


def _patients(
    usable: Sequence[tuple[Source, str]], persons: Mapping[str, Person], maps: Mapping[str, Path], *, voxel: bool
) -> list[Patient]:
    """Patients sorted by the digest of their voxels, which no pseudonym and no file name can change."""
    scans: dict[str, list[Source]] = defaultdict(list)
    for source, identity in usable:
        scans[identity].append(source)
    digests = {
        i: hashlib.sha256("".join(sorted(s.digest or "" for s in own)).encode()).digest() for i, own in scans.items()
    }
    people: list[Patient] = []
    for order, identity in enumerate(sorted(scans, key=lambda identity: digests[identity])):
        own = sorted(scans[identity], key=lambda source: (source.study_date, source.digest or ""))
        person = persons.get(identity, Person())
        ages = [age for age in (person.age, *(source.age for source in own)) if age is not None]
        sexes = [source.sex for source in own if source.sex in ("M", "F", "O")]
        people.append(
            Patient(
                identity=identity,
                order=order,
                labelled=any(source.key in maps for source in own) if voxel else person.label is not None,
                label=None if voxel else person.label,
                site=person.site,
                age=min(ages[0], 90) if ages else None,
                sex=person.sex or next(iter(sexes), None),
                split=person.split,
                scans=len(own),
                covariates=person.covariates,
            )
        )
    return people


def _scans(usable: Sequence[tuple[Source, str]], maps: Mapping[str, Path]) -> list[Scan]:
    first: dict[str, date] = {}
    days = {source.key: _day(source.study_date) for source, _ in usable}
    for source, identity in usable:
        if (day := days[source.key]) is not None:
            first[identity] = min(first.get(identity, day), day)
    ordered = sorted(usable, key=lambda pair: pair[0].digest or "")
    scans = [
        Scan(source, identity, order, None, maps.get(source.key)) for order, (source, identity) in enumerate(ordered)
    ]
    return [
        replace(scan, days=(day - first[scan.identity]).days) if (day := days[scan.source.key]) else scan
        for scan in scans
    ]


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
