"""Journals' checklists: every item is there once, and no answer is made up."""

from __future__ import annotations

import csv
import io
import string
import tomllib
from dataclasses import replace

import pytest
from report_example import patient_content, voxel_content

from scanprior.report.content import ReportContent, Study
from scanprior.report.facts import facts
from scanprior.report.journal import FOLDER, OPEN, as_csv, checklists
from scanprior.report.methods import ORDER, methods

# Items with sub-items and how many they have, as published: TRIPOD+AI (BMJ 2024;385:e078378), STARD-AI (Nat Med 2025;31:3283).
PUBLISHED = {
    "tripod_ai": (27, {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}),
    "stard_ai": (40, {15: 4, 16: 3, 17: 2, 26: 2, 40: 2}),
    "claim": (44, {}),
}


@pytest.mark.parametrize("stem", sorted(PUBLISHED))
def test_every_item_is_there_once_and_in_order(stem: str) -> None:
    main, parts = PUBLISHED[stem]
    numbers = [
        f"{item}{letter}"
        for item in range(1, main + 1)
        for letter in (string.ascii_lowercase[: parts[item]] if item in parts else ("",))
    ]
    table = tomllib.loads((FOLDER / f"{stem}.toml").read_text(encoding="utf-8"))
    assert [item["number"] for item in table["items"]] == numbers


@pytest.mark.parametrize("content", [voxel_content("helps"), patient_content()], ids=["voxel", "patient"])
def test_every_item_has_an_answer_or_is_left_to_the_authors(content: ReportContent) -> None:
    known = facts(content)
    for checklist in checklists(known):
        assert 0 < checklist.answered < len(checklist.answers)
        for answer in checklist.answers:
            assert answer.known or answer.authors.startswith(OPEN), answer
        rows = list(csv.reader(io.StringIO(as_csv(checklist))))
        assert len(rows) == len(checklist.answers) + 1
        assert {len(row) for row in rows} == {5}
        assert all(row[3] or row[4] for row in rows)


def test_what_only_people_know_is_never_answered() -> None:
    known = facts(voxel_content())
    human = {"tripod_ai": ("17", "18a", "18b", "18d", "19"), "stard_ai": ("6", "36", "38", "39"), "claim": ("16", "44")}
    for checklist in checklists(known):
        for answer in checklist.answers:
            if answer.number in human[checklist.stem]:
                assert answer.known == ""
                assert answer.authors.startswith(OPEN)


def test_a_study_that_has_nothing_claims_nothing() -> None:
    study = Study("empty", "patient", ("a", "b"), "auc", ("dbn", "scratch"), (4, 8), 2, "cv", "disjoint", 1)
    known = facts(ReportContent(study=study, verdict=None))
    for name in ("data", "sites", "deidentification", "classes", "characteristics", "prior", "performance", "protocol",
                 "calibration", "power", "software", "estimand", "disjoint", "shortcuts", "sample_size"):  # fmt: skip
        assert known[name] == "", name


def test_facts_follow_the_study() -> None:
    voxel, patient = facts(voxel_content()), facts(patient_content())
    assert "segment anterior and posterior" in voxel["question"]
    assert "tell healthy and lesion apart" in patient["question"]
    assert voxel["protocol"].startswith("The plan was frozen before the first result (sha256 c4c4")
    origin = replace(voxel_content().provenance, frozen=False)
    assert facts(replace(voxel_content(), provenance=origin))["protocol"].startswith("No plan was frozen")
    assert "slope 0.81" in patient["calibration"]
    assert "Simulated cohort" in patient["limits"]
    assert "Simulated" not in voxel["limits"]
    assert "3 items were set aside (missing-slice and not-an-image)." in voxel["quarantine"]


def test_the_methods_paragraph_has_versions_margin_and_split() -> None:
    known = facts(voxel_content())
    assert set(ORDER) <= known.keys()
    paragraph = methods(known)
    for needle in ("torch 2.13.0", "margin 0.010", "3f3f", "13 × 13 × 13", "scanprior 0.1.0", "Holm"):
        assert needle in paragraph, needle
    assert "\n" not in paragraph
