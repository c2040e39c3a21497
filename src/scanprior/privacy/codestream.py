"""Compressed frames without what is not image: comments, application segments, slack, and bytes after the end.

JPEG and JPEG-LS (ITU-T T.81 Annex B, T.87 Annex C), JPEG 2000 and HTJ2K (ISO/IEC 15444-1 Annex A), RLE (PS3.5 Annex G).
Only markers that decoding needs are copied; an unknown one refuses the file. The coded samples stay bit for bit.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from scanprior.privacy.refused import Refused


class Shape(NamedTuple):
    """What the header says of one frame."""

    rows: int
    columns: int
    samples: int
    bytes_per_sample: int


_JPEG = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"]
_JPEG_LS = ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]
_JPEG_2000 = ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
              "1.2.840.10008.1.2.4.203"]  # fmt: skip
_RLE = "1.2.840.10008.1.2.5"

# T.81 table B.1: frame headers, and the segments that decoding needs (DHT, DAC, DQT, DNL, DRI).
_FRAME_HEADERS = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7))
_NEEDED = frozenset((0xC4, 0xCC, 0xDB, 0xDC, 0xDD))
# Whole segments with marker and length: number of lines, restart interval (four bytes in JPEG-LS), arithmetic conditioning.
_LONGEST = {0xDC: 6, 0xDD: 8, 0xCC: 68}
_COMMENTS = frozenset((0xFE, *range(0xE0, 0xF0)))
_NEXT_JPEG = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
_NEXT_JPEG_LS = re.compile(rb"\xff+[\x80-\xfe]", re.DOTALL)
# 15444-1 table A.2: SIZ COD COC QCD QCC RGN POC PPM PPT, and 15444-15's CAP and CPF; TLM, PLM and PLT only repeat lengths,
# CRG and COM are for the reader's information.
_J2K_NEEDED = frozenset((0x50, 0x51, 0x52, 0x53, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61))
_J2K_DROPPED = frozenset((0x55, 0x57, 0x58, 0x63, 0x64))


def scrubber(syntax: str) -> Callable[[bytes, Shape], bytes] | None:
    """Return the function that cleans one frame of a transfer syntax, or None for a syntax that is not known here."""
    if syntax in _JPEG or syntax in _JPEG_LS:
        pattern = _NEXT_JPEG_LS if syntax in _JPEG_LS else _NEXT_JPEG
        return lambda stream, shape: _jpeg(stream, shape, pattern)
    if syntax in _JPEG_2000:
        return _jpeg_2000
    return _rle if syntax == _RLE else None


def _jpeg(stream: bytes, shape: Shape, next_marker: re.Pattern[bytes]) -> bytes:
    """A JPEG or JPEG-LS stream with the markers that decoding needs, ending with EOI."""
    if stream[:2] != b"\xff\xd8":
        raise _broken("does not begin with a start-of-image marker")
    kept, at, framed = [(0xD8, b"\xff\xd8")], 2, False
    used: dict[int, set[int]] = {0xDB: set(), 0xC4: set()}
    while True:
        marker, at = _marker(stream, at)
        if marker == 0xD9:
            if not framed:
                raise _broken("has no frame header")
            return b"".join((*(_used_tables(m, part, used) for m, part in kept), b"\xff\xd9"))
        body, after = _segment(stream, at)
        if marker == 0xDA:
            _scan_tables(body, used[0xC4])
            found = next_marker.search(stream, after)
            if found is None:
                raise _broken("ends before its end-of-image marker")
            kept.append((0xDA, b"\xff\xda" + stream[at : found.start()]))
            at = found.start()
            continue
        if marker in _FRAME_HEADERS:
            rows, columns, samples = struct.unpack_from(">HHB", body, 1)
            if (rows not in (shape.rows, 0), columns, samples) != (False, shape.columns, shape.samples):
                raise _broken("has another size than the header says")
            if len(body) != 6 + 3 * samples:
                raise _broken("has a frame header of another length than it says")
            framed = True
            used[0xDB].update(body[8::3])
            kept.append((marker, _joined(marker, body)))
        elif marker in _NEEDED or (marker == 0xF8 and body[:1] == b"\1" and len(body) == 11):
            kept.append((marker, _joined(marker, body)))
        elif marker in _COMMENTS:
            kept += [(marker, _joined(marker, part)) for part in [_plain_application(marker, body)] if part]
        else:
            raise _broken(f"holds a marker (FF{marker:02X}) that is not known")
        at = after


def _scan_tables(body: bytes, used: set[int]) -> None:
    """Add the Huffman tables (class and number) that a scan's components name."""
    if not body or len(body) != 4 + 2 * body[0]:
        raise _broken("has a scan header of another length than it says")
    for pair in body[2 : 2 + 2 * body[0] : 2]:
        used.update((pair >> 4, 0x10 | pair & 15))


def _used_tables(marker: int, part: bytes, used: dict[int, set[int]]) -> bytes:
    """A quantisation or Huffman segment without the tables that no component uses; other segments as they are."""
    if marker not in used:
        if len(part) > _LONGEST.get(marker, len(part)):
            raise _broken("has a segment of another length than it may have")
        return part
    body, kept, at = part[4:], [], 0
    while at < len(body):
        head = body[at]
        if marker == 0xDB:
            length = 129 if head >> 4 else 65
        else:
            length = 17 + sum(body[at + 1 : at + 17])
            if sum(body[at + 1 : at + 17]) > 256:
                raise _broken("has a Huffman table of more values than there are")
        if at + length > len(body):
            raise _broken("ends inside a table")
        if (head & 15 if marker == 0xDB else head) in used[marker]:
            kept.append(body[at : at + length])
        at += length
    return _joined(marker, b"".join(kept)) if kept else b""


