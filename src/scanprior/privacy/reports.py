"""Structured reports (PS3.15 E.3.4): content items that codes and numbers carry may stay, what words carry goes.

Table E.3.4-1 decides about the concepts that it names. Of the others containers, codes, numbers, coordinates and
references stay, checked as everywhere; text, names, dates and times go, as does an item whose concept is no public
code, each with whatever hangs on it. Free text never stays, also where an option of the standard would keep it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from scanprior.privacy import attributes, codes
from scanprior.privacy.attributes import Kind
from scanprior.privacy.encode import Element, Elements, text_element
from scanprior.privacy.header import SOP_CLASS, Names, clean_elements, context_of
from scanprior.privacy.refused import READ_ERRORS, Refused
from scanprior.privacy.rules import CONTENT, STRUCTURED, Profile, Rule
from scanprior.privacy.values import Context
from scanprior.privacy.vocabulary import terms

_ROOT = "1.2.840.10008.5.1.4.1.1.88."
# Structured reports and key object selections of PS3.4 table B.5-1; waveform annotations stay out.
CLASSES = frozenset(_ROOT + tail for tail in ("11", "22", "33", "34", "35", "40", "50", "59", "65", "67", "68", "69", "70", "71", "72",
                                              "73", "74", "75", "76"))  # fmt: skip
_DEPTH = 32
_VALUE_TYPE, _CONCEPT = 0x0040A040, 0x0040A043
_TEXT_VALUE = 0x0040A160
_UNITS = "UCUM"  # its codes look like short words: right for a unit of measurement, never for a concept
_SUBJECT_AGE = ("121033", "DCM")
_OLDEST = 89.0  # years; 45 CFR 164.514(b)(2)(i)(C)
# The attribute that carries the value of each type (PS3.3 table C.17.3-5); a container has none.
_CARRIER = {"CODE": 0x0040A168, "NUM": 0x0040A300, "UIDREF": 0x0040A124, "IMAGE": 0x00081199, "COMPOSITE": 0x00081199,
            "WAVEFORM": 0x00081199, "SCOORD": 0x00700022, "SCOORD3D": 0x00700022, "TEXT": _TEXT_VALUE, "PNAME": 0x0040A123,
            "DATE": 0x0040A121, "TIME": 0x0040A122, "DATETIME": 0x0040A120}  # fmt: skip
_UNNAMED = frozenset(("CONTAINER", "CODE", "NUM", "UIDREF", "IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D"))
# What stands where the table wants a dummy (D): UIDs are replaced by those that the key makes of them.
_DUMMIES = {"TEXT": text_element("UT", "removed"), "PNAME": text_element("PN", "removed"), "DATE": text_element("DA", "19000101"),
            "TIME": text_element("TM", "000000"), "DATETIME": text_element("DT", "19000101000000")}  # fmt: skip
# Attributes that a report must have (PS3.3 A.35 and C.17): by value where the original's goes.
_REQUIRED = {0x00080023: text_element("DA", "19000101"), 0x00080033: text_element("TM", "000000"),
             0x00200011: text_element("IS", "1"), 0x00200013: text_element("IS", "1"), 0x0040A491: text_element("CS", "PARTIAL"),
             0x00081111: Element("SQ", []), 0x0040A372: Element("SQ", [])}  # fmt: skip


_TABLES = frozenset(Tag(keyword) for keyword in attributes.PLAIN["table"].split())


class _Row(NamedTuple):
    """What Table E.3.4-1 says of one concept and value type."""

    basic: str
    options: Mapping[str, str]


def is_report(kept: Elements) -> bool:
    """Whether the cleaned header is that of a structured report."""
    element = kept.get(SOP_CLASS)
    return element is not None and isinstance(element.value, bytes) and element.value.decode("ascii") in CLASSES


def clean_report(dataset: Dataset, kept: Elements, *, profile: Profile, names: Names, actions: Counter[str]) -> None:
    """Add what may stay of the content tree of `dataset` to its cleaned header `kept`; `actions` counts items that went.

    Raises:
        Refused: the profile does not clean reports, or the title is no public code, so that nothing tells what this is.
    """
    if STRUCTURED not in profile.options:
        raise Refused(
            "unsupported-object", "a structured report; --option clean_structured_content cleans and keeps it"
        )
    tree = _rules(profile)
    context = context_of(dataset, names, actions)
    try:
        root = _item(dataset, tree, context, depth=0)
    except READ_ERRORS:
        root = None
    if root is None or _CONCEPT not in root:
        raise Refused("report-title", "the report's title is no public code, so that its content cannot be judged")
    _drop_tables(kept)
    kept |= root
    for tag, element in _REQUIRED.items():
        kept.setdefault(tag, element)
    kept[0x00080060] = text_element("CS", "KO" if kept[SOP_CLASS].value == f"{_ROOT}59".encode() else "SR")
    kept[0x0040A493] = text_element("CS", "UNVERIFIED")  # whoever verified it is gone
    kept.setdefault(CONTENT, Element("SQ", []))


def _drop_tables(kept: Elements) -> None:
    """Take look-up tables out of the header: only an image has a use for them, and only there are they looked into."""
    for tag in _TABLES & kept.keys():
        del kept[tag]
    for element in kept.values():
        if isinstance(element.value, list):
            for item in element.value:
                _drop_tables(item)


def _item(dataset: Dataset, tree: Profile, context: Context, *, depth: int) -> Elements | None:
    """One content item with its children, or None where it goes."""
    # The root's other attributes have been counted with the header.
    counted = context if depth else context._replace(actions=Counter())
    kept = clean_elements(dataset, tree, tree.rules, counted, depth=0)
    value_type = _text(kept, _VALUE_TYPE)
    concept = _concept(kept)
    if value_type != "CONTAINER" and value_type not in _CARRIER:
        return None
    if _CONCEPT not in kept and (
        depth == 0 or value_type not in ("IMAGE", "COMPOSITE", "WAVEFORM", "CONTAINER", "SCOORD")
    ):
        return None
    if concept[1] == _UNITS or (value_type == "CODE" and _concept(kept, 0x0040A168)[1] == _UNITS):
        return None
    action = _action(concept, value_type, tree.options)
    if action == "remove" and depth:
        return None
    carrier = _CARRIER.get(value_type)
    for tag in set(_CARRIER.values()) - {carrier}:
        kept.pop(tag, None)
    if carrier is not None and not _settle(kept, carrier, value_type, concept, action=action):
        return None
    children = dataset[CONTENT].value if CONTENT in dataset else None
    if isinstance(children, Sequence) and depth < _DEPTH:
        kept_children = _items(children, tree, context, depth=depth + 1)
        if kept_children:
            kept[CONTENT] = Element("SQ", kept_children)
    return kept


def _items(children: Iterable[Dataset], tree: Profile, context: Context, *, depth: int) -> list[Elements]:
    found = [_item(child, tree, context, depth=depth) for child in children]
    context.actions["content-items-removed"] += found.count(None)
    return [item for item in found if item is not None]


def _settle(kept: Elements, carrier: int, value_type: str, concept: tuple[str, str], *, action: str) -> bool:
    """Give the item its clean value or a dummy; False where nothing is left to say."""
    element = kept.get(carrier)
    if value_type in _DUMMIES and (action == "dummy" or (action == "clean" and element is None)):
        kept[carrier] = _DUMMIES[value_type]
        return True
    if element is None or not element.value:
        return False
    if value_type == "NUM":
        measured = element.value[0] if isinstance(element.value, list) else {}
        number = _text(measured, 0x0040A30A)
        return bool(number) and (concept != _SUBJECT_AGE or float(number) <= _OLDEST)
    return True


def _action(concept: tuple[str, str], value_type: str, options: tuple[str, ...]) -> str:
    """keep, clean, dummy or remove."""
    row = _table().get((*concept, value_type))
    if row is None:
        # Table E.1-1 lets no option keep (0040,A124) as it is, and under this one the tree's UIDs stay.
        kept_uid = value_type == "UIDREF" and "retain_uids" in options
        return "clean" if value_type in _UNNAMED and not kept_uid else "remove"
    granted = {row.options[option] for option in options if option in row.options}
    if value_type in ("TEXT", "PNAME"):
        granted -= {"K"}  # free text never stays as it is
    if granted:
        return "keep" if "K" in granted else "clean"
    return "dummy" if "D" in row.basic else "remove"


def _rules(profile: Profile) -> Profile:
    """The profile for content items: only what PS3.3 C.17.3 and C.18 put into one, each with its check."""
    uid: Kind = "kept-uid" if "retain_uids" in profile.options else "uid"
    kept = "retain_long_full_dates" in profile.options
    date: tuple[Kind, Kind] = ("kept-date", "kept-datetime") if kept else ("date", "datetime")
    coded = {tag: Rule("SQ", "sequence", None, 0, coded=True) for tag in (_CONCEPT, 0x0040A168, 0x004008EA)}
    nested = {
        tag: Rule("SQ", "sequence", None, 0) for tag in (0x0040A300, 0x00081199, 0x00081115, 0x0040A375, 0x0040A385)
    }
    uids = {tag: Rule("UI", uid, None, 1) for tag in (0x0040A124, 0x00081155, 0x0020000D, 0x0020000E, 0x30060024)}
    return replace(profile, rules={
        **coded, **nested, **uids,
        0x00081150: Rule("UI", "class", None, 1),
        0x00081160: Rule("IS", "number", None, 0, attributes.LARGEST),
        0x0040A30A: Rule("DS", "number", None, 1, attributes.LARGEST),
        0x00700022: Rule("FL", "binary", None, 0),
        0x00700023: Rule("CS", "code", terms("POINT MULTIPOINT POLYLINE CIRCLE ELLIPSE POLYGON ELLIPSOID"), 1),
        _VALUE_TYPE: Rule("CS", "code", frozenset(("CONTAINER", *_CARRIER)), 1),
        0x0040A010: Rule("CS", "code", _RELATIONS, 1),
        0x0040A050: Rule("CS", "code", terms("SEPARATE CONTINUOUS"), 1),
        0x0040A491: Rule("CS", "code", terms("PARTIAL COMPLETE"), 1),
        _TEXT_VALUE: Rule("UT", "words", None, 1),
        0x0040A121: Rule("DA", date[0], None, 1),
        0x0040A122: Rule("TM", "time", None, 1),
        0x0040A120: Rule("DT", date[1], None, 1),
    })  # fmt: skip


_RELATIONS = frozenset(("CONTAINS", "HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES", "INFERRED FROM",
                        "SELECTED FROM"))  # fmt: skip


def _concept(kept: Elements, tag: int = _CONCEPT) -> tuple[str, str]:
    """Code value and scheme of the item's concept name, or of another sequence of codes."""
    element = kept.get(tag)
    if element is None or not isinstance(element.value, list) or not element.value:
        return "", ""
    return _text(element.value[0], codes.VALUE), _text(element.value[0], codes.SCHEME)


def _text(kept: Elements, tag: int) -> str:
    element = kept.get(tag)
    return element.value.decode("utf-8").strip() if element is not None and isinstance(element.value, bytes) else ""


@cache
def _table() -> dict[tuple[str, str, str], _Row]:
    """Table E.3.4-1 by code value, scheme and value type."""
    text = files("scanprior.privacy").joinpath("structured.json").read_text(encoding="utf-8")
    return {(row[0], row[1], row[2]): _Row(row[3], row[4] if len(row) > 4 else {}) for row in json.loads(text)["rows"]}
