"""The frozen plan: what was declared before the first result, its hash, and every deviation afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

PARTS = ("study", "seed", "task", "arms", "evaluation", "prior", "patches", "prepare")


def plan_of(config: Mapping[str, Any], code: str) -> dict[str, Any]:
    """The plan in a resolved study file (public values only) and the version of the code that will judge it."""
    return {**{part: config[part] for part in PARTS}, "code": code}


def plan_digest(plan: Mapping[str, Any]) -> str:
    """sha256 of the plan's canonical JSON."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def deviations(frozen: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One sentence for each value that is no longer as it was frozen."""
    before, after = _flat(frozen), _flat(now)
    found: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            found.append(f"{key} was {before[key]} and is gone")
        elif key not in before:
            found.append(f"{key} is {after[key]} and was not planned")
        elif before[key] != after[key]:
            found.append(f"{key} was {before[key]} and is {after[key]}")
    return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(item, ensure_ascii=False)
    return flat
