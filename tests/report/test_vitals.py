"""The lines below the verdict: nothing good is said without a record of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_example import voxel_content

from scanprior.report import words
from scanprior.report.annex import Shortcut
from scanprior.report.content import Check, Difference, Provenance, ReportContent
from scanprior.report.vitals import vitals


def lines(content: ReportContent) -> dict[str, tuple[str, str]]:
    return {vital.name: (vital.mark, vital.sentence) for vital in vitals(content)}


def test_what_ran_and_held_is_named() -> None:
    told = lines(replace(voxel_content(), power="Four of five such studies would find 0.02."))
    assert told["Canaries"] == ("good", "1 of 1 came out as they must: permuted labels.")
    assert told["Leaks"][0] == "good"
    assert told["Power"] == ("fact", "Four of five such studies would find 0.02.")
    assert told["Plan"] == ("good", "frozen as c4c4c4c4c4c4 before the first result; no deviation.")


def test_without_a_record_nothing_is_good() -> None:
    told = lines(replace(voxel_content(), checks=(), differences=(), power="", provenance=Provenance(None, None)))
    assert {name: mark for name, (mark, _) in told.items()} == dict.fromkeys(
        ("Rivals", "Controls", "Canaries", "Leaks", "Plan"), "look"
    )


def test_failures_and_doubts_are_counted() -> None:
    content = voxel_content()
    failed = Check("canary", "border only", False, "0.9 where chance is 0.5.")
    doubt = Check("leak", "suspect", None, "P-1 and P-2 look alike.")
    told = lines(replace(content, checks=(*content.checks, failed, doubt)))
    assert told["Canaries"] == ("bad", "1 of 2 failed: border only.")
    assert told["Leaks"] == ("look", "none proved; 1 suspect to be looked at.")
    proof = Check("leak", "overlap", False, "One patient twice.")
    assert lines(replace(content, checks=(proof,)))["Leaks"] == ("bad", "1 proved.")
    saw = replace(content, priors=(replace(content.priors[0], test_overlap=3),))
    assert lines(saw)["Leaks"] == ("look", "prior saw scans of tested patients.")


def test_the_strongest_shortcut_is_told_with_chance() -> None:
    rows = (Shortcut("site", 2, 0.92, 0.5, 0.002, True), Shortcut("sex", 2, 0.5, 0.5, 1.0, False))
    mark, said = lines(replace(voxel_content(), shortcuts=rows))["Shortcuts"]
    assert mark == "look"
    assert "site may tell the label" in said
    assert "0.92 (chance 0.50)" in said
    mark, said = lines(replace(voxel_content(), shortcuts=rows[1:]))["Shortcuts"]
    assert mark == "good"
    assert "none of 1 covariates stands out" in said


def test_deviations_are_all_listed() -> None:
    content = voxel_content()
    origin = replace(content.provenance, deviations=("seed was 0 and is 1", "arms were a and are b"))
    mark, said = lines(replace(content, provenance=origin))["Plan"]
    assert mark == "look"
    assert "2 deviations: seed was 0 and is 1; arms were a and are b." in said


def test_a_gain_that_a_control_shares_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    content = voxel_content()
    assert lines(content)["Controls"][0] == "look", "without controls a gain may have other causes"
    for arm in ("moments", "covariates"):
        monkeypatch.setitem(words.ARMS, arm, f"control: {arm}")
    study = replace(content.study, arms=("dbn", "scratch", "moments", "covariates"))
    for low, mark, said in (
        (0.002, "good", "dbn does better than moments;"),
        (-0.002, "look", "not shown to do better than moments"),
    ):
        row = Difference("dbn", "moments", None, 0.01, low, 0.02)
        told = lines(replace(content, study=study, differences=(*content.differences, row)))["Controls"]
        assert told[0] == mark
        assert said in told[1]
        assert "covariates stands in the table of arms" in told[1]


@pytest.mark.parametrize(
    ("low", "high", "mark", "said"),
    [(0.01, 0.03, "good", "dbn does better than cnn"), (-0.03, -0.01, "look", "dbn does worse than cnn"),
     (-0.01, 0.03, "look", "dbn is not shown to do better than cnn")],
)  # fmt: skip
def test_the_best_rival_stands_below_the_verdict(low: float, high: float, mark: str, said: str) -> None:
    content = replace(voxel_content(), differences=(Difference("dbn", "cnn", None, (low + high) / 2, low, high),))
    told = lines(content)["Rivals"]
    assert told[0] == mark
    assert said in told[1]
    assert f"{high:+.3f}".replace("-", "−") in told[1]
    held = replace(content, differences=tuple(replace(row, p_adjusted=0.15) for row in content.differences))
    if low > 0 or high < 0:
        told = lines(held)["Rivals"]
        assert told[0] == "look" and "is not shown to do better than cnn" in told[1] and "Holm p 0.15" in told[1]
    assert lines(replace(content, best_other="scratch"))["Rivals"][0] == "good"
    assert lines(replace(content, differences=()))["Rivals"][0] == "look"
