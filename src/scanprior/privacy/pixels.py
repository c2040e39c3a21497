"""Pixels without room for anything else: exact length, no bits above BitsStored, scrubbed streams; blanked where
asked."""

from __future__ import annotations

import re
import struct
from collections import Counter

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from scanprior.privacy.codestream import Shape, scrubber
from scanprior.privacy.encode import EXPLICIT_LITTLE, Element, Elements, Frames, text_element
from scanprior.privacy.header import raw_element
from scanprior.privacy.refused import Refused

PIXELS = 0x7FE00010
_LETTERS = re.compile(rb"[0-9A-Za-z^]{8,}")
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", ""}
_SYNTAX = {(True, True): "1.2.840.10008.1.2", (False, True): EXPLICIT_LITTLE, (False, False): "1.2.840.10008.1.2.2"}
_LUTS = {0x00281101: 0x00281201, 0x00281102: 0x00281202, 0x00281103: 0x00281203, 0x00283002: 0x00283006}


def clean_pixels(dataset: Dataset, kept: Elements, *, syntax: str, actions: Counter[str]) -> str:
    """Put the pixels of `dataset` (transfer syntax `syntax`) into `kept`; returns the transfer syntax to write.

    Native pixels are written as Explicit VR Little Endian, compressed frames stay compressed. Stored values stay bit
    for bit.

    Raises:
        Refused: no pixels, fewer than the header says, a syntax or stream that cannot be vouched for.
    """
    element = raw_element(dataset, PIXELS)
    if element is None or not isinstance(element.value, bytes):
        raise Refused("no-pixels", "the file holds no pixel data")
    shape, frames = _shape(kept)
    _check_tables(kept)
    if syntax in _NATIVE:
        swapped = isinstance(element, RawDataElement) and not element.is_little_endian
        kept[PIXELS] = _native(element.value, shape, frames, kept, swapped=swapped, actions=actions)
        return EXPLICIT_LITTLE
    scrub = scrubber(syntax)
    if scrub is None:
        raise Refused("transfer-syntax", "the transfer syntax of the pixels is none that can be checked")
    try:
        streams = list(generate_frames(element.value, number_of_frames=frames))
    except (ValueError, EOFError, struct.error, IndexError):
        raise Refused("broken-frame", "the compressed frames cannot be told apart") from None
    if len(streams) != frames:
        raise Refused("broken-frame", "there are fewer or more compressed frames than the header says")
    try:
        cleaned = tuple(scrub(stream, shape) for stream in streams)
    except (struct.error, IndexError):
        raise Refused("broken-frame", "a compressed frame ends inside a marker segment") from None
    actions["scrubbed"] += sum(len(old.rstrip(b"\0")) > len(new) for old, new in zip(streams, cleaned, strict=True))
    kept[PIXELS] = Element("OB", Frames(cleaned))
    return syntax


def replace_pixels(kept: Elements, stored: np.ndarray) -> str:
    """Put changed values, as `decoded` gives them, into `kept` as native pixels; returns Explicit VR Little Endian, the
    syntax to write."""
    kept[PIXELS] = Element(
        "OW" if stored.dtype.itemsize > 1 else "OB", stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    )
    if number(kept, 0x00280002, 1) == 3:  # decoding gave RGB, sample by sample
        kept[0x00280004] = text_element("CS", "RGB")
        kept[0x00280006] = Element("US", b"\0\0")
    return EXPLICIT_LITTLE


def decoded(dataset: Dataset) -> np.ndarray:
    """The stored values of all frames (frames, rows, columns[, 3]), without bits above BitsStored; YBR as RGB.

    Raises:
        Refused: none of the decoders can.
    """
    try:
        if not getattr(
            dataset, "file_meta", None
        ):  # written before there were preambles: the encoding it was read with
            implicit, little = dataset.original_encoding
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = UID(_SYNTAX[bool(implicit), bool(little)])
        values = np.array(dataset.pixel_array)
    except (
        ValueError,
        TypeError,
        AttributeError,
        NotImplementedError,
        KeyError,
        RuntimeError,
        struct.error,
        MemoryError,
    ):
        raise Refused("undecodable", "the pixels cannot be decoded to look for writing in them") from None
    single = values.ndim == (3 if int(dataset.get("SamplesPerPixel", 1)) > 1 else 2)
    return values[np.newaxis] if single else values


def number(kept: Elements, tag: int, default: int | None = None) -> int:
    """The value of a US or IS element that passed its check; Refused when it is missing and has no default."""
    element = kept.get(tag)
    if element is None or not isinstance(element.value, bytes) or not element.value.strip():
        if default is not None:
            return default
        raise Refused("no-geometry", "an attribute that describes the pixel matrix is missing or invalid")
    if element.vr == "IS":
        return int(element.value)
    return int.from_bytes(element.value[:2], "little")


