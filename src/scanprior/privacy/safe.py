"""Private attributes that PS3.15 Table E.3.10-1 knows to be safe, by creator, group and offset; only numbers and defined
terms of them, checked like any other."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from scanprior.privacy.encode import Elements, text_element
from scanprior.privacy.rules import Rule
from scanprior.privacy.values import Context, check
from scanprior.privacy.vocabulary import TERMS

_NUMBERS = frozenset(("FL", "FD", "US", "SS", "UL", "SL"))


@cache
def table() -> dict[tuple[str, int, int], tuple[str, str]]:
    """Table E.3.10-1: (creator, group, offset in its block) → VR and VM."""
    rows = json.loads(files("scanprior.privacy").joinpath("safe_private.json").read_text(encoding="utf-8"))["rows"]
    return {(creator, int(place[:4], 16), int(place[-2:], 16)): (vr, vm) for place, creator, vr, vm in rows}


def private_elements(dataset: Dataset, context: Context) -> Elements:
    """The safe private elements of one data set (not of its items), and the creators of their blocks."""
    kept: Elements = {}
    for tag, element in dataset._dict.items():  # pyright: ignore[reportPrivateUsage]
        group, number = int(tag) >> 16, int(tag) & 0xFFFF
        if not group & 1 or number < 0x1000 or not isinstance(element, RawDataElement):
            continue
        creator = _creator(dataset, group, number >> 8)
        row = table().get((creator, group, number & 0xFF))
        rule = _rule(*row) if row is not None else None
        if rule is None or not isinstance(element.value, bytes):
            continue
        try:
            clean = check(element.value, rule, context._replace(little=element.is_little_endian))
        except (ValueError, OverflowError, LookupError):  # no value of its VR
            clean = None
        if clean is not None:
            kept[int(tag)] = clean
            kept[group << 16 | number >> 8] = text_element("LO", creator)
    return kept


def _rule(vr: str, vm: str) -> Rule | None:
    most = int(vm) if vm.isdigit() else 16
    if vr in ("DS", "IS"):
        return Rule(vr, "number", None, most)
    if vr in _NUMBERS:
        return Rule(vr, "binary", None, most)
    return Rule(vr, "code", TERMS, most) if vr == "CS" else None


def _creator(dataset: Dataset, group: int, block: int) -> str:
    element = dataset._dict.get(group << 16 | block)  # type: ignore[call-overload]  # pyright: ignore
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip(" \0") if isinstance(value, str) else ""
