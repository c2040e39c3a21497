"""Independent second pass: a parser of its own reads the original values, a byte search looks for each of them in the
output.

It shares no code with the first pass: not pydicom's reader, not its checks (only the list of words that the
program itself writes). What it knows of an input is every name, id, date, place, UID and longer text, at any
depth, private elements included; what it reads of an output is every byte and every name.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom._dicom_dict import DicomDictionary

from scanprior.privacy.audit import RESIDUAL_RISK, Line
from scanprior.privacy.bids_words import bids_words
from scanprior.privacy.rules import allow_list, method_codes
from scanprior.privacy.sidevalues import is_beside, name_values, side_values
from scanprior.privacy.vocabulary import IMAGE_TYPE, VENDORS, WORDS

_TEXT = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "UN"))
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_IDS = frozenset((0x00100020, 0x00101000, 0x00080050, 0x00200010, 0x00101090, 0x00380010, 0x00181000, 0x00081010, 0x00100021,
                  0x00102154, 0x00101040, 0x00080080, 0x00080081, 0x00081040, 0x00321032, 0x00401001, 0x00400253, 0x00120040))  # fmt: skip
_ITEM = 0xFFFEE000
_DEFLATED, _BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_CHARSETS = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "gb18030",
    "shift_jis",
    "euc_kr",
    "iso2022_jp",
    "cp1251",
)
LEAST, CERTAIN = 4, 8  # characters: searched word by word from 4 on, in any bytes from 8 on


class Value(NamedTuple):
    """One element: tag, VR ("" when unknown), value bytes."""

    tag: int
    vr: str
    data: bytes


class Finding(NamedTuple):
    """An original value in the output: what kind, in which output file (a pseudonymous name), in its name or its
    content."""

    kind: str
    file: str
    where: str


class Needles:
    """Original values made ready to be searched for; `kinds` maps each spelling (bytes, lower case, no NUL) to its
    kind."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self.kinds: dict[bytes, str] = {}
        for kind, text in values:
            for spelling in _spellings(kind, text):
                self.kinds.setdefault(spelling, kind)
        # By their first four bytes and then by length: thousands of UIDs begin alike.
        self._starts: dict[bytes, dict[int, set[bytes]]] = {}
        for spelling in self.kinds:
            self._starts.setdefault(spelling[:LEAST], {}).setdefault(len(spelling), set()).add(spelling)
        self._table = np.zeros(1 << 16, dtype=bool)
        for start in self._starts:
            self._table[_hashes(start)] = True

    def find(self, data: bytes, *, words: bool) -> set[str]:
        """Kinds of the values in `data`: `words` finds whole words from 4 characters on, else any bytes from 8 on."""
        plain = data.replace(b"\0", b"").lower()
        if len(plain) < LEAST or not self._starts:
            return set()
        found: set[str] = set()
        for at in np.flatnonzero(self._table[_hashes(plain)]).tolist():
            for length, spellings in self._starts.get(plain[at : at + LEAST], {}).items():
                spelling = plain[at : at + length]
                if spelling in spellings and (_stands_alone(plain, at, spelling) if words else _certain(spelling)):
                    found.add(self.kinds[spelling])
        return found


def read_values(content: bytes) -> list[Value]:
    """All elements of a DICOM file before its pixels, at every depth; what cannot be parsed ends the list."""
    found: list[Value] = []
    with suppress(struct.error, IndexError, zlib.error, UnicodeDecodeError, RecursionError):
        found.extend(_elements(content))
    return found


def original_values(path: Path, *, kept: frozenset[int] = frozenset()) -> set[tuple[str, str]]:
    """(kind, text) of everything identifying in one input file, DICOM or NIfTI, but for the attributes `kept` on purpose."""
    content = path.read_bytes()
    named = {pair for pair in name_values(path.name) if not _harmless(pair[1])}
    if is_beside(path):
        return named | {(kind, text) for kind, text in side_values(path, content) if _identifying(kind, text)}
    if path.name.lower().endswith((".nii", ".nii.gz")):
        name = path.name.split(".")[0]
        return named | _nifti_text(_unzipped(content)) | ({("file name", name)} if len(name) > 5 else set())
    found: set[tuple[str, str]] = set()
    charset = "latin-1"
    for tag, vr, data in read_values(content):
        vr = vr or DicomDictionary.get(tag, ("UN",))[0]
        if tag == 0x00080005:
            charset = _charset(data)
        kind = _kind(tag, vr) if tag not in kept else ""
        if kind and len(data) >= LEAST:
            found.update((kind, text) for text in _texts(data, charset) if _identifying(kind, text))
    return found