def _shape(kept: Elements) -> tuple[Shape, int]:
    allocated = number(kept, 0x00280100)
    shape = Shape(number(kept, 0x00280010), number(kept, 0x00280011), number(kept, 0x00280002, 1), allocated // 8)
    frames = number(kept, 0x00280008, 1)
    stored = number(kept, 0x00280101, allocated)
    if (
        allocated not in (8, 16, 32)
        or not 0 < stored <= allocated
        or min(shape) < 1
        or shape.samples not in (1, 3)
        or frames < 1
    ):
        raise Refused("no-geometry", "the attributes that describe the pixel matrix contradict each other")
    return shape, frames


def _native(raw: bytes, shape: Shape, frames: int, kept: Elements, *, swapped: bool, actions: Counter[str]) -> Element:
    photometric = kept.get(0x00280004)
    halved = (
        photometric is not None and photometric.value == b"YBR_FULL_422"
    )  # two samples stand for three (PS3.3 C.7.6.3.1.2)
    count = shape.rows * shape.columns * frames * (2 if halved else shape.samples)
    size = count * shape.bytes_per_sample
    if len(raw) < size:
        raise Refused("short-pixels", "the pixel data is shorter than the matrix that the header describes")
    actions["trimmed"] += len(raw) > size + size % 2
    kind = f"u{shape.bytes_per_sample}"
    stored = np.frombuffer(raw, dtype=(">" if swapped else "<") + kind, count=count)
    masked = _masked(stored, kept, 8 * shape.bytes_per_sample)
    actions["masked"] += masked is not stored
    return Element("OW" if shape.bytes_per_sample > 1 else "OB", masked.astype("<" + kind, copy=False).tobytes())


def _masked(stored: np.ndarray, kept: Elements, allocated: int) -> np.ndarray:
    """The values without bits outside BitsStored; the same array when there are none.

    Signed values may repeat their sign above BitsStored or have zeros there; anything else becomes the sign.
    """
    bits = number(kept, 0x00280101, allocated)
    high = number(kept, 0x00280102, bits - 1)
    if bits == allocated:
        return stored
    if not bits - 1 <= high < allocated:
        raise Refused("no-geometry", "the attributes that describe the pixel matrix contradict each other")
    window = ((1 << bits) - 1) << (high + 1 - bits)
    low = stored & stored.dtype.type(window)
    if np.array_equal(low, stored):
        return stored
    if number(kept, 0x00280103, 0) == 1 and high == bits - 1:
        sign = stored.dtype.type(1 << high)
        above = stored.dtype.type((1 << allocated) - 1 - window)
        extended = np.where(low & sign, low | above, low)
        return stored if np.array_equal(extended, stored) else np.where(stored == low, low, extended)
    return low


def _check_tables(kept: Elements) -> None:
    """Drop look-up tables whose length is not what their descriptor says, or whose numbers could spell text.

    Raises:
        Refused: the image shows colours of a palette that was dropped.
    """
    for element in kept.values():
        if isinstance(element.value, list):
            for item in element.value:
                _check_tables(item)
    for descriptor, data in _LUTS.items():
        if data in kept and not _fits(kept.get(descriptor), kept[data], rising=data == 0x00283006):
            del kept[data]
            if kept.get(0x00280004, Element("CS", b"")).value == b"PALETTE COLOR":
                raise Refused("palette", "the colour palette is not what its descriptor says, or could hold text")


def _fits(descriptor: Element | None, data: Element, *, rising: bool) -> bool:
    if (
        descriptor is None
        or not isinstance(descriptor.value, bytes)
        or len(descriptor.value) != 6
        or not isinstance(data.value, bytes)
    ):
        return False
    entries, _, bits = struct.unpack("<3H", descriptor.value)
    entries = entries or 65536
    if len(data.value) not in (entries * 2, (entries + entries % 2) if bits == 8 else -1):
        return False
    steps = np.sign(
        np.diff(np.frombuffer(data.value, "<u2" if len(data.value) == entries * 2 else "u1").astype(np.int32))
    )
    if not (steps > 0).any() or not (steps < 0).any():
        return True  # grey ramps and intensity tables rise or fall throughout; no text does
    return not rising and not spells(data.value)


def spells(data: bytes) -> bool:
    """Whether numbers hide eight letters or digits in a row that go up and down as text does: in all bytes, in every
    second, or in the bytes that are not zero."""
    for view in (data, data[::2], data[1::2], data.replace(b"\0", b"")):
        for run in _LETTERS.findall(view):
            turns = np.diff(np.sign(np.diff(np.frombuffer(run, "u1").astype(np.int16))))
            if np.count_nonzero(turns) > 2:
                return True
    return False
