"""One pass over a data set's raw elements at every depth: what the profile lets stay is checked and copied, the rest
is gone.

Elements that go are never decoded; that is why an allow-list is also the fastest way (shared measurements: 308
files/s).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from scanprior.privacy import codes, safe
from scanprior.privacy.encode import Element, Elements, text_element
from scanprior.privacy.refused import READ_ERRORS
from scanprior.privacy.rules import Profile, Rule, edition, method_codes
from scanprior.privacy.values import NUMERIC, Context, Names, check, encodings

__all__ = ["Names", "clean_header", "earlier_codes", "mark"]

_DEPTH = 16
_TEXT = frozenset(("LO", "SH", "ST", "LT", "UT", "UC"))
CHARSET = 0x00080005
_LAST_CLEANING = "113105"  # CID 7050 up to here cleans, from 113106 on it retains
DEIDENTIFIED, METHOD, METHOD_CODES, DATES = 0x00120062, 0x00120063, 0x00120064, 0x00280303
NO_FEATURES, NO_WRITING = 0x00280302, 0x00280301
CLEAN_PIXELS = "clean_pixel_data"
PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
STUDY_UID, SERIES_UID, SOP_UID, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
_DATES_WORD = {"retain_long_full_dates": "UNMODIFIED", "retain_long_modified_dates": "MODIFIED"}
# Type 2 attributes that every image must have, though empty (birth date, sex, referring physician, ids, study date
# and time).
_EMPTY = {
    0x00080020: "DA",
    0x00080030: "TM",
    0x00080050: "SH",
    0x00080090: "PN",
    0x00100030: "DA",
    0x00100040: "CS",
    0x00200010: "SH",
}


def clean_header(dataset: Dataset, *, profile: Profile, names: Names, actions: Counter[str]) -> Elements:
    """Return the attributes of `dataset` that may stay, checked, with pseudonyms, empty type 2 attributes and no
    pixels.

    `actions` counts what was done: removed, private, rejected (value not of its kind), unreadable, replaced,
    shifted, capped.
    """
    context = context_of(dataset, names, actions)
    kept = clean_elements(dataset, profile, profile.rules, context, depth=0)
    if _beyond_ascii(kept):
        kept[CHARSET] = text_element("CS", "ISO_IR 192")
    for tag, vr in _EMPTY.items():
        kept.setdefault(tag, Element(vr, b""))
    kept[PATIENT_NAME] = text_element("PN", names.patient)
    kept[PATIENT_ID] = text_element("LO", names.patient)
    actions["replaced"] += 2
    return kept


def context_of(dataset: Dataset, names: Names, actions: Counter[str]) -> Context:
    """What the checks of this data set's values may need to know."""
    return Context(names, _is_signed(dataset), little=True, actions=actions)


def mark(
    kept: Elements,
    dataset: Dataset,
    *,
    profile: Profile,
    performed: tuple[str, ...],
    identity_removed: bool,
    version: str,
) -> None:
    """Write what was done into `kept`: (0012,0062) to (0012,0064) and (0028,0303), (0028,0301) when writing was
    looked for, and (0028,0302) when a face was removed.

    Codes of an earlier tool stay where they are still true (profile and cleaning; what it retained may be gone by
    now).
    """
    done = profile.codes(*performed) | {code for code in earlier_codes(dataset) if code <= _LAST_CLEANING}
    kept[DEIDENTIFIED] = text_element("CS", "YES" if identity_removed else "NO")
    kept[METHOD] = text_element("LO", f"scanprior {version}", f"PS3.15 {edition()} {profile.name}")
    kept[METHOD_CODES] = Element("SQ", [_code_item(code) for code in sorted(done)])
    kept[DATES] = text_element(
        "CS", next((word for option, word in _DATES_WORD.items() if option in profile.options), "REMOVED")
    )
    if CLEAN_PIXELS in performed:
        kept[NO_WRITING] = text_element("CS", "NO")
    if "clean_recognizable_visual_features" in performed:
        kept[NO_FEATURES] = text_element("CS", "NO")