def _plain_application(marker: int, body: bytes) -> bytes:
    """The few application segments that change how samples are read (colour), rebuilt without room for text."""
    if marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 14:
        return body[:7] + b"\0\0\1\0\1\0\0"  # no density, no thumbnail
    if marker == 0xEE and body[:5] == b"Adobe" and len(body) == 12:
        return b"Adobe\0d\0\0\0\0" + body[11:]
    if marker == 0xE8 and body[:4] == b"mrfx" and len(body) == 5:
        return body
    return b""


def _jpeg_2000(stream: bytes, shape: Shape) -> bytes:
    """A JPEG 2000 codestream without comments; a JP2 wrapper is taken off."""
    stream = _unwrapped(stream)
    if stream[:2] != b"\xff\x4f":
        raise _broken("does not begin with a start-of-codestream marker")
    kept, at, sized = [b"\xff\x4f"], 2, False
    while True:
        marker, at = _marker(stream, at)
        if marker == 0xD9:
            if not sized:
                raise _broken("has no size marker")
            return b"".join((*kept, b"\xff\xd9"))
        if marker == 0x90:
            part, at = _tile_part(stream, at)
            kept.append(part)
            continue
        body, after = _segment(stream, at)
        if marker == 0x51:
            width, height, left, top = struct.unpack_from(">4I", body, 2)
            if (height - top, width - left, body[35]) != (shape.rows, shape.columns, shape.samples):
                raise _broken("has another size than the header says")
            if len(body) != 36 + 3 * shape.samples:
                raise _broken("has a size marker of another length than it says")
            sized = True
        if marker in _J2K_NEEDED:
            kept.append(_joined(marker, body))
        elif marker not in _J2K_DROPPED:
            raise _broken(f"holds a marker (FF{marker:02X}) that is not known")
        at = after


def _tile_part(stream: bytes, at: int) -> tuple[bytes, int]:
    """One tile-part whose SOT body begins at `at`, without comments, with its length corrected; and where the next
    begins."""
    body, after = _segment(stream, at)
    tile, length, index, count = struct.unpack(">HIBB", body)
    start = at - 2
    end = start + length if length else stream.rfind(b"\xff\xd9")
    if end < after or end > len(stream):
        raise _broken("ends inside a tile")
    head: list[bytes] = []
    while True:
        marker, at = _marker(stream, after)
        if marker == 0x93:
            break
        segment, after = _segment(stream, at)
        if marker in _J2K_NEEDED:
            head.append(_joined(marker, segment))
        elif marker not in _J2K_DROPPED:
            raise _broken(f"holds a marker (FF{marker:02X}) that is not known")
    data = b"".join((*head, b"\xff\x93", stream[at:end]))
    return _joined(0x90, struct.pack(">HIBB", tile, 12 + len(data), index, count)) + data, end


def _unwrapped(stream: bytes) -> bytes:
    if stream[4:8] != b"jP  ":
        return stream
    at = 0
    while at + 8 <= len(stream):
        size, kind = struct.unpack_from(">I4s", stream, at)
        if kind == b"jp2c":
            return stream[at + 8 : at + size if size else None]
        if size < 8:
            break
        at += size
    raise _broken("is a JP2 file without a codestream")


def _rle(stream: bytes, shape: Shape) -> bytes:
    """An RLE frame whose segments end where their last sample ends."""
    count, *offsets = struct.unpack_from("<16I", stream) if len(stream) >= 64 else (0,)
    if count != shape.samples * shape.bytes_per_sample or any(not 64 <= at < len(stream) for at in offsets[:count]):
        raise _broken("has another number of segments than the header says")
    segments = [_packed(stream, at, shape.rows * shape.columns) for at in offsets[:count]]
    starts, at = [], 64
    for segment in segments:
        starts.append(at)
        at += len(segment)
    return struct.pack("<16I", count, *starts, *[0] * (15 - count)) + b"".join(segments)


def _packed(stream: bytes, at: int, wanted: int) -> bytes:
    """The PackBits runs from `at` that give `wanted` bytes, padded to even length."""
    begin, got, end = at, 0, len(stream)
    while got < wanted:
        if at >= end:
            raise _broken("ends inside a segment")
        code = stream[at]
        if code < 128:
            got += code + 1
            at += code + 2
        elif code > 128:
            got += 257 - code
            at += 2
        else:
            at += 1
    if got > wanted or at > end:
        raise _broken("has a run that passes the end of its segment")
    segment = stream[begin:at]
    return segment + b"\0" * (len(segment) % 2)


def _marker(stream: bytes, at: int) -> tuple[int, int]:
    if at + 2 > len(stream) or stream[at] != 0xFF:
        raise _broken("has no marker where one must be")
    while at < len(stream) and stream[at] == 0xFF:
        at += 1
    if at >= len(stream):
        raise _broken("ends before its end marker")
    return stream[at], at + 1


def _segment(stream: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(stream[at : at + 2], "big")
    if length < 2 or at + length > len(stream):
        raise _broken("ends inside a segment")
    return stream[at + 2 : at + length], at + length


def _joined(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _broken(what: str) -> Refused:
    return Refused("broken-frame", f"a compressed frame {what}")
