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
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom._dicom_dict import DicomDictionary

from scanprior.privacy.needles import CERTAIN, LEAST, Needles, harmless
from scanprior.privacy.second_parser import read_values
from scanprior.privacy.sidevalues import is_beside, name_values, side_values

_TEXT = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "UN"))
_IDS = frozenset((0x00100020, 0x00101000, 0x00080050, 0x00200010, 0x00101090, 0x00380010, 0x00181000, 0x00081010, 0x00100021,
                  0x00102154, 0x00101040, 0x00080080, 0x00080081, 0x00081040, 0x00321032, 0x00401001, 0x00400253, 0x00120040))  # fmt: skip

_DECLARED = {"ISO_IR 101": "iso8859_2", "ISO_IR 109": "iso8859_3", "ISO_IR 110": "iso8859_4", "ISO_IR 144": "iso8859_5",
             "ISO_IR 127": "iso8859_6", "ISO_IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8", "ISO_IR 148": "iso8859_9",
             "ISO_IR 203": "iso8859_15", "ISO_IR 166": "tis_620", "ISO_IR 13": "shift_jis", "ISO_IR 87": "iso2022_jp",
             "ISO_IR 159": "iso2022_jp_2", "ISO_IR 149": "euc_kr", "ISO_IR 58": "gb2312", "GB18030": "gb18030", "GBK": "gbk"}  # fmt: skip
ALWAYS = ("utf-8", "latin-1")  # tried whatever is declared
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]+[\x30-\x7e]")


class Finding(NamedTuple):
    """An original value in the output: what kind, in which output file (a pseudonymous name), in its name or its
    content."""

    kind: str
    file: str
    where: str


def original_values(path: Path, *, kept: frozenset[int] = frozenset()) -> set[tuple[str, str]]:
    """(kind, text) of everything identifying in one input file, DICOM or NIfTI, but for the attributes `kept` on purpose."""
    content = path.read_bytes()
    named = {pair for pair in name_values(path.name) if not harmless(pair[1])}
    if is_beside(path):
        return named | {(kind, text) for kind, text in side_values(path, content) if _identifying(kind, text)}
    if path.name.lower().endswith((".nii", ".nii.gz")):
        name = path.name.split(".")[0]
        return named | _nifti_text(_unzipped(content)) | ({("file name", name)} if len(name) > 5 else set())
    found: set[tuple[str, str]] = set()
    charsets = dict.fromkeys(ALWAYS)  # in order; what an item declares is tried on all that follows
    for tag, vr, data, _ in read_values(content):
        vr = DicomDictionary.get(tag, ("UN",))[0] if vr in ("", "UN") else vr
        if tag == 0x00080005:
            charsets |= dict.fromkeys(declared_charsets(data))
        kind = _kind(tag, vr) if tag not in kept else ""
        if kind and len(data) >= LEAST:
            found.update((kind, text) for text in _texts(data, charsets) if _identifying(kind, text))
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
        return len(text.encode()) >= LEAST and len(set(text)) > 1 and not harmless(text)
    return (
        len(text.encode()) >= CERTAIN and len(set(text)) > 3 and bool(re.search(r"\w{3}", text)) and not harmless(text)
    )


def _texts(data: bytes, charsets: Iterable[str]) -> set[str]:
    """The values in every declared character set: one value may change between several (PS3.5 section 6.1.2.5)."""
    if data.isascii() and b"\x1b" not in data:
        charsets = ("ascii",)
    found: set[str] = set()
    for charset in charsets:
        found.update(part.strip(" \0\r\n\t") for part in decoded(data, charset).split("\\"))
    return found - {""}


def decoded(data: bytes, charset: str) -> str:
    """The text in one of several character sets that it changes between; what belongs to another is replaced."""
    plain = data if charset.startswith("iso2022") else _ESCAPE.sub(b"", data)
    return plain.decode(charset, "replace")


def declared_charsets(data: bytes) -> list[str]:
    """Python's names of the character sets that (0008,0005) declares (PS3.3 section C.12.1.1.2)."""
    terms = data.decode("ascii", "replace").strip(" \0").replace("ISO 2022 IR", "ISO_IR").split("\\")
    return [_DECLARED[term.strip()] for term in terms if term.strip() in _DECLARED]


def _nifti_text(content: bytes) -> set[tuple[str, str]]:
    """Text fields and extensions of a NIfTI-1 or NIfTI-2 header: printable runs of 4 and more before the voxels."""
    big = content[:4] in (b"\0\0\1\x5c", b"\0\0\2\x1c")
    two = content[:4] in (b"\x1c\2\0\0", b"\0\0\2\x1c")
    where, form = (168, "q") if two else (108, "f")
    start = 352
    if len(content) >= 176:
        start = int(struct.unpack_from((">" if big else "<") + form, content, where)[0])
    head = content[: min(max(start, 352), 1 << 20)]
    runs = {run.decode("ascii") for run in re.findall(rb"[\x20-\x7e]{8,}", head)}
    for run in re.findall(rb"[\x20-\x7e\x80-\xff]{8,}", head):
        for end in range(len(run), len(run) - 4, -1):  # a full field may cut its last character
            with suppress(UnicodeDecodeError):
                runs.add(run[:end].decode("utf-8"))
                break
    return {("text", run.strip()) for run in runs if re.search(r"[^\W\d_]{3}", run)}


def _unzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error):
        return content
