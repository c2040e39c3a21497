"""Which attributes may stay and how each value is checked: an allow-list first, PS3.15 Table E.1-1 as the second
line.

A block list cannot win: of pydicom's 753 text attributes 476 are not in the standard's table. So an attribute
stays only if the allow-list names it, its value passes the check of its kind, and the table with the profile's
options does not object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, NamedTuple

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from scanprior.errors import ConfigError
from scanprior.privacy import attributes, vocabulary
from scanprior.privacy.attributes import Kind

PROFILES: dict[str, tuple[str, ...]] = {
    "basic": (),
    "research": ("retain_patient_characteristics", "retain_long_modified_dates", "clean_descriptors"),
}
CONTENT = 0x0040A730  # the tree of a structured report
STRUCTURED = "clean_structured_content"  # Table E.3.4-1, item by item: privacy/reports.py
# What --option may add, by the names of Table E.1-1's columns.
OPTIONS = (
    "clean_descriptors",
    STRUCTURED,
    "retain_device_identity",
    "retain_institution_identity",
    "retain_long_full_dates",
    "retain_long_modified_dates",
    "retain_patient_characteristics",
    "retain_safe_private",
    "retain_uids",
)
_ELSEWHERE = {
    "clean_pixel_data": "burned-in text is treated by --text",
    "clean_recognizable_visual_features": "faces are treated by --faces",
    "clean_graphics": "overlays, curves and graphic annotations are always removed: nothing here can vouch for a drawing",
}
_TEXT = frozenset(("LO", "SH", "ST", "LT", "UT", "UC"))
_NUMBERS = frozenset(("FL", "FD", "US", "SS", "UL", "SL", "US or SS"))
_DATES: dict[str, Kind] = {"DA": "date", "TM": "time", "DT": "datetime"}
_KEPT_DATES: dict[str, Kind] = {"DA": "kept-date", "TM": "time", "DT": "kept-datetime"}
# Beside what Table E.1-1 names inside a code sequence that an option keeps: the code itself (PS3.3 table 8.8-1).
_CODE_ITEM = (0x00080100, 0x00080102, 0x00080103, 0x00080104)


class Rule(NamedTuple):
    """How one attribute is treated: its VR, the check of its kind, the values allowed, and how many values it may
    hold."""

    vr: str
    kind: Kind
    values: frozenset[str] | None
    most: int  # 0: any number
    limit: float = attributes.LARGEST
    coded: bool = False  # a sequence whose items are codes


class Row(NamedTuple):
    """One row of Table E.1-1."""

    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Profile:
    """A confidentiality profile: its options and, per tag, the rule of what may stay; whatever has no rule goes."""

    name: str
    options: tuple[str, ...]
    rules: Mapping[int, Rule]

    @cached_property
    def coded(self) -> Mapping[int, Rule]:
        """The rules inside items of code sequences: the code itself (PS3.3 table 8.8-1) may stay, too."""
        return {**self.rules, **{tag: Rule(dictionary_VR(tag), "text", None, 1) for tag in _CODE_ITEM}}

    def codes(self, *performed: str) -> set[str]:
        """The CID 7050 codes of the profile, its options and what else was `performed` (named as in Table E.1-1)."""
        known: dict[str, list[str]] = _table()["options"]
        return {known[name][0] for name in ("basic", *self.options, *performed)}


@cache
def profile(name: str, options: tuple[str, ...] = ()) -> Profile:
    """Return the profile `basic` or `research` with further options of the standard, e.g. clean_descriptors."""
    if name not in PROFILES:
        raise ConfigError(f"there is no profile {name!r}", hint=f"allowed: {', '.join(PROFILES)}")
    wanted = _checked(options)
    if {"retain_long_full_dates", "retain_long_modified_dates"} <= set(wanted):
        raise ConfigError("dates cannot be both kept and moved", hint="give one of the two retain_long options")
    active = tuple(dict.fromkeys((*PROFILES[name], *wanted)))
    if "retain_long_full_dates" in wanted:
        active = tuple(option for option in active if option != "retain_long_modified_dates")
    kept = dict(_physics()) if name == "research" else {}
    kept |= {tag: rule for tag, rule in allow_list().items() if _agreed(tag, rule, active)}
    return Profile(name, active, kept | _optional(active))


def _checked(options: Iterable[str]) -> list[str]:
    """The names of the options as in the table; ConfigError for one that is not offered."""
    wanted = [option.lower().replace("-", "_") for option in options]
    for option in wanted:
        if option not in OPTIONS:
            why = f": {_ELSEWHERE[option]}" if option in _ELSEWHERE else ""
            raise ConfigError(f"the option {option!r} is not offered{why}", hint=f"allowed: {', '.join(OPTIONS)}")
    return wanted


@cache
def allow_list() -> dict[int, Rule]:
    """Tag → rule of everything that may stay without an option's leave, before the table has its say."""
    rules = {_tag(word): _rule(word, kind, None) for kind, text in attributes.PLAIN.items() for word in text.split()}
    rules |= {_tag(word): _rule(word, "code", values) for word, values in attributes.CODES.items()}
    return rules


@cache
def _physics() -> dict[int, Rule]:
    """Numbers and defined terms of the acquisition that the table does not name."""
    found: dict[int, Rule] = {}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 not in attributes.PHYSICS_GROUPS or row_of(tag) or keyword in attributes.PHYSICS_LEFT_OUT:
            continue
        if vr in ("DS", "IS"):
            found[tag] = _rule(keyword, "number", None)
        elif vr in _NUMBERS:
            found[tag] = _rule(keyword, "binary", None)
        elif vr == "CS":
            found[tag] = _rule(keyword, "code", vocabulary.TERMS)
        elif vr == "SQ":
            found[tag] = _rule(keyword, "sequence", None)
    return found


