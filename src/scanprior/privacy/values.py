"""How the value of one attribute is checked, by kind: the clean value as it may stay, or None.

A check passes what physics, geometry and the standard's terms look like, and nothing that letters, hospital numbers or
birth dates look like: numbers have a largest size, codes a list, binary numbers may not spell text.
"""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import format_number_as_ds

from scanprior.privacy import vocabulary
from scanprior.privacy.encode import Element, text_element
from scanprior.privacy.pseudonyms import STANDARD_ROOT, uid
from scanprior.privacy.rules import Rule

NUMERIC = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "AT": "u2", "OW": "u2"}
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_KERNEL = re.compile(
    r"STANDARD|BONE(PLUS)?|SOFT|LUNG|DETAIL|EDGE|FC\d{2}|[ABCDEHQTUY][A-Z]?[A-Za-z]?\d{2}[a-z]?\d?|[1-5]", re.ASCII
)
_UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPELLED = re.compile(rb"[0-9A-Za-z^]{6,}")
_SPELLED_DOUBLE = re.compile(rb"[0-9A-Za-z^]{8,}")
_FIRST, _LAST = datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)
# Characters that a value of these VRs may have (PS3.5 table 6.2-1); longer text is cut to 10,240 for all others.
_LONGEST = {"LO": 64, "SH": 16, "CS": 16}


class Names(NamedTuple):
    """What stands for the patient: pseudonym, days by which dates move, and the key for UIDs."""

    patient: str
    offset: int
    key: bytes


class Context(NamedTuple):
    """What a check may need to know beside the value: `charsets` are Python encodings of the data set's text."""

    names: Names
    signed: bool
    little: bool
    actions: Counter[str]
    charsets: tuple[str, ...] = ("iso8859",)


def check(raw: bytes, rule: Rule, context: Context) -> Element | None:
    """Return the value as it may stay, or None.

    Raises:
        ValueError, OverflowError, OSError, LookupError: the bytes are no value of the attribute's VR at all.
    """
    return _CHECKS[rule.kind](raw, rule, context)


def encodings(terms: str) -> tuple[str, ...]:
    """Python encodings for the terms of (0008,0005); Latin-1 where they are unknown."""
    try:
        return tuple(convert_encodings(terms.split("\\"))) or ("iso8859",)
    except LookupError:
        return ("iso8859",)


def decoded(raw: bytes, charsets: tuple[str, ...]) -> str:
    """The text of a value, NULs and padding taken off."""
    return decode_bytes(raw, list(charsets), {0x0D, 0x0A, 0x09, 0x0C}).replace("\0", "").strip()


def _parts(raw: bytes, most: int) -> list[str] | None:
    """The values of a text element, or None when it is not ASCII or holds more values than the attribute may."""
    parts = [part.strip(" \0") for part in raw.decode("ascii").split("\\")]
    return parts if not most or len(parts) <= most else None


def _number(raw: bytes, rule: Rule, context: Context) -> Element | None:
    parts = _parts(raw, rule.most)
    pattern = _DECIMAL if rule.vr == "DS" else _INTEGER
    if parts is None or not all(not part or (len(part) <= 32 and pattern.fullmatch(part)) for part in parts):
        return None
    values = [float(part) if part else 0.0 for part in parts]
    if not all(abs(value) <= rule.limit for value in values):
        return None
    if rule.limit > 1e9:
        # Activities have nine digits, as hospital numbers do: four of them are what a dose calibrator can tell.
        rounded = [float(f"{value:.4g}") if abs(value) >= 1e6 else value for value in values]
        context.actions["rounded"] += rounded != values
        parts = [part if a == b else f"{a:.0f}" for part, a, b in zip(parts, rounded, values, strict=True)]
    # Scanners do write 1.9999999999999998, longer than the 16 characters of a decimal string: the number stays,
    # shortened.
    return text_element(rule.vr, *(part if len(part) <= 16 else format_number_as_ds(float(part)) for part in parts))


