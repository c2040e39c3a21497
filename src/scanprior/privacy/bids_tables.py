"""Tables beside the images of a BIDS data set: participants, scans, sessions, events, gradients; columns by allow-list.

A column that is not named here goes, with its header: the audit gives its position, not its name. Ids and file names
are mapped as everywhere, dates move by the patient's offset and then before 1925, which is how BIDS marks a date as
shifted.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from scanprior.privacy.bids_names import code, is_plain, parse, rebuilt, safe_label, subject_label
from scanprior.privacy.bids_sidecar import encode
from scanprior.privacy.header import Names
from scanprior.privacy.refused import Refused
from scanprior.privacy.rules import Profile

# 120 years: what happened before 2045 then lies before 1925 (BIDS 1.10, "Common principles: date time information").
_CENTURY = 43_830
_SHIFTED = 1925
_SEX = frozenset(("m", "f", "o", "male", "female", "other", "n/a"))
_HAND = frozenset(("l", "r", "a", "left", "right", "ambidextrous", "n/a"))
_VOLUMES = frozenset(("control", "label", "m0scan", "deltam", "cbf", "n/a"))
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "age": {"Description": "age of the participant, whole years; over 89 is one class, 90+", "Units": "year"},
    "sex": {"Description": "sex of the participant as reported"},
    "gender": {"Description": "sex of the participant as reported"},
    "handedness": {"Description": "handedness of the participant as reported"},
    "group": {"Description": "group of the participant; words that are not usual ones are codes"},
}  # fmt: skip
Row = list[str]
Check = Callable[[str], str]


def read_rows(content: bytes) -> tuple[Row, list[Row]]:
    """Header and rows of a tab-separated table; short rows are filled with n/a.

    Raises:
        Refused: not text, empty, or a row longer than the header.
    """
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    except (UnicodeDecodeError, csv.Error):
        raise Refused("unreadable", "the table is not tab-separated text in UTF-8") from None
    if not rows or any(len(row) > len(rows[0]) for row in rows):
        raise Refused("unreadable", "the table is empty, or a row is longer than its header")
    header = [cell.strip() for cell in rows[0]]
    return header, [[*row, *["n/a"] * (len(header) - len(row))] for row in rows[1:]]


def participants(
    content: bytes, *, names_of: Callable[[str], Names], profile: Profile, written: Callable[[str], bool],
    key: bytes, actions: Counter[str],
) -> tuple[bytes, bytes]:  # fmt: skip
    """participants.tsv and its participants.json: one row per subject that has a file in the output (`written`, by the
    new label). Age, sex, handedness and group stay under the option that retains patient characteristics."""
    checks: dict[str, Check] = {}
    if "retain_patient_characteristics" in profile.options:
        checks = {"age": age, "sex": _one_of(_SEX), "gender": _one_of(_SEX), "handedness": _one_of(_HAND),
                  "group": lambda cell: group(cell, key)}  # fmt: skip
    header, rows = read_rows(content)
    if "participant_id" not in header:
        raise Refused("unreadable", "the table of participants has no column participant_id")
    at = header.index("participant_id")
    kept = _columns(header, checks, actions)
    ids = [f"sub-{subject_label(names_of(row[at].strip()))}" for row in rows]
    made = [[one, *_cells(row, kept, checks, actions)] for one, row in zip(ids, rows, strict=True) if written(one)]
    described = {name: DESCRIPTIONS[name] for _, name in kept}
    described = {"participant_id": {"Description": "pseudonym of the participant"}} | described
    return _encoded(["participant_id", *(name for _, name in kept)], sorted(made)), encode(described)


def scans(
    content: bytes, *, names: Names, profile: Profile, mapped: Callable[[str], str], actions: Counter[str]
) -> bytes:
    """*_scans.tsv: `mapped` gives a file's new name relative to the table, "" when it is not in the output."""
    checks = {"acq_time": lambda cell: moment(cell, names.offset)} if _dates(profile) else {}
    header, rows = read_rows(content)
    if "filename" not in header:
        raise Refused("unreadable", "the table of scans has no column filename")
    at = header.index("filename")
    kept = _columns(header, checks, actions)
    made = [[new, *_cells(row, kept, checks, actions)] for row in rows if (new := mapped(row[at].strip()))]
    return _encoded(["filename", *(name for _, name in kept)], sorted(made))


def sessions(
    content: bytes, *, names: Names, profile: Profile, written: Callable[[str], bool], actions: Counter[str]
) -> bytes:
    """*_sessions.tsv: one row per session that has a file in the output."""
    checks: dict[str, Check] = {"acq_time": lambda cell: moment(cell, names.offset)} if _dates(profile) else {}
    if "retain_patient_characteristics" in profile.options:
        checks["age"] = age
    header, rows = read_rows(content)
    if "session_id" not in header:
        raise Refused("unreadable", "the table of sessions has no column session_id")
    at = header.index("session_id")
    kept = _columns(header, checks, actions)
    made: list[Row] = []
    for row in rows:
        new = "ses-" + safe_label("ses", row[at].strip().removeprefix("ses-"), names)
        if written(new):
            made.append([new, *_cells(row, kept, checks, actions)])
    return _encoded(["session_id", *(name for _, name in kept)], sorted(made))


