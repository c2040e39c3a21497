"""Parser of DICOM data sets for the second pass, its own: elements of every depth but the pixels, as bytes.

Nothing of pydicom's reader is used: what one parser skips, the other finds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SEQUENCE_ENDS = 0xFFFEE0DD
_DEFLATED, _BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"


class Value(NamedTuple):
    """One element: tag, VR ("" when unknown), value bytes, in how many sequences it lies."""

    tag: int
    vr: str
    data: bytes
    depth: int = 0


def read_values(content: bytes) -> list[Value]:
    """All elements of a DICOM file but pixels, at every depth; what cannot be parsed ends the list."""
    found: list[Value] = []
    with suppress(struct.error, IndexError, zlib.error, UnicodeDecodeError, RecursionError):
        found.extend(_elements(content))
    return found


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


def _walk(content: bytes, at: int, end: int, *, explicit: bool, order: str, depth: int = 0) -> Iterator[Value]:
    while at + 8 <= end:
        value, after = _next(content, at, explicit=explicit, order=order)
        endless = content[after - 4 : after] == b"\xff\xff\xff\xff" and not value.data
        if value.tag >> 16 == 0x7FE0:
            at = _after_fragments(content, after, order) if endless else after
            continue
        if value.tag >> 16 == 0xFFFE:  # items and their ends: what is inside follows
            depth -= value.tag == _SEQUENCE_ENDS
            at += 8
            continue
        if value.data[:4] == struct.pack(order + "HH", 0xFFFE, 0xE000) and after <= end:
            inner = explicit and value.vr != "UN"
            yield from _walk(value.data, 0, len(value.data), explicit=inner, order=order, depth=depth + 1)
        else:
            yield value._replace(depth=depth)
            depth += endless
        at = after


def _after_fragments(content: bytes, at: int, order: str) -> int:
    while True:
        group, number, length = struct.unpack_from(order + "HHI", content, at)
        at += 8
        if group << 16 | number == _SEQUENCE_ENDS:
            return at
        at += length


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
