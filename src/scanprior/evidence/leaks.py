"""Leaks that can be proved from tables: one person on both sides, a prior that saw test patients, identical voxels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Leak(NamedTuple):
    """One finding; `proof` fails the study, otherwise it is shown."""

    check: str
    proof: bool
    sentence: str
    patients: tuple[str, ...]


def overlaps(split: Mapping[str, Any]) -> list[Leak]:
    """Patients that are tested and also lend labels or lie in the pool, in any draw of a split.json."""
    found: list[Leak] = []
    pool = set(split["pool"])
    for draw in split["draws"]:
        tested = set(draw["test"])
        where = f"draw {draw['draw']}, fold {draw['fold']}"
        for name, side in (("train-test", set(draw["order"])), ("pool-test", pool)):
            if both := tested & side:
                found.append(_leak(name, f"{len(both)} patients are tested and also {_SIDE[name]} ({where})", both))
    return found


def prior_on_test(
    seen: Collection[str], split: Mapping[str, Any], draw: int | None = None, fold: int | None = None
) -> list[Leak]:
    """Test patients whose scans a prior has seen; `draw` and `fold` where the prior belongs to one of them."""
    tested: set[str] = set()
    for one in split["draws"]:
        if draw in (None, one["draw"]) and fold in (None, one["fold"]):
            tested |= set(one["test"])
    both = tested & set(seen)
    return [_leak("prior-test", f"the prior has seen the scans of {len(both)} test patients", both)] if both else []


def identical(scans: pd.DataFrame, groups: Sequence[Collection[str]] = ()) -> list[Leak]:
    """Scans of different patients with the same voxels; `groups` are patients already known to be one person.

    scans: columns patient, digest.
    """
    found: list[Leak] = []
    for _, rows in scans.groupby("digest", sort=True):
        names = sorted(set(rows["patient"]))
        if len(names) > 1 and not any(set(names) <= set(group) for group in groups):
            found.append(
                _leak("identical-voxels", f"{len(names)} patients have a scan with exactly the same voxels", names)
            )
    return found


def strangers(arm: str, number: int) -> list[Leak]:
    """Predictions for patients that the draw doesn't test, as proof that an arm did not keep to the split."""
    if not number:
        return []
    return [
        Leak("off-split", True, f"arm {arm} has {number} predictions for patients whom that draw does not test", ())
    ]


_SIDE = {"train-test": "lend labels", "pool-test": "lie in the pool"}


def _leak(check: str, sentence: str, patients: Collection[str]) -> Leak:
    return Leak(check, True, sentence, tuple(sorted(patients)))