def _binary(raw: bytes, rule: Rule, context: Context) -> Element | None:
    vr = rule.vr if rule.vr in NUMERIC else ("SS" if context.signed else "US")
    values = np.frombuffer(raw, dtype=("<" if context.little else ">") + NUMERIC[vr])
    per = 2 if vr == "AT" else 1
    if (rule.most and len(values) > per * rule.most) or len(values) > 4096:
        return None
    clean = values.astype("<" + NUMERIC[vr]).tobytes()
    spelled = _SPELLED_DOUBLE if vr == "FD" else _SPELLED
    if not _small_enough(vr, values.tolist()) or spelled.search(clean.replace(b"\0", b"")) or spelled.search(raw):
        return None
    return Element(vr, clean)


def _small_enough(vr: str, values: list[Any]) -> bool:
    """Whether numbers are none that letters or digits make.

    Four digits as a float are under 10^-6, four letters mostly over 10^6; two digits are over 12,287, which a lone number
    may be but a list of numbers kept here never is; three characters are over 2^20.
    """
    if vr in ("FL", "FD"):
        return all(math.isfinite(x) and (x == 0 or 1e-6 < abs(x) < 5e5) for x in values)
    if vr == "AT":
        return all(
            group << 16 | element in DicomDictionary for group, element in zip(values[::2], values[1::2], strict=False)
        )
    return all(abs(x) < (1 << 20 if vr in ("UL", "SL") else 12288 if len(values) > 1 else 1 << 16) for x in values)


def _code(raw: bytes, rule: Rule, _: Context) -> Element | None:
    parts = _parts(raw, rule.most)
    return (
        text_element(rule.vr, *parts)
        if parts and rule.values and all(part in rule.values or not part for part in parts)
        else None
    )


def _image_type(raw: bytes, rule: Rule, context: Context) -> Element | None:
    parts = _parts(raw, 0) or []
    if (
        len(parts) < 2
        or parts[0] not in ("ORIGINAL", "DERIVED", "MIXED")
        or parts[1] not in ("PRIMARY", "SECONDARY", "MIXED")
    ):
        return None
    known = [part for part in parts if part in vocabulary.IMAGE_TYPE]
    context.actions["rejected"] += len(known) < len(parts)
    return text_element(rule.vr, *known)


def _vendor(raw: bytes, rule: Rule, _: Context) -> Element | None:
    text = raw.decode("ascii").lower()
    found = next((name for part, name in vocabulary.VENDORS.items() if text.startswith(part)), None)
    return text_element(rule.vr, found) if found else None


def _words(raw: bytes, rule: Rule, context: Context) -> Element | None:
    text = clean_words(raw.decode("ascii", "replace"))
    context.actions["cleaned"] += 1
    return text_element(rule.vr, text[: _LONGEST.get(rule.vr, 1024)].strip()) if text else None


