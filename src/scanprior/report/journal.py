"""Journals' checklists, filled with what a study's files know; the rest is left to the authors, item by item."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scanprior.report.annex import Answer, Checklist

FOLDER = Path(__file__).parent / "checklists"
OPEN = "to be stated by the authors"


def checklists(facts: Mapping[str, str]) -> tuple[Checklist, ...]:
    """Every checklist of the folder, answered from `facts` (name → sentences; empty: this study doesn't know).

    Raises:
        KeyError: a checklist asks for a fact that `facts` has no name for.
    """
    return tuple(_fill(file, facts) for file in sorted(FOLDER.glob("*.toml"), reverse=True))


def _fill(file: Path, facts: Mapping[str, str]) -> Checklist:
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    answers: list[Answer] = []
    for item in table["items"]:
        known = " ".join(facts[name] for name in item["facts"] if facts[name])
        authors = f"{OPEN}: {item['authors']}" if item["authors"] else "" if known else OPEN
        answers.append(Answer(item["number"], item["topic"], item["asks"], known, authors))
    return Checklist(file.stem, table["name"], table["full"], table["source"], table["checked"], tuple(answers))


def as_csv(checklist: Checklist) -> str:
    """The filled checklist as CSV: item, topic, what it asks, what the study knows, what the authors must state."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["item", "topic", "asks for", "known from the study", "to be stated by the authors"])
    for answer in checklist.answers:
        open_part = answer.authors.removeprefix(OPEN).removeprefix(": ") or ("yes" if answer.authors else "")
        writer.writerow([answer.number, answer.topic, answer.asks, answer.known, open_part])
    return buffer.getvalue()
