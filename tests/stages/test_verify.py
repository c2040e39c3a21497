"""The gate as a command's core: what it knows of the inputs, and what it says where it can't judge."""

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from scanprior.errors import ScanpriorError
from scanprior.privacy.instance import identity
from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import originals_of, verify

KEY = bytes(range(32))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def scan(folder, name, **attributes):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("charset", "number"),
    [("ISO_IR 100", "Ä-4711"), ("ISO_IR 192", "患者-12"), (["", "ISO 2022 IR 149"], "환자-12"), ("ISO_IR 144", "Ж-99")],
)
def test_an_id_in_any_alphabet_is_the_identity_that_the_first_pass_reads(source, charset, number):
    path = scan(source, "a", SpecificCharacterSet=charset, PatientID=number)
    assert identity(dcmread(path)) == number
    assert number in originals_of([path]).identities


def test_a_file_without_an_id_is_known_by_name_and_birth_date(source):
    path = scan(source, "a", PatientID="", PatientName="Quux^Zebediah", PatientBirthDate="19610317")
    assert originals_of([path]).identities == {"name:Quux^Zebediah|19610317"}


def test_ids_of_a_label_table_are_searched_for_too(source):
    originals = originals_of([scan(source, "a")], extra=["KH-0815"])
    assert ("id", "KH-0815") in originals.values


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 144"])
def test_what_the_first_pass_wrote_passes_and_a_copied_name_does_not(source, tmp_path, charset):
    scan(source, "a", SpecificCharacterSet=charset, PatientName="Пушкарёв^Иван", PatientID="Ж-99-17")
    out = tmp_path / "out"
    deidentify_folder(source, out, key=KEY, faces="keep")
    assert verify(source, out, KEY) == []
    (written,) = out.rglob("*.dcm")
    dataset = dcmread(written)
    for text in ("Иван ПУШКАРЁВ", "для Пушкарёва"):
        dataset.SpecificCharacterSet, dataset.StudyDescription = "ISO_IR 192", text
        dataset.save_as(written)
        assert {finding.kind for finding in verify(source, out, KEY)} == {"name"}


def test_what_could_not_be_read_is_not_called_clean(source, tmp_path, monkeypatch):
    scan(source, "a")
    deidentify_folder(source, tmp_path / "out", key=KEY, faces="keep")

    def closed(*_, **__):
        raise PermissionError(13, "closed", str(source / "a"))

    monkeypatch.setattr("scanprior.stages.verify.original_values", closed)
    with pytest.raises(ScanpriorError, match="1 files of SRC cannot be read") as caught:
        verify(source, tmp_path / "out", KEY)
    assert str(tmp_path) not in str(caught.value)


def test_it_refuses_in_words_where_nothing_can_be_judged(source, tmp_path):
    scan(source, "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanpriorError, match="DST holds no file"):
        verify(source, tmp_path / "empty", KEY)
    with pytest.raises(ScanpriorError, match="SRC is no folder"):
        verify(tmp_path / "nowhere", tmp_path / "empty", KEY)
    deidentify_folder(source, tmp_path / "out", key=KEY, faces="keep")
    with pytest.raises(ScanpriorError, match="another key"):
        verify(source, tmp_path / "out", KEY[::-1])
