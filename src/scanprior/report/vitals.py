"""The lines below the verdict: canaries, leaks, shortcuts, power and plan, each in one sentence, none flattered."""

from __future__ import annotations

import math
from typing import NamedTuple

from scanprior.report.content import Difference, Provenance, ReportContent
from scanprior.report.numbers import count, decimals, listed, percent, score, signed
from scanprior.report.words import is_control


class Vital(NamedTuple):
    """One line: its mark (good, bad, look or fact), its name, what was found, and the section that has more."""

    mark: str
    name: str
    sentence: str
    section: str


def vitals(content: ReportContent) -> tuple[Vital, ...]:
    """What a reader must know of how the verdict came about, before reading on."""
    lines = [_rival(content), _controls(content), _canaries(content), _leaks(content), _shortcuts(content)]
    if content.power:
        lines.append(Vital("fact", "Power", content.power, "checks"))
    return (*(line for line in lines if line), _plan(content.provenance))


def _rival(content: ReportContent) -> Vital | None:
    """The prior's arm beside the best arm without a prior: a gain over a random start may still be second best."""
    verdict, best = content.verdict, content.best_other
    if verdict is None or best is None:
        return None
    arm, other = verdict.primary.arm, verdict.primary.other
    if best == other:
        return Vital(
            "good",
            "Rivals",
            f"no arm without a prior did better on validation patients than {other} itself.",
            "differences",
        )
    rows = [row for row in content.differences if (row.arm, row.other, row.budget) == (arm, best, None)]
    if not rows or not math.isfinite(rows[0].low):
        return Vital(
            "look", "Rivals", f"{best}, the best arm without a prior, was not compared with {arm}.", "differences"
        )
    row = rows[0]
    places = decimals(verdict.margin, row.low, row.high)
    span = f"{signed(row.delta, places)} ({percent(verdict.level)} interval {signed(row.low, places)} to {signed(row.high, places)})"
    if _above(row, verdict.level):
        return Vital(
            "good", "Rivals", f"{arm} does better than {best}, the best arm without a prior: {span}.", "differences"
        )
    word = "does worse than" if _below(row, verdict.level) else "is not shown to do better than"
    if not row.low <= 0 <= row.high and not _holds(row, verdict.level):
        span += f", which does not hold among so many comparisons (Holm p {score(row.p_adjusted or 0, 2)})"
    return Vital("look", "Rivals", f"{arm} {word} {best}, the best arm without a prior: {span}.", "differences")


def _above(row: Difference, level: float) -> bool:
    return row.low > 0 and _holds(row, level)


def _below(row: Difference, level: float) -> bool:
    return row.high < 0 and _holds(row, level)


def _holds(row: Difference, level: float) -> bool:
    """Whether a secondary comparison stands when all of them are counted (Holm)."""
    return row.p_adjusted is None or row.p_adjusted < 1 - level


def _controls(content: ReportContent) -> Vital | None:
    """Whether the prior does better than arms that have something of it but not what it learned."""
    if content.verdict is None:
        return None
    arm = content.verdict.primary.arm
    controls = [one for one in content.study.arms if is_control(one)]
    if not controls:
        said = "none in this study, so a gain could have other causes than what the prior learned (the size of its weights, say)."
        return Vital("look", "Controls", said, "arms")
    rows = {
        row.other: row for row in content.differences if row.arm == arm and row.budget is None and row.other in controls
    }
    above = [name for name, row in rows.items() if _above(row, content.verdict.level)]
    open_ = [name for name in rows if name not in above]
    rest = [name for name in controls if name not in rows]
    said = [f"{arm} does better than {listed(above)}"] if above else []
    said += [f"it is not shown to do better than {listed(open_)}, whose gain it may share"] if open_ else []
    said += [f"{listed(rest)} stand{'s' if len(rest) == 1 else ''} in the table of arms"] if rest else []
    return Vital("look" if open_ else "good" if above else "fact", "Controls", f"{'; '.join(said)}.", "arms")


def _canaries(content: ReportContent) -> Vital:
    ran = [check for check in content.checks if check.kind == "canary"]
    failed = [check.name for check in ran if check.passed is False]
    if not ran:
        return Vital(
            "look", "Canaries", "none ran, so nothing shows that these figures would notice a fault.", "checks"
        )
    if failed:
        return Vital("bad", "Canaries", f"{len(failed)} of {len(ran)} failed: {listed(failed)}.", "checks")
    held = [check.name for check in ran if check.passed]
    idle = [check.name for check in ran if check.passed is None]
    told = f"{count(len(held))} of {count(len(ran))} came out as they must: {listed(held)}"
    if idle:
        told += f"; {listed(idle)} could show nothing, with so few patients"
    return Vital("look" if idle else "good", "Canaries", f"{told}.", "checks")


def _leaks(content: ReportContent) -> Vital:
    found = [check for check in content.checks if check.kind == "leak"]
    proved = [check for check in found if check.passed is False]
    doubts = [check for check in found if check.passed is None and check.name != "shortcut"]
    if not found:
        return Vital("look", "Leaks", "no leak check left a record.", "checks")
    if proved:
        return Vital("bad", "Leaks", f"{len(proved)} proved.", "checks")
    seen = [prior for prior in content.priors if prior.test_overlap]
    if seen:
        return Vital(
            "look", "Leaks", f"{listed([prior.name for prior in seen])} saw scans of tested patients.", "checks"
        )
    if doubts:
        s = "s" if len(doubts) > 1 else ""
        return Vital("look", "Leaks", f"none proved; {len(doubts)} suspect{s} to be looked at.", "checks")
    return Vital("good", "Leaks", "none proved, none suspected.", "checks")


def _shortcuts(content: ReportContent) -> Vital | None:
    known = [one for one in content.shortcuts if math.isfinite(one.accuracy)]
    if not known:
        return None
    best = max(known, key=lambda one: one.accuracy)
    reached = (
        f"alone tells the label with a balanced accuracy of {score(best.accuracy, 2)} (chance {score(best.chance, 2)})"
    )
    suspects = [one.name for one in known if one.suspect]
    if suspects:
        told = f"{listed(suspects)} may tell the label without any anatomy; {best.name} {reached}."
        return Vital("look", "Shortcuts", told, "shortcuts")
    return Vital(
        "good",
        "Shortcuts",
        f"none of {len(known)} covariates stands out; the strongest, {best.name}, {reached}.",
        "shortcuts",
    )


def _plan(origin: Provenance) -> Vital:
    if not origin.plan_sha256:
        return Vital("look", "Plan", "not recorded.", "origin")
    short = origin.plan_sha256[:12]
    if not origin.frozen:
        return Vital("look", "Plan", f"not frozen before the first result; as it was run, it is {short}.", "origin")
    if origin.deviations:
        s = "s" if len(origin.deviations) > 1 else ""
        told = f"frozen as {short}; {len(origin.deviations)} deviation{s}: {'; '.join(origin.deviations)}."
        return Vital("look", "Plan", told, "origin")
    return Vital("good", "Plan", f"frozen as {short} before the first result; no deviation.", "origin")