def search_file(path: Path, name: str, needles: Needles, dates: Dates) -> Iterator[Finding]:
    """Findings in one output file whose name relative to the output is `name`."""
    for kind in sorted(needles.find(name.replace("/", " ").encode("utf-8", "replace"), words=True)):
        yield Finding(kind, name, "name")
    raw = path.read_bytes()
    content = _unzipped(raw) if path.name.endswith(".gz") else raw
    kinds = needles.find(content, words=False)
    if content is not raw:
        kinds |= needles.find(raw[:512], words=True)  # a gzip header may hold a name
    if content[128:132] == b"DICM":
        values = read_values(content)
        kinds |= needles.find(
            b"\n".join(value.data for value in values if value.vr not in ("DA", "DT", "UI")), words=True
        )
        kinds |= {"date" for value in values if value.vr in ("DA", "DT") and dates.leaked(value.data)}
    elif ".nii" in path.name:
        kinds |= needles.find(content[:352], words=True)
    else:
        kinds |= needles.find(content, words=True)
    for kind in sorted(kinds):
        yield Finding(kind, name, "content")


class Dates:
    """Original dates and the offsets that may have moved them: a date that no offset explains was left as it was."""

    def __init__(self, originals: set[str], offsets: Iterable[int]) -> None:
        self._originals = originals
        self._expected = {moved for date in originals for days in set(offsets) if (moved := _moved(date, days))}

    def leaked(self, data: bytes) -> bool:
        """Whether a DA or DT value holds an original date that cannot be a moved one."""
        text = data.decode("ascii", "replace")[:8]
        return text in self._originals and text not in self._expected


def _moved(date: str, days: int) -> str | None:
    try:
        day = np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:]}") + days
    except ValueError:
        return None
    return str(day).replace("-", "")


def _elements(content: bytes) -> Iterator[Value]:
    at, explicit, order, syntax = 0, True, "<", ""
    if content[128:132] == b"DICM":
        at = 132
        while content[at : at + 2] == b"\x02\0":
            value, at = _next(content, at, explicit=True, order="<")
            if value.tag == 0x00020010:
                syntax = value.data.decode("ascii").strip("\0 ")
            yield value
        if syntax == _DEFLATED:
            content, at = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[at:]), 0
        order = ">" if syntax == _BIG else "<"
        explicit = syntax != "1.2.840.10008.1.2"
    else:
        explicit = content[4:6].isalpha() and content[4:6].isupper()
    yield from _walk(content, at, len(content), explicit=explicit, order=order)


def _walk(content: bytes, at: int, end: int, *, explicit: bool, order: str) -> Iterator[Value]:
    while at + 8 <= end:
        value, after = _next(content, at, explicit=explicit, order=order)
        if value.tag >> 16 == 0x7FE0:
            return
        if value.tag >> 16 == 0xFFFE:  # items and their ends: what is inside follows
            at += 8
            continue
        if value.data[:4] == struct.pack(order + "HH", 0xFFFE, 0xE000) and after <= end:
            inner = explicit and value.vr != "UN"
            yield from _walk(value.data, 0, len(value.data), explicit=inner, order=order)
        else:
            yield value
        at = after


