"""The first elements of a plain DICOM file without pydicom's loop: planning reads every file once before it is cleaned.

Plain is what nearly every file of a hospital is: explicit VR, little endian, elements in order, nothing of undefined length
before the last one wanted. Of anything else nothing is said, and pydicom reads.
"""

from __future__ import annotations

from collections.abc import Set
from struct import Struct

from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

SKIMMED = 1 << 16  # bytes of a file that are looked at
_CHARSET = 0x00080005
# VRs whose length takes four bytes after two empty ones, and two bytes (PS3.5, section 7.1.2).
_LONG, _SHORT = (frozenset(vr.encode() for vr in group) for group in (EXPLICIT_VR_LENGTH_32, EXPLICIT_VR_LENGTH_16))
# Implicit, big-endian and deflated data sets.
_OTHER_SYNTAXES = frozenset((b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"))
_element, _length = Struct("<HH2sH").unpack_from, Struct("<L").unpack_from
_UNDEFINED = 0xFFFFFFFF


def skim(content: bytes, wanted: Set[int], *, whole: bool) -> Dataset | None:
    """The elements `wanted` (tags) and the character set, raw, from the start of a file; None where that is not plain.

    Args:
        content: the file from its first byte on.
        whole: whether that is all of it.
    """
    if content[128:132] != b"DICM":
        return None
    found: dict[BaseTag, RawDataElement] = {}
    last, at, before, syntax = max(wanted), 132, 0, b""
    while True:
        if at + 8 > len(content):
            return _dataset(found) if whole and at == len(content) and syntax else None
        group, number, vr, length = _element(content, at)
        tag = group << 16 | number
        if group != 2 and (syntax in _OTHER_SYNTAXES or not syntax.replace(b".", b"").isdigit()):
            return None
        if tag > last:
            return _dataset(found)
        if vr in _LONG and at + 12 <= len(content):
            length, start = _length(content, at + 8)[0], at + 12
        elif vr in _SHORT:
            start = at + 8
        else:
            return None
        at = start + length
        if tag <= before or length == _UNDEFINED or at > len(content):
            return None
        before = tag
        if tag == 0x00020010:
            syntax = content[start:at].rstrip(b"\0 ")
        elif tag in wanted or tag == _CHARSET:
            name = vr.decode("ascii")
            value = content[start:at] if length else empty_value_for_VR(name, raw=True)
            found[BaseTag(tag)] = RawDataElement(BaseTag(tag), name, length, value, start, False, True)  # type: ignore[arg-type]


def _dataset(found: dict[BaseTag, RawDataElement]) -> Dataset:
    return Dataset(found)  # type: ignore[arg-type]
