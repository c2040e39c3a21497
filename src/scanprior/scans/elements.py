"""Numbers and text from DICOM attributes: fast on raw bytes, and never raising on illegible values."""

from __future__ import annotations

import math
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

BINARY = {"US": (2, False), "SS": (2, True), "UL": (4, False), "SL": (4, True)}
# What pydicom and Python raise on values that don't fit their VR.
ILLEGIBLE = (TypeError, ValueError, OverflowError, NotImplementedError, AttributeError, LookupError)


def numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers from an attribute, or None."""
    try:
        raw = _raw(dataset, name)
        if raw is None:
            value = dataset.get(name)
            values = tuple(float(item) for item in ([value] if count == 1 else value))
        elif (vr := _vr(name)) in BINARY:
            size, signed = BINARY[vr]
            order = "little" if raw[1] else "big"
            parts = [raw[0][start : start + size] for start in range(0, len(raw[0]), size)]
            values = tuple(float(int.from_bytes(part, order, signed=signed)) for part in parts)
        else:
            values = tuple(float(part) for part in raw[0].decode("ascii").rstrip(" \0").split("\\"))
    except ILLEGIBLE:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def text(dataset: Dataset, name: str) -> str:
    """An attribute as text without padding, "" when missing or illegible; several values are joined by a backslash."""
    try:
        raw = _raw(dataset, name)
        if raw is not None and raw[0].isascii() and b"\x1b" not in raw[0] and _vr(name) not in BINARY:
            parts = raw[0].decode("ascii").split("\\")
        else:
            value = dataset.get(name)
            parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    except ILLEGIBLE:
        return ""
    return "\\".join("" if part is None else str(part).strip(" \t\r\n\0") for part in parts)


def _raw(dataset: Dataset, name: str) -> tuple[bytes, bool] | None:
    """Bytes and byte order of an element that pydicom has not decoded yet."""
    item = dataset.get_item(_tag(name)) if _tag(name) in dataset else None
    if isinstance(item, RawDataElement) and isinstance(item.value, bytes):
        return item.value, item.is_little_endian
    return None


@cache
def _tag(name: str) -> int:
    tag = tag_for_keyword(name)
    if tag is None:
        raise KeyError(name)
    return tag


@cache
def _vr(name: str) -> str:
    return dictionary_VR(_tag(name))
