"""What a de-identified DICOM file is before it is bytes, and how it becomes bytes: Explicit VR Little Endian, PS3.5
and PS3.10.

Own writer, because nothing may reach the output that was not put there: no group lengths, no padding, no preamble,
and a file meta group that describes only this program (PS3.15 E.1.1).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
# A UUID-derived UID (PS3.5 B.2) made once for scanprior; it names the program that wrote the file.
IMPLEMENTATION = "2.25.265688048534039460202294457295595973691"

_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))


class Frames(NamedTuple):
    """Compressed frames, one fragment each."""

    streams: tuple[bytes, ...]


class Element(NamedTuple):
    """One attribute: VR and little-endian value bytes, the items of a sequence, or compressed frames."""

    vr: str
    value: bytes | list[Elements] | Frames


Elements = dict[int, Element]


def text_element(vr: str, *values: str) -> Element:
    """An element of ASCII text."""
    return Element(vr, "\\".join(values).encode("ascii"))


def encode_file(elements: Elements, *, syntax: str) -> bytes:
    """Return the whole file for a data set with (0008,0016) and (0008,0018); preamble zero, file meta fresh."""
    sop_class, instance = elements[0x00080016].value, elements[0x00080018].value
    meta = encode(
        {
            0x00020001: Element("OB", b"\0\1"),
            0x00020002: Element("UI", sop_class),
            0x00020003: Element("UI", instance),
            0x00020010: text_element("UI", syntax),
            0x00020012: text_element("UI", IMPLEMENTATION),
            0x00020013: text_element("SH", "SCANPRIOR"),
        }
    )
    length = encode({0x00020000: Element("UL", struct.pack("<I", len(meta)))})
    return b"".join((bytes(128), b"DICM", length, meta, encode(elements)))


def encode(elements: Elements) -> bytes:
    """Return the data set's bytes, elements in the order of their tags."""
    parts: list[bytes] = []
    for tag in sorted(elements):
        vr, value = elements[tag]
        undefined = False
        if isinstance(value, list):
            items = [encode(item) for item in value]
            value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        elif isinstance(value, Frames):
            undefined = True
            value = _encapsulate(value)
        elif len(value) % 2:
            value += b"\0" if vr in ("UI", "OB", "UN") else b" "
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
        if vr in _LONG:
            head += struct.pack("<HI", 0, 0xFFFFFFFF if undefined else len(value))
        else:
            head += struct.pack("<H", len(value))
        parts += (head, value)
    return b"".join(parts)


def _encapsulate(frames: Frames) -> bytes:
    """Basic offset table, then one fragment per frame (PS3.5 A.4)."""
    streams = [stream + b"\0" * (len(stream) % 2) for stream in frames.streams]
    offsets, at = [], 0
    for stream in streams:
        offsets.append(at)
        at += 8 + len(stream)
    table = struct.pack(f"<{len(offsets)}I", *offsets) if at < 2**32 else b""
    parts = [struct.pack("<HHI", 0xFFFE, 0xE000, len(table)), table]
    for stream in streams:
        parts += (struct.pack("<HHI", 0xFFFE, 0xE000, len(stream)), stream)
    return b"".join((*parts, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)))