def clean_words(text: str) -> str:
    """Return only the imaging words of a description, and sizes in mm; one short number may stay, several spell a date
    or a telephone."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    numbers = sum(word.isdigit() for word in words)
    return " ".join(
        word
        for word in words
        if word in vocabulary.WORDS
        or re.fullmatch(r"\d{1,2}mm", word)
        or (numbers == 1 and re.fullmatch(r"\d{1,2}", word))
    )


def _text(raw: bytes, rule: Rule, context: Context) -> Element | None:
    """Text that an option keeps as it is: read in its character set, written in UTF-8, no control characters."""
    text = decoded(raw, context.charsets)
    longest = _LONGEST.get(rule.vr, 10240)
    if not text or "\ufffd" in text or _CONTROL.search(text) or any(len(part) > longest for part in text.split("\\")):
        return None
    return Element(rule.vr, text.encode("utf-8"))


def _kernel(raw: bytes, rule: Rule, _: Context) -> Element | None:
    parts = _parts(raw, 4)
    return text_element(rule.vr, *parts) if parts and all(_KERNEL.fullmatch(part) for part in parts) else None


def _class(raw: bytes, _rule: Rule, _context: Context) -> Element | None:
    text = raw.decode("ascii").strip(" \0")
    return text_element("UI", text) if text in UID_dictionary and text.startswith(STANDARD_ROOT) else None


def _uids(raw: bytes, change: Callable[[str], str]) -> Element | None:
    texts = [text.strip(" \0") for text in raw.decode("ascii", "replace").split("\\")]
    if not all(texts) or any(text.startswith(STANDARD_ROOT) and text not in UID_dictionary for text in texts):
        return None
    return text_element("UI", *(change(text) for text in texts))


def _uid(raw: bytes, _rule: Rule, context: Context) -> Element | None:
    made = _uids(raw, lambda text: uid(context.names.key, text))
    context.actions["replaced"] += made is not None
    return made


def _kept_uid(raw: bytes, _rule: Rule, _context: Context) -> Element | None:
    made = _uids(raw, str)
    return (
        made
        if made and all(_UID.fullmatch(u) and len(u) < 65 for u in raw.decode("ascii").strip(" \0").split("\\"))
        else None
    )


def _age(raw: bytes, _rule: Rule, context: Context) -> Element | None:
    text = raw.decode("ascii").strip(" \0")
    if not re.fullmatch(r"\d{3}[DWMY]", text, re.ASCII):
        return None
    years = int(text[:3]) * {"D": 1 / 365, "W": 7 / 365, "M": 1 / 12, "Y": 1.0}[text[3]]
    if years <= 89:
        return text_element("AS", text)
    context.actions["capped"] += 1  # 45 CFR 164.514(b)(2)(i)(C): over 89 becomes one class
    return text_element("AS", "090Y")


def _date(raw: bytes, rule: Rule, context: Context) -> Element | None:
    parts = _parts(raw, rule.most) or []
    moved = [shift_date(part.replace(".", ""), context.names.offset) for part in parts]
    if not parts or None in moved:
        return None
    context.actions["shifted"] += any(moved)
    return text_element("DA", *(part or "" for part in moved))


def _kept_date(raw: bytes, rule: Rule, context: Context) -> Element | None:
    return _date(raw, rule, context._replace(names=context.names._replace(offset=0), actions=Counter()))


def _datetime(raw: bytes, _rule: Rule, context: Context) -> Element | None:
    found = re.fullmatch(
        r"(\d{8})(([01]\d|2[0-3])([0-5]\d([0-5]\d)?)?)?(\.\d{1,6})?([+-]\d{4})?",
        raw.decode("ascii").strip(" \0"),
        re.ASCII,
    )
    shifted = shift_date(found[1], context.names.offset) if found else None
    if not found or not shifted:
        return None
    context.actions["shifted"] += 1
    return text_element("DT", shifted + (found[2] or "") + ((found[6] or "") if found[5] else ""))


def _kept_datetime(raw: bytes, rule: Rule, context: Context) -> Element | None:
    return _datetime(raw, rule, context._replace(names=context.names._replace(offset=0), actions=Counter()))


def shift_date(text: str, days: int) -> str | None:
    """Return the DICOM date moved by `days`; "" stays, None when it is no date between 1900 and 2100."""
    if not text:
        return ""
    if not re.fullmatch(r"\d{8}", text, re.ASCII):
        return None
    try:
        date = datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return f"{date + datetime.timedelta(days=days):%Y%m%d}" if _FIRST <= date <= _LAST else None


def _time(raw: bytes, rule: Rule, _context: Context) -> Element | None:
    parts = _parts(raw, rule.most) or []
    valid = r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?|"
    return text_element("TM", *parts) if parts and all(re.fullmatch(valid, part, re.ASCII) for part in parts) else None


def _table(raw: bytes, rule: Rule, context: Context) -> Element | None:
    """Look-up tables: 16-bit numbers; whether their length is what the descriptor says is checked with the pixels."""
    if len(raw) > 2 * 65536:
        return None
    values = np.frombuffer(raw, dtype="<u2" if context.little else ">u2")
    if rule.most and len(values) != rule.most:
        return None
    return Element("US" if rule.most else "OW", values.astype("<u2").tobytes())


_CHECKS: dict[str, Callable[[bytes, Rule, Context], Element | None]] = {
    "number": _number, "binary": _binary, "code": _code, "image-type": _image_type, "vendor": _vendor, "words": _words,
    "kernel": _kernel, "class": _class, "uid": _uid, "age": _age, "date": _date, "time": _time, "datetime": _datetime,
    "table": _table, "text": _text, "kept-uid": _kept_uid, "kept-date": _kept_date, "kept-datetime": _kept_datetime,
}  # fmt: skip
