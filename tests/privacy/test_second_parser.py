"""The second parser beside pydicom, which it must not need: the same values from every syntax, and no error from a broken file."""

import io
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scanprior.privacy.second_parser import read_values

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


def nested(*, undefined: bool) -> Dataset:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    del dataset.PixelData
    for depth in range(3):
        item = Dataset()
        item.PatientName = f"Inner^Name{depth}"
        item.StudyDate = f"2004011{depth}"
        item.ReferencedStudySequence = dataset.get("ReferencedStudySequence", Sequence())
        item.is_undefined_length_sequence_item = undefined
        dataset.ReferencedStudySequence = Sequence([item])
        dataset["ReferencedStudySequence"].is_undefined_length = undefined
    return dataset


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    target = io.BytesIO()
    dataset.save_as(target, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian)
    return target.getvalue()


def leaves(dataset: Dataset) -> set[tuple[int, bytes]]:
    """Tag and value of every text element by pydicom, at every depth."""
    found = set()
    for element in dataset.iterall():
        if element.VR in ("PN", "LO", "SH", "UI", "DA") and element.value:
            values = element.value if element.VM > 1 else [element.value]
            found.add((int(element.tag), "\\".join(map(str, values)).encode()))
    return found


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_text_at_every_depth_is_what_pydicom_reads(syntax, undefined):
    dataset = nested(undefined=undefined)
    expected = leaves(dataset)
    assert {(0x00100010, f"Inner^Name{depth}".encode()) for depth in range(3)} <= expected
    values = read_values(written(dataset, syntax))
    assert expected <= {(value.tag, value.data.rstrip(b" \0")) for value in values}
    assert {value.depth: value.data for value in values if value.data.startswith(b"Inner")} == {
        depth: f"Inner^Name{3 - depth}".encode().ljust(12) for depth in (1, 2, 3)
    }
    assert {value.depth for value in values if value.tag in (0x00100010, 0x00200010)} == {0, 1, 2, 3}


def test_big_endian_is_read():
    little = dcmread(get_testdata_file("MR_small.dcm"))
    read = {
        (v.tag, v.data.rstrip(b" \0"))
        for v in read_values(Path(get_testdata_file("MR_small_bigendian.dcm")).read_bytes())
    }
    assert (0x00100010, str(little.PatientName).encode()) in read
    assert (0x00100020, str(little.PatientID).encode()) in read


def test_a_sequence_hidden_in_an_unknown_value_is_opened():
    """UN with items inside is implicit little endian (PS3.5 section 6.2.2)."""
    inner = Dataset()
    inner.PatientName = "Hidden^Inside"
    sequence = Dataset()
    sequence.ReferencedStudySequence = Sequence([inner])
    plain = io.BytesIO()
    sequence.save_as(plain, implicit_vr=True, little_endian=True)
    items = plain.getvalue()[8:]  # without the sequence's own tag and length
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    del dataset.PixelData
    dataset.add_new(0x00991001, "UN", items)
    assert (0x00100010, b"Hidden^Inside ") in {(value.tag, value.data) for value in read_values(written(dataset))}


def test_a_data_set_without_preamble_and_meta_is_read():
    dataset = Dataset()
    dataset.PatientName = "Bare^Person"
    for implicit in (True, False):
        target = io.BytesIO()
        dataset.save_as(target, implicit_vr=implicit, little_endian=True)
        assert [(value.tag, value.data) for value in read_values(target.getvalue())] == [(0x00100010, b"Bare^Person ")]


@pytest.mark.parametrize("file", ["CT_small.dcm", "JPEG2000.dcm"])
def test_pixels_are_no_values_and_what_follows_them_is_read(file):
    content = Path(get_testdata_file(file)).read_bytes()
    behind = content + b"\xff\xff\xee\xeeLO\x0c\0said at last"
    before, after = read_values(content), read_values(behind)
    assert before == after[:-1]
    assert not any(value.tag >> 16 == 0x7FE0 for value in before)
    assert (after[-1].tag, after[-1].data, after[-1].depth) == (0xFFFFEEEE, b"said at last", 0)


@pytest.mark.parametrize("fragments", [False, True])
def test_what_follows_an_icon_is_read(fragments):
    icon = Dataset()
    icon.add_new(0x7FE00010, "OB", encapsulate([b"\x10\0\x10\0" * 8]) if fragments else b"\x10\0\x10\0" * 8)
    icon["PixelData"].is_undefined_length = fragments
    dataset = nested(undefined=True)
    dataset.IconImageSequence = Sequence([icon])
    dataset["IconImageSequence"].is_undefined_length = icon.is_undefined_length_sequence_item = True
    dataset.RequestingPhysician = "Behind^Icon"
    read = [(value.tag, value.data, value.depth) for value in read_values(written(dataset, ExplicitVRLittleEndian))]
    assert (0x00321032, b"Behind^Icon ", 0) in read
    assert {tag for tag, _, _ in read} >= {int(element.tag) for element in dataset if element.VR != "SQ"}


def test_a_file_cut_anywhere_ends_the_list_and_raises_nothing():
    content = written(nested(undefined=True))
    whole = read_values(content)
    for end in range(0, len(content), 37):
        part = read_values(content[:end])
        assert len(part) <= len(whole)
        assert part[:-1] == whole[: max(len(part) - 1, 0)]
