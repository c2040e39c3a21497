"""What the second pass knows of an input, and where it looks in an output."""

import gzip
import io
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from scanprior.privacy.needles import LEAST, Needles
from scanprior.privacy.secondpass import Dates, original_values, search_file


@pytest.fixture
def scan(tmp_path):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID = "Zebediah^Quux", "KH-4711-A"
    dataset.PatientBirthDate, dataset.StudyDate = "19610317", "20040119"
    dataset.add_new(0x00991010, "LO", "told to Aunt Petronella")
    item = Dataset()
    item.ReferringPhysicianName = "Deeply^Nested"
    dataset.RequestAttributesSequence = Sequence([item])
    path = tmp_path / "IM0001"
    dataset.save_as(path)
    return path


def test_names_ids_dates_uids_and_private_texts_are_known(scan):
    found = original_values(scan)
    assert {("name", "Zebediah^Quux"), ("name", "Deeply^Nested"), ("id", "KH-4711-A"), ("birth date", "19610317"),
            ("date", "20040119"), ("text", "told to Aunt Petronella")} <= found  # fmt: skip
    assert ("uid", str(dcmread(scan).SOPInstanceUID)) in found
    assert not any(text.startswith("1.2.840.10008.") for _, text in found)  # the standard's own


@pytest.mark.parametrize("name", ["Пушкарёв^Иван", "山田^太郎", "Çelik^Özgür"])
def test_a_name_in_any_alphabet_is_known(scan, name):
    dataset = dcmread(scan)
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", name
    dataset.save_as(scan)
    assert ("name", name) in original_values(scan)


@pytest.mark.parametrize("file", get_charset_files("*.dcm"), ids=lambda file: Path(file).stem)
def test_names_of_every_declared_character_set_are_found_in_an_output(file):
    """pydicom's examples, the standard's own among them: each part of each name, as an output in UTF-8 would hold it."""
    dataset = dcmread(file)
    dataset.decode()
    needles = Needles(value for value in original_values(Path(file)) if value[0] == "name")
    people = [name for element in dataset.iterall() if element.VR == "PN" and element.value
              for name in (element.value if element.VM > 1 else [element.value])]  # fmt: skip
    parts = [part for name in people for part in re.split(r"[\^= ]+", str(name)) if len(part.encode()) >= LEAST]
    assert parts
    assert [part for part in parts if not needles.find(part.encode(), words=True)] == []


def test_a_name_declared_unknown_is_still_a_name(scan):
    dataset = dcmread(scan)
    content = scan.read_bytes().replace(
        b"\x10\0\x10\0PN\x0e\0Zebediah^Quux ", b"\x10\0\x10\0UN\0\0\x0e\0\0\0Zebediah^Quux "
    )
    assert content != scan.read_bytes(), dataset.PatientName
    scan.write_bytes(content)
    assert ("name", "Zebediah^Quux") in original_values(scan)


def test_what_is_kept_on_purpose_is_no_finding(scan):
    dataset = dcmread(scan)
    dataset.StudyDate = "20050607"
    dataset.save_as(scan)
    kept = frozenset({0x00080020})
    assert ("date", "20050607") in original_values(scan)
    assert ("date", "20050607") not in original_values(scan, kept=kept)
    assert ("name", "Zebediah^Quux") in original_values(scan, kept=kept)


@pytest.mark.parametrize("name", ["sub-QZX4711_T1w.nii", "sub-QZX4711_T1w.nii.gz"])
def test_a_volume_tells_by_its_header_and_its_name(tmp_path, name):
    image = nib.nifti1.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header["descrip"] = b"of Zebediah Quux"
    nib.save(image, tmp_path / name)
    image.header["aux_file"] = "Пушкарёв Иван".encode()[:24]
    nib.save(image, tmp_path / name)
    found = original_values(tmp_path / name)
    assert ("text", "Пушкарёв Ива") in found  # the field ends in the middle of the last letter
    assert ("text", "of Zebediah Quux") in found
    assert ("id", "QZX4711") in found


def search(path, *values):
    return {
        (finding.kind, finding.where) for finding in search_file(path, path.name, Needles(values), Dates(set(), []))
    }


def test_a_value_is_found_in_the_name_of_a_file_and_in_its_content(tmp_path):
    path = tmp_path / "zebediah.txt"
    path.write_text("nothing")
    assert search(path, ("name", "Zebediah^Quux")) == {("name", "name")}
    path = tmp_path / "plain.json"
    path.write_text('{"who": "zebediah"}')
    assert search(path, ("name", "Zebediah^Quux")) == {("name", "content")}


def test_a_value_is_found_inside_and_around_what_is_zipped(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(b"\0" * 500 + b"KH-4711-A" + b"\0" * 500))
    assert search(path, ("id", "KH-4711-A")) == {("id", "content")}
    target = io.BytesIO()
    with gzip.GzipFile(filename="Zebediah.nii", mode="wb", fileobj=target) as zipped:
        zipped.write(b"\0" * 1000)
    path.write_bytes(target.getvalue())
    assert search(path, ("name", "Zebediah^Quux")) == {("name", "content")}


def test_only_a_date_that_no_shift_explains_is_left_over():
    dates = Dates({"20040119", "20040121"}, [2])
    assert dates.leaked(b"20040119")
    assert not dates.leaked(b"20040121")  # 19 January moved by two days: can't be told
    assert not dates.leaked(b"20040123")
    assert not dates.leaked(b"")


def test_an_unmoved_date_in_a_written_file_is_found(scan):
    found = {f.kind for f in search_file(scan, "a.dcm", Needles([]), Dates({"20040119"}, [100]))}
    assert found == {"date"}
