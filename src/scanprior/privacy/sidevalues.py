"""What the files beside NIfTI images say of a person, read for the second pass by its own, simple means.

Sidecars, tables, free text and the labels in BIDS file names: every string that could name somebody becomes a value
that must not be found in the output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEXTS = (".json", ".tsv", ".csv", ".txt", ".md", ".rst", ".cff")
_PERSON = re.compile(
    r"patients?.?name|other.?names?|birth.?name|^name$|full.?name|surname|family|given|first.?name|last.?name|physician|operator|"
    "author|initials",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"id$|_id|mrn|ssn|accession|phone|account|serial|station|institution|address|birth|dob", re.IGNORECASE
)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-./]?(0[1-9]|1[0-2])[-./]?(0[1-9]|[12]\d|3[01])(?!\d)")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")


def is_beside(path: Path) -> bool:
    """Whether a file is text that goes with images."""
    return path.name.lower().endswith(_TEXTS) or path.name.split(".")[0].upper() in ("README", "CHANGES", "LICENSE")


def side_values(path: Path, content: bytes) -> set[tuple[str, str]]:
    """(kind, text) of everything that a sidecar, a table or a free text says."""
    text = content.decode("utf-8-sig", "replace")
    lower = path.name.lower()
    if lower.endswith(".json"):
        try:
            return set(_of_json("", json.loads(text)))
        except (ValueError, RecursionError):
            pass
    if lower.endswith((".tsv", ".csv")):
        return set(_of_table(text, "\t" if lower.endswith(".tsv") else ","))
    return {("text", line.strip()) for line in text.splitlines() if line.strip()}


def name_values(name: str) -> set[tuple[str, str]]:
    """Labels of a BIDS file name: the subject's, and other ones that are long enough to be an id or a date."""
    found: set[tuple[str, str]] = set()
    for entity, label in re.findall(r"(?:^|_)([a-z]+)-([A-Za-z0-9]+)", name):
        if entity == "sub":
            found |= {("id", label)} if len(label) > 3 else set()
            found |= {("file name", f"sub-{label}")} if label.isdigit() or len(label) > 3 else set()
        elif len(label) > 5:
            found.add(("text" if not label.isdigit() else "id", label))
    return found


def _of_json(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from _of_json(str(inner), one)
    elif isinstance(value, list):
        for one in value:
            yield from _of_json(key, one)
    elif isinstance(value, str):
        yield from _of_text(key, value)
    elif isinstance(value, int) and not isinstance(value, bool) and _NUMBER.search(key):
        yield "id", str(value)


def _of_table(text: str, separator: str) -> Iterator[tuple[str, str]]:
    rows = [line.split(separator) for line in text.splitlines() if line.strip()]
    for row in rows[1:]:
        for column, cell in zip(rows[0], row, strict=False):
            if column.strip() not in ("participant_id", "session_id", "filename"):
                yield from _of_text(column.strip(), cell.strip())


def _of_text(key: str, text: str) -> Iterator[tuple[str, str]]:
    for year, month, day in _DATE.findall(text):
        yield ("birth date" if re.search("birth|dob", key, re.IGNORECASE) else "date"), year + month + day
    if _TIME.fullmatch(text) or _DATE.match(text):
        return
    if re.fullmatch(r"[\d.]{10,64}", text) and text.count(".") > 2:
        yield "uid", text
    elif _PERSON.search(key) and key != "Name":  # BIDS' own Name is a data set's
        yield "name", text
    else:
        yield ("id" if _NUMBER.search(key) else "text"), text