def _next(content: bytes, at: int, *, explicit: bool, order: str) -> tuple[Value, int]:
    """The element at `at` and where the next begins; of undefined length: an empty value, what is inside follows."""
    group, number = struct.unpack_from(order + "HH", content, at)
    tag, vr = group << 16 | number, b""
    if group == 0xFFFE:
        return Value(tag, "", b""), at + 8
    if explicit and content[at + 4 : at + 6].isalpha():
        vr = content[at + 4 : at + 6]
        if vr in _LONG:
            (length,) = struct.unpack_from(order + "I", content, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from(order + "H", content, at + 6)
            at += 8
    else:
        (length,) = struct.unpack_from(order + "I", content, at + 4)
        at += 8
    if length == 0xFFFFFFFF:
        return Value(tag, vr.decode("ascii"), b""), at
    return Value(tag, vr.decode("ascii"), content[at : at + length]), at + length


def _kind(tag: int, vr: str) -> str:
    if vr == "PN":
        return "name"
    if vr == "UI":
        return "uid"
    if vr in ("DA", "DT"):
        return "birth date" if tag == 0x00100030 else "date"
    if tag in _IDS:
        return "id"
    return "text" if vr in _TEXT else ""


def _identifying(kind: str, text: str) -> bool:
    """Whether a text says anything about a person: not a standard UID, not a vendor, not imaging words only."""
    if kind == "uid":
        return len(text) > 9 and not text.startswith("1.2.840.10008.")
    if kind in ("date", "birth date"):
        return bool(re.match(r"\d{8}", text)) and not text.startswith(("0000", "1900010", "00010101"))
    if kind in ("id", "name"):
        return len(text) >= LEAST and len(set(text)) > 1 and not _harmless(text)
    return len(text) >= CERTAIN and len(set(text)) > 3 and bool(re.search(r"\w{3}", text)) and not _harmless(text)


def _harmless(text: str) -> bool:
    """Whether this program itself may write the text: vendors, imaging words, codes, and the words of its audit."""
    lower = text.lower()
    words = re.findall(r"[a-z0-9]+", lower)
    return lower.startswith(tuple(VENDORS)) or all(
        word in _own_words() or re.fullmatch(r"\d{1,3}(mm)?", word) for word in words
    )


@cache
def _own_words() -> frozenset[str]:
    codes = [value for rule in allow_list().values() for value in rule.values or ()]
    text = " ".join(
        (*codes, *IMAGE_TYPE, *method_codes().values(), RESIDUAL_RISK, " ".join(Line._fields), "patient", *bids_words())
    )
    return WORDS | frozenset(re.findall(r"[a-z0-9]+", text.lower()))


def _spellings(kind: str, text: str) -> set[bytes]:
    texts = {text}
    if kind == "name":
        parts = [part for part in re.split(r"[\^= ,]+", text) if part]
        texts |= {part for part in parts if len(part) >= LEAST and not _harmless(part)} | {
            " ".join(parts),
            " ".join(reversed(parts)),
            "".join(parts),
        }
    if kind in ("date", "birth date"):
        year, month, day = text[:4], text[4:6], text[6:8]
        texts = {
            f"{day}.{month}.{year}",
            f"{month}/{day}/{year}",
            f"{day}/{month}/{year}",
            f"{year}-{month}-{day}",
            f"{year}/{month}/{day}",
        }
        texts |= {text[:8]} if kind == "birth date" else ({text} if len(text) > 13 else set())
    found: set[bytes] = set()
    for one in texts:
        for charset in _CHARSETS if not one.isascii() else ("ascii",):
            try:
                found.add(one.encode(charset).replace(b"\0", b"").lower())
            except UnicodeError:
                continue
    return {spelling for spelling in found if len(spelling) >= LEAST}


def _texts(data: bytes, charset: str) -> set[str]:
    text = data.decode(charset, "replace") if charset else data.decode("latin-1")
    return {part.strip(" \0\r\n\t") for part in re.split(r"\\", text)} - {""}


def _charset(data: bytes) -> str:
    known = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "ISO_IR 13": "shift_jis", "ISO_IR 144": "iso8859_5", "ISO_IR 126": "iso8859_7",
             "ISO_IR 127": "iso8859_6", "ISO_IR 138": "iso8859_8", "ISO_IR 101": "iso8859_2", "ISO 2022 IR 149": "euc_kr",
             "ISO 2022 IR 87": "iso2022_jp", "ISO 2022 IR 58": "iso2022_cn"}  # fmt: skip
    terms = data.decode("ascii", "replace").strip(" \0").split("\\")
    return next((known[term] for term in reversed(terms) if term in known and known[term] != "iso2022_cn"), "latin-1")


def _stands_alone(plain: bytes, at: int, spelling: bytes) -> bool:
    """Whether the match is a whole word or number: letters may touch digits, digits (of a hexadecimal name) no
    letters."""
    before, behind = plain[at - 1 : at] if at else b"", plain[at + len(spelling) : at + len(spelling) + 1]
    if spelling[:1].isdigit() and (before.isalnum() or before == b"."):
        return False
    if spelling[-1:].isdigit() and (behind.isalnum() or (behind == b"." and spelling.isdigit())):
        return False
    return not (spelling[:1].isalpha() and before.isalpha()) and not (spelling[-1:].isalpha() and behind.isalpha())


def _certain(spelling: bytes) -> bool:
    """Long and varied enough that pixels don't spell it by chance."""
    return len(spelling) >= CERTAIN and len(set(spelling)) > 3


def _hashes(data: bytes) -> np.ndarray:
    """16-bit hash of every window of 4 bytes."""
    flat = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    windows = flat[:-3] | flat[1:-2] << np.uint32(8) | flat[2:-1] << np.uint32(16) | flat[3:] << np.uint32(24)
    return (windows * np.uint32(2654435761)) >> np.uint32(16)


def _nifti_text(content: bytes) -> set[tuple[str, str]]:
    """Text fields and extensions of a NIfTI-1 or NIfTI-2 header: printable runs of 4 and more before the voxels."""
    big = content[:4] in (b"\0\0\1\x5c", b"\0\0\2\x1c")
    two = content[:4] in (b"\x1c\2\0\0", b"\0\0\2\x1c")
    where, form = (168, "q") if two else (108, "f")
    start = 352
    if len(content) >= 176:
        start = int(struct.unpack_from((">" if big else "<") + form, content, where)[0])
    runs = re.findall(rb"[\x20-\x7e]{8,}", content[: min(max(start, 352), 1 << 20)])
    return {("text", run.decode("latin-1").strip()) for run in runs if re.search(rb"[A-Za-z]{3}", run)}


def _unzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error):
        return content