def events(content: bytes, *, names: Names, actions: Counter[str]) -> bytes:
    """*_events.tsv: onset, duration and response time are numbers; kinds of trial that are no usual words are coded."""
    number = _number_between(-1e6, 1e6)
    checks: dict[str, Check] = {
        "duration": number,
        "trial_type": lambda cell: group(cell, names.key),
        "response_time": number,
    }
    header, rows = read_rows(content)
    if not {"onset", "duration"} <= set(header):
        raise Refused("unreadable", "the table of events has no columns onset and duration")
    if "trial_type" in header and len({row[header.index("trial_type")] for row in rows}) > 64:
        del checks["trial_type"]  # so many kinds are free text
    kept = _columns(header, checks | {"onset": number}, actions)
    kept.sort(key=lambda pair: ("onset", "duration", "trial_type", "response_time").index(pair[1]))
    made = [_cells(row, kept, checks | {"onset": number}, actions) for row in rows]
    return _encoded([name for _, name in kept], made)


def volumes(content: bytes, *, actions: Counter[str]) -> bytes:
    """*_aslcontext.tsv: the kind of each volume, one of BIDS' words."""
    header, rows = read_rows(content)
    checks = {"volume_type": _one_of(_VOLUMES)}
    kept = _columns(header, checks, actions)
    return _encoded([name for _, name in kept], [_cells(row, kept, checks, actions) for row in rows])


def gradients(content: bytes, *, vectors: bool) -> bytes:
    """*.bval (one row) or *.bvec (three rows of unit vectors): numbers only, written anew.

    Raises:
        Refused: another shape, or a value that no gradient has.
    """
    try:
        rows = [[float(cell) for cell in line.split()] for line in content.decode("ascii").splitlines() if line.strip()]
    except ValueError:
        raise Refused("unreadable", "the gradient table holds something else than numbers") from None
    low, high = (-1.01, 1.01) if vectors else (0.0, 50_000.0)
    shaped = len(rows) == (3 if vectors else 1) and len({len(row) for row in rows}) == 1 and len(rows[0]) > 0
    if not shaped or not all(math.isfinite(one) and low <= one <= high for row in rows for one in row):
        raise Refused("unreadable", "the gradient table is not of the shape or range that BIDS gives it")
    return "".join(" ".join(f"{one:.6g}" for one in row) + "\n" for row in rows).encode()


def age(cell: str) -> str:
    """Whole years; over 89 becomes "90+" (45 CFR 164.514(b)(2)(i)(C)); anything else n/a."""
    match = re.fullmatch(r"(\d{1,3})(?:[.,]\d+)?\s*(?:\+|y|years?)?", cell.strip(), re.IGNORECASE)
    if not match or int(match[1]) > 130:
        return "n/a"
    return "90+" if int(match[1]) > 89 or "+" in cell else match[1]


def group(cell: str, key: bytes) -> str:
    """A category: usual words stay, others become a code that is the same for the same text."""
    cell = cell.strip()
    return cell if cell in ("", "n/a") or is_plain(cell) else code(key, f"category {cell}")


def moment(cell: str, days: int) -> str:
    """An acquisition time moved by the patient's offset and before 1925; n/a when it is no date."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)Z?)?", cell.strip())
    if not match:
        return "n/a"
    try:
        day, time = datetime.date.fromisoformat(match[1]), datetime.time.fromisoformat(match[2] or "00:00")
        back = days - (_CENTURY if day.year >= _SHIFTED else 0)
        return f"{(day + datetime.timedelta(days=back)).isoformat()}T{time.isoformat()}"
    except (ValueError, OverflowError):
        return "n/a"


def mapped_name(path: str, names: Names) -> str:
    """A path below the subject's folder (data type/name, perhaps with the session in front) under its new name, or ""
    when a part of it is not of BIDS' form."""
    parts = PurePosixPath(path).parts
    name = parse(parts[-1]) if parts else None
    safe = rebuilt(name, names) if name else None
    if safe is None:
        return ""
    folders = [f"ses-{safe_label('ses', part[4:], names)}" if part.startswith("ses-") else part for part in parts[:-1]]
    return "/".join([*folders, str(safe)])


def _dates(profile: Profile) -> bool:
    return "retain_long_modified_dates" in profile.options


def _columns(header: Row, checks: Mapping[str, Check], actions: Counter[str]) -> list[tuple[int, str]]:
    """Position and name of the columns that stay; the position (from 1) of each that goes is counted as an action."""
    kept: list[tuple[int, str]] = []
    for at, name in enumerate(header):
        if name in checks and name not in {one for _, one in kept}:
            kept.append((at, name))
        elif name not in ("participant_id", "session_id", "filename"):
            actions[f"column {at + 1} dropped"] += 1
    return kept


def _cells(row: Row, kept: list[tuple[int, str]], checks: Mapping[str, Check], actions: Counter[str]) -> Row:
    cells: Row = []
    for at, name in kept:
        cell = checks[name](row[at]) or "n/a"
        actions["rejected"] += cell == "n/a" and row[at].strip() not in ("", "n/a")
        actions["shifted"] += name == "acq_time" and cell != "n/a"
        actions["capped"] += cell == "90+"
        cells.append(cell)
    return cells


def _one_of(allowed: frozenset[str]) -> Check:
    return lambda cell: cell.strip() if cell.strip().lower() in allowed else "n/a"


def _number_between(low: float, high: float) -> Check:
    def check(cell: str) -> str:
        try:
            value = float(cell)
        except ValueError:
            return "n/a"
        return f"{round(value, 4):.10g}" if math.isfinite(value) and low <= value <= high else "n/a"

    return check


def _encoded(header: Row, rows: list[Row]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in [header, *rows]).encode()