def earlier_codes(dataset: Dataset) -> list[str]:
    """CID 7050 codes that an earlier de-identification left in the data set."""
    try:
        items = dataset.get("DeidentificationMethodCodeSequence") or []
        values = [str(item.get("CodeValue")) for item in items if item.get("CodingSchemeDesignator") == "DCM"]
        return [value for value in values if value in method_codes()]
    except READ_ERRORS:
        return []


def _code_item(code: str) -> Elements:
    meaning = text_element("LO", method_codes()[code])
    return {0x00080100: text_element("SH", code), 0x00080102: text_element("SH", "DCM"), 0x00080104: meaning}


def clean_elements(
    dataset: Dataset, profile: Profile, rules: Mapping[int, Rule], context: Context, *, depth: int
) -> Elements:
    """The elements of one data set or item that `rules` let stay; sequences inside follow the profile's own rules."""
    kept: Elements = {}
    actions = context.actions
    if 0x00080005 in dataset:
        context = context._replace(charsets=_charsets(dataset))
    swapped = context._replace(little=False)
    for tag, element in dataset._dict.items():  # pyright: ignore[reportPrivateUsage]  raw: what goes is never decoded
        number = int(tag)
        rule = rules.get(number)
        if rule is None:
            actions["private" if number >> 16 & 1 else "removed"] += 1
            continue
        try:
            if rule.kind == "sequence":
                cleaned = _clean_items(dataset, number, rule, profile, context, depth=depth)
            else:
                cleaned = check(_raw(element), rule, context if _little(element) else swapped)
        except READ_ERRORS:
            actions["unreadable"] += 1
            continue
        if cleaned is None:
            actions["rejected"] += 1
        else:
            kept[number] = cleaned
    if "retain_safe_private" in profile.options:
        try:
            found = safe.private_elements(dataset, context)
        except READ_ERRORS:
            found = {}
        actions["private"] -= sum(tag & 0xFFFF >= 0x1000 for tag in found)
        kept |= found
    return kept


def _clean_items(
    dataset: Dataset, tag: int, rule: Rule, profile: Profile, context: Context, *, depth: int
) -> Element | None:
    items = dataset[tag].value
    if not isinstance(items, Sequence) or depth >= _DEPTH:
        return None
    inner = profile.coded if rule.coded else profile.rules
    cleaned = [clean_elements(item, profile, inner, context, depth=depth + 1) for item in items]
    if rule.coded:
        cleaned = [item for item in cleaned if codes.checked(item)]
        return Element("SQ", cleaned) if cleaned else None
    return Element("SQ", cleaned)


def _charsets(dataset: Dataset) -> tuple[str, ...]:
    try:
        return encodings(_raw(dataset.get_item(0x00080005)).decode("ascii", "replace").strip(" \0"))
    except READ_ERRORS:
        return ("iso8859",)


def _beyond_ascii(kept: Elements) -> bool:
    return any(
        any(map(_beyond_ascii, value))
        if isinstance(value, list)
        else vr in _TEXT and isinstance(value, bytes) and not value.isascii()
        for vr, value in kept.values()
    )


def _raw(element: RawDataElement | DataElement) -> bytes:
    """The value's bytes; pydicom decodes a few elements by itself, because others can't be read without them."""
    value = element.value
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    values = list(value) if isinstance(value, (list, MultiValue)) else [value]
    if element.VR in NUMERIC:
        return np.asarray(values, dtype="<" + NUMERIC[element.VR]).tobytes()
    return "\\".join(map(str, values)).encode("ascii")


def raw_element(dataset: Dataset, tag: int) -> RawDataElement | DataElement | None:
    """An element as it was read; pydicom's own get_item decodes an empty one, and fails on a strange VR."""
    return dataset._dict.get(tag)  # type: ignore[call-overload]  # pyright: ignore


def _little(element: RawDataElement | DataElement) -> bool:
    return element.is_little_endian if isinstance(element, RawDataElement) else True


def _is_signed(dataset: Dataset) -> bool:
    """Whether pixels are signed, read raw: asking pydicom for the value would replace the raw element by a decoded
    one."""
    element = raw_element(dataset, 0x00280103)
    return element is not None and isinstance(element.value, bytes) and element.value[:2] in (b"\1\0", b"\0\1")
