"""Canaries, leaks, short cuts, power and sites: what verdict.json and its tables say of how far the verdict can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scanprior.report.annex import PowerRow, Shortcut, SiteRow, Sites, WorstSite
from scanprior.report.content import Check

NAN = float("nan")
# What an evaluation that was not refused has found to hold; it refuses at the first proof of the contrary.
HOLDS = (
    (
        "two sides",
        "No tested patient lends labels or lies in the pool of its draw, and no arm predicted for another patient.",
    ),
    ("same volume", "No two patients have a scan with exactly the same voxels, those named as one person apart."),
)


def read_checks(found: Mapping[str, Any]) -> tuple[Check, ...]:
    """Canaries and leak findings; a canary without its answer or a proved leak has not passed."""
    checks = [
        Check("canary", str(canary.get("name", "canary")), _passed(canary), str(canary.get("sentence", "")))
        for canary in found.get("canaries") or []
    ]
    for leak in found.get("leaks") or []:
        checks.append(Check("leak", str(leak["check"]), False if leak.get("proof") else None, str(leak["sentence"])))
    if "leaks" in found and all(check.passed is not False for check in checks if check.kind == "leak"):
        checks += [Check("leak", name, True, sentence) for name, sentence in HOLDS]
    return tuple(checks)


def _passed(canary: Mapping[str, Any]) -> bool | None:
    """None for a canary that must end at chance where even a perfect score (1) would not have been told from chance."""
    if not canary.get("passed"):
        return False
    observed, high, expected = (canary.get(key) for key in ("observed", "high", "expected"))
    if canary.get("name") == "planted" or expected is None:
        return True
    if observed is None or high is None:
        return None
    return True if expected + (high - observed) < 1 else None


def read_shortcuts(table: pd.DataFrame | None) -> tuple[Shortcut, ...]:
    """Rows of shortcuts.parquet (name, levels, accuracy, chance, p_holm, suspect), the strongest first."""
    if table is None:
        return ()
    columns = ["name", "levels", "accuracy", "chance", "p_holm", "suspect"]
    rows = [
        Shortcut(str(name), int(levels), float(accuracy), float(chance), float(p), bool(suspect))
        for name, levels, accuracy, chance, p, suspect in table[columns].itertuples(index=False, name=None)
    ]
    return tuple(sorted(rows, key=lambda one: (-one.accuracy, one.name)))


def read_power(found: Mapping[str, Any]) -> tuple[str, tuple[PowerRow, ...]]:
    """The forecast's sentence and its rows; "" and none where the evaluation made no forecast."""
    power = found.get("power") or {}
    rows: list[PowerRow] = []
    for row in power.get("rows") or []:
        needed = row.get("needed") or {}
        chances = (_number(row["helps_at_margin"]), _number(row["equivalent_at_zero"]))
        case = CASES.get(row["case"], str(row["case"]))
        rows.append(PowerRow(case, _number(row["detectable"]), *chances, needed.get("patients"), needed.get("draws")))
    return str(power.get("sentence", "")), tuple(rows)


def read_sites(found: Mapping[str, Any]) -> Sites | None:
    """The primary difference site by site; None with fewer than two known sites."""
    sites = found.get("sites")
    if not sites:
        return None
    rows = [
        SiteRow(str(row["site"]), int(row["patients"]), *_interval(row), str(row.get("note") or ""))
        for row in sites["rows"]
    ]
    least = sites.get("worst")
    worst = WorstSite(str(least["site"]), *_interval(least), int(least["sites"])) if least else None
    return Sites(tuple(rows), worst, bool(sites.get("held_out")))


def _interval(row: Mapping[str, Any]) -> tuple[float, float, float]:
    return _number(row["delta"]), _number(row["low"]), _number(row["high"])


def _number(value: Any) -> float:
    return NAN if value is None else float(value)


CASES = {"favourable": "little", "usual": "as usual", "unfavourable": "much"}