def _optional(options: tuple[str, ...]) -> dict[int, Rule]:
    """Rules of what the table lets stay under the options, beyond the allow-list."""
    found: dict[int, Rule] = {}
    options = tuple(option for option in options if option != STRUCTURED)
    for key, row in rows().items():
        if not set(key) <= set("0123456789abcdef") or (tag := int(key, 16)) in allow_list():
            continue
        vr = DicomDictionary[tag][0] if tag in DicomDictionary else attributes.UNKNOWN_VR.get(tag, "")
        actions = {option: row.options[option] for option in options if option in row.options}
        kind = "uid" if vr == "UI" and row.basic == "U" else None
        for option, action in sorted(actions.items()):
            kind = _kind(vr, option, action) or kind
        if kind is not None:
            values = attributes.PATIENT_TERMS.get(tag)
            coded = kind == "sequence"
            found[tag] = Rule(vr, "code" if values else kind, values, 0, coded=coded)
    if "retain_uids" in options:
        for tag, rule in allow_list().items():
            row = row_of(tag)
            if rule.kind == "uid" and row is not None and row.options.get("retain_uids") == "K":
                found[tag] = rule._replace(kind="kept-uid")
    if "retain_long_full_dates" in options:
        for tag, rule in allow_list().items():
            if rule.kind in ("date", "datetime") and _agreed(tag, rule, options):
                found[tag] = rule._replace(kind=_KEPT_DATES[rule.vr])
    return found


def _kind(vr: str, option: str, action: str) -> Kind | None:
    """How an attribute is checked that the table keeps (K) or lets be cleaned (C) under an option."""
    if vr == "SQ":
        return "sequence"
    if vr in _DATES:
        return _DATES[vr] if option == "retain_long_modified_dates" else _KEPT_DATES[vr]
    if vr == "UI":
        return "kept-uid" if action == "K" else "uid"
    if vr in ("DS", "IS"):
        return "number"
    if vr == "AS":
        return "age"
    if vr in _NUMBERS:
        return "binary"
    if vr in _TEXT or vr == "CS":
        # What is kept for its device or place may be any text; what describes is reduced to imaging words.
        return "text" if action == "K" else "words" if vr != "CS" else None
    return None


@cache
def rows() -> dict[str, Row]:
    """Table E.1-1 by tag in eight lower-case hex digits ("x" = any digit, "ggggeeee" = private)."""
    return {row[0].lower(): Row(row[1], row[2] if len(row) > 2 else {}) for row in _table()["rows"]}


def row_of(tag: int) -> Row | None:
    """The row of the table that speaks of `tag`, or None where the standard says nothing."""
    text = f"{tag:08x}"
    if tag >> 16 & 1:
        return rows()["ggggeeee"]
    for key in (text, f"{text[:2]}xx{text[4:]}", f"{text[:2]}xxxxxx"):
        if key in rows():
            return rows()[key]
    return None


def kept_by(options: Iterable[str]) -> frozenset[int]:
    """Tags whose values Table E.1-1 keeps as they are (K) under any of the options."""
    tags = {int(key, 16) for key, row in rows().items() if any(row.options.get(option) == "K" for option in _checked(options))
            and set(key) <= set("0123456789abcdef")}  # fmt: skip
    return frozenset(tags)


@cache
def method_codes() -> dict[str, str]:
    """CID 7050: code → meaning."""
    return {code: meaning for code, meaning in _table()["options"].values()}


def edition() -> str:
    """The edition of PS3.15 that the table was taken from, e.g. "2026c"."""
    return str(_table()["edition"])


def describe(chosen: Profile) -> list[dict[str, str]]:
    """For every attribute that the table or the allow-list names: what happens to it, and why (rows sorted by tag)."""
    tags = sorted({int(key, 16) for key in rows() if set(key) <= set("0123456789abcdef")} | set(allow_list()))
    found: list[dict[str, str]] = []
    for tag in tags:
        row, rule = row_of(tag), chosen.rules.get(tag)
        action = f"kept as {rule.kind}, checked" if rule else "removed or emptied"
        if tag == CONTENT and STRUCTURED in chosen.options:
            action = "cleaned item by item (Table E.3.4-1)"
        found.append({"tag": f"{tag:08x}", "action": action, "table": row.basic if row else "not in Table E.1-1",
                      "options": ", ".join(f"{k}={c}" for k, c in row.options.items()) if row else ""})  # fmt: skip
    return found


def _agreed(tag: int, rule: Rule, options: tuple[str, ...]) -> bool:
    """Whether the table lets a checked value of this kind stay under the options."""
    row = row_of(tag)
    if row is None or row.basic in ("U", "X/Z/U*"):  # UIDs are replaced here at every depth, so such sequences may stay
        return row is None or rule.kind in ("uid", "sequence")
    return any(row.options.get(option) in ("K", "C") for option in options)


@cache
def _table() -> dict[str, Any]:
    return json.loads(files("scanprior.privacy").joinpath("ps315.json").read_text(encoding="utf-8"))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"pydicom knows no attribute {keyword}")
    return tag


def _rule(keyword: str, kind: Kind, values: frozenset[str] | None) -> Rule:
    tag = _tag(keyword)
    most = dictionary_VM(tag).split("-")[-1]
    limit = attributes.LARGEST_OF.get(keyword, attributes.LARGEST)
    return Rule(dictionary_VR(tag), kind, values, int(most) if most.isdigit() else 0, limit)
