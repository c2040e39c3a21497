"""What is skimmed equals what pydicom reads, in every file at hand and in broken ones; else nothing is said."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import carrier, saved
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from scanprior.privacy.instance import _CORE_TAGS, _PLACE_TAGS
from scanprior.privacy.refused import READ_ERRORS
from scanprior.privacy.skim import SKIMMED, skim

WANTED = [frozenset(_CORE_TAGS), frozenset(_PLACE_TAGS)]


def read(content: bytes, wanted: frozenset[int]) -> Dataset:
    last = max(wanted)
    return read_partial(
        io.BytesIO(content), stop_when=lambda tag, _vr, _length: int(tag) > last, force=True, specific_tags=list(wanted)
    )


def same(content: bytes, wanted: frozenset[int]) -> bool:
    """Whether anything was skimmed; what was must equal pydicom's."""
    found = skim(content[:SKIMMED], wanted, whole=len(content) < SKIMMED)
    if found is None:
        return False
    try:
        theirs = read(content, wanted)
    except READ_ERRORS:
        return True  # it is refused when it is read to be cleaned
    assert set(found._dict) == set(theirs._dict)
    assert [told(found, tag) for tag in found._dict] == [told(theirs, tag) for tag in found._dict]
    return True


def told(dataset: Dataset, tag: BaseTag) -> str:
    """The value as text, or how it fails."""
    try:
        return str(dataset[tag].value)
    except READ_ERRORS as error:
        return type(error).__name__


@pytest.mark.parametrize("wanted", WANTED, ids=["core", "place"])
def test_every_file_is_skimmed_as_it_is_read(wanted):
    shared = Path(os.environ.get("SCANPRIOR_DATA", "")) / "dicom"
    files = [Path(name) for name in get_testdata_files("**/*.dcm")] + sorted(shared.glob("*.dcm"))
    skimmed = [same(path.read_bytes(), wanted) for path in files if path.is_file()]
    assert sum(skimmed) > len(skimmed) / 3, "most files are plain, but hardly any was taken for it"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), min_size=1, max_size=4), st.integers(100, 2000))
def test_a_broken_file_is_skimmed_as_it_is_read_or_not_at_all(changes, end):
    content = bytearray(saved(carrier()))
    for place, byte in changes:
        content[128 + place % (len(content) - 128)] = byte
    for wanted in WANTED:
        same(bytes(content), wanted)
        same(bytes(content[:end]), wanted)


def test_other_orders_and_lengths_are_left_to_pydicom():
    plain = saved(carrier())
    assert skim(plain, WANTED[0], whole=True) is not None
    at = plain.index(b"\x10\0\x20\0LO")
    assert skim(plain[:at] + plain[at:].replace(b"LO", b"??", 1), WANTED[0], whole=True) is None
    assert skim(plain[128:], WANTED[0], whole=True) is None
    assert skim(plain[: at + 9], WANTED[0], whole=False) is None
    assert Tag("PatientID") in WANTED[0]
