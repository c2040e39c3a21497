"""Canaries, leaks, short cuts, power and sites, read from verdict.json and its tables."""

from __future__ import annotations

import math

import pandas as pd

from scanprior.report import checks
from scanprior.report.content import Check
from scanprior.report.words import by_site, worst_site


def test_a_canary_has_passed_only_when_it_says_so() -> None:
    said = "0.81 where chance is 0.5."
    for answer, passed in ((True, True), (False, False), (None, False)):
        canary = {"name": "permuted labels", "passed": answer, "sentence": said}
        assert checks.read_checks({"canaries": [canary]}) == (Check("canary", "permuted labels", passed, said),)


def test_shortcuts_come_strongest_first() -> None:
    table = pd.DataFrame(
        {
            "name": ["sex", "site"],
            "levels": [2, 3],
            "accuracy": [0.5, 0.9],
            "chance": 0.5,
            "p": 0.5,
            "p_holm": [1.0, 0.002],
            "suspect": [False, True],
        }
    )
    assert checks.read_shortcuts(table) == (("site", 3, 0.9, 0.5, 0.002, True), ("sex", 2, 0.5, 0.5, 1.0, False))
    assert checks.read_shortcuts(None) == ()


def test_leaks_are_proved_or_doubtful_or_absent() -> None:
    doubt = {"check": "similar", "proof": False, "sentence": "Two scans look alike."}
    rows = checks.read_checks({"leaks": [doubt]})
    assert [(check.name, check.passed) for check in rows] == [
        ("similar", None),
        ("two sides", True),
        ("same volume", True),
    ]
    proof = {"check": "overlap", "proof": True, "sentence": "One patient twice."}
    assert [check.passed for check in checks.read_checks({"leaks": [proof]})] == [False]
    assert checks.read_checks({}) == ()


def test_a_canary_that_could_not_fail_has_shown_nothing() -> None:
    """The bound of what chance reaches (expected + high − observed) must lie below a perfect score."""
    base = {"name": "permuted", "passed": True, "sentence": "", "expected": 0.5, "observed": 0.6}
    for high, passed in ((0.9, True), (1.2, None), (None, None)):
        assert checks.read_checks({"canaries": [{**base, "high": high}]})[0].passed is passed
    assert checks.read_checks({"canaries": [{**base, "name": "planted", "high": 1.2}]})[0].passed is True


def test_the_forecast_keeps_what_no_number_of_patients_decides() -> None:
    rows = [
        {"case": "usual", "detectable": 0.1, "helps_at_margin": 0.2, "equivalent_at_zero": 0.3,
         "needed": {"patients": 90, "draws": 20}},
        {"case": "unfavourable", "detectable": None, "helps_at_margin": 0.0, "equivalent_at_zero": 0.0, "needed": None},
    ]  # fmt: skip
    sentence, found = checks.read_power({"power": {"sentence": "Four of five.", "rows": rows}})
    assert sentence == "Four of five."
    assert found[0] == ("as usual", 0.1, 0.2, 0.3, 90, 20)
    assert (found[1].case, found[1].patients) == ("much", None)
    assert math.isnan(found[1].detectable)
    assert checks.read_power({}) == ("", ())


def test_sites_are_told_with_the_worst_of_them() -> None:
    row = {"site": "A", "patients": 20, "delta": 0.02, "low": -0.01, "high": 0.05, "note": ""}
    lone = {"site": "B", "patients": 1, "delta": None, "low": None, "high": None, "note": "fewer than two patients"}
    worst = {"site": "A", "delta": 0.02, "low": -0.03, "high": 0.06, "sites": 2}
    sites = checks.read_sites({"sites": {"held_out": False, "rows": [row, lone], "worst": worst}})
    assert sites is not None
    assert sites.rows[0] == ("A", 20, 0.02, -0.01, 0.05, "")
    said = by_site(sites, 0.95)
    for part in (
        "A +0.020 (−0.010 to +0.050, 20 patients)",
        "B without an interval (1 patient)",
        "all sites lent labels",
    ):
        assert part in said
    assert "worst of 2 sites the difference is +0.020 (A; 95\u202f% interval −0.030 to +0.060" in worst_site(
        sites, 0.95
    )
    assert worst_site(sites._replace(worst=None), 0.95) == ""
    assert checks.read_sites({"sites": None}) is None
    assert by_site(None, 0.95) == ""
