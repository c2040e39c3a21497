"""Structured reports: every row of Table E.3.4-1, and no planted word in anything that stays."""

from __future__ import annotations

import io
import json

import pytest
from planted import carrier, saved
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from test_deidentify import put

from scanprior.privacy.header import Names
from scanprior.privacy.instance import clean_instance, read
from scanprior.privacy.refused import Refused
from scanprior.privacy.reports import CLASSES
from scanprior.privacy.rules import profile
from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import verify

NAMES = Names("P-0123456789", -400, bytes(range(32)))
STRUCTURED = "clean_structured_content"
WORD, UID = "Zwetschgenkuchen", "1.3.6.1.4.1.5962.99.1.424242.1"
PUBLIC = ("111028", "DCM")  # image library: not in Table E.3.4-1


def code(value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, WORD
    return item


def content(concept: tuple[str, str], value_type: str, *children: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = [code(*concept)]
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", UID
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", [code("mm", "UCUM")]
    values = {"TEXT": ("TextValue", f"{WORD} brain"), "PNAME": ("PersonName", WORD), "DATE": ("Date", "20200514"),
              "TIME": ("Time", "101112"), "DATETIME": ("DateTime", "20200514101112"), "UIDREF": ("UID", UID),
              "CODE": ("ConceptCodeSequence", [code("121007", "DCM")]), "NUM": ("MeasuredValueSequence", [measured]),
              "IMAGE": ("ReferencedSOPSequence", [reference]), "COMPOSITE": ("ReferencedSOPSequence", [reference]),
              "WAVEFORM": ("ReferencedSOPSequence", [reference]), "CONTAINER": ("ContinuityOfContent", "SEPARATE")}  # fmt: skip
    keyword, value = values[value_type]
    setattr(item, keyword, value)
    if children:
        item.ContentSequence = list(children)
    return item


def report(*items: Dataset, title: tuple[str, str] = ("126000", "DCM")) -> Dataset:
    dataset = carrier()
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    dataset.Modality, dataset.ValueType, dataset.ContinuityOfContent = "SR", "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code(*title)]
    dataset.ContentSequence = list(items)
    return dataset


def cleaned(dataset: Dataset, *options: str, name: str = "basic") -> Dataset:
    chosen = profile(name, (STRUCTURED, *options))
    instance = clean_instance(
        read(io.BytesIO(saved(dataset))), profile=chosen, names=NAMES, text="auto", digest=lambda: "0"
    )
    return dcmread(io.BytesIO(instance.encode()))


def said(item: Dataset) -> str:
    """What a content item says, as text."""
    bare = Dataset()
    bare.update({element.tag: element for element in item if element.tag not in (0x0040A010, 0x0040A040, 0x0040A043)})
    return str(bare)


def rows_cleaned(rows: list[list[str]], *options: str) -> list[Dataset | None]:
    """What becomes of one item per row of the table, each alone in a container."""
    tree = report(*(content(PUBLIC, "CONTAINER", content((row[1], row[2]), row[3])) for row in rows))
    return [next(iter(box.get("ContentSequence", [])), None) for box in cleaned(tree, *options).ContentSequence]


def test_every_row_of_the_table_does_what_the_standard_says(scanprior_data):
    table = json.loads((scanprior_data / "ps315/table_e3_4_1_structured_content.json").read_text())["rows"]
    rows = [row for row in table if row[2] in ("DCM", "SCT", "LN")]
    assert len(rows) > 150
    for row, item in zip(rows, rows_cleaned(rows), strict=True):
        assert (item is not None) == ("D" in row[6]), row
        assert item is None or not any(word in said(item) for word in (WORD, UID, "2020")), row
    moved, full, uids, words = (rows_cleaned(rows, option) for option in (
        "retain_long_modified_dates", "retain_long_full_dates", "retain_uids", "clean_descriptors"))  # fmt: skip
    for at, row in enumerate(rows):
        granted = dict(
            zip(("uids", "device", "institution", "patient", "full", "moved", "words"), row[7:], strict=True)
        )
        if granted["moved"] == "C" and row[3] != "TIME":
            assert "20190410" in said(moved[at]), row  # 400 days earlier
            assert "20200514" not in said(moved[at])
        if granted["full"] == "K" and row[3] != "TIME":
            assert "20200514" in said(full[at]), row
        if granted["uids"] == "K":
            assert UID in said(uids[at]), row
        if granted["words"] == "C":
            assert words[at].TextValue == "brain", row


@pytest.mark.parametrize("value_type", ["TEXT", "PNAME", "DATE", "TIME", "DATETIME"])
def test_words_under_a_concept_that_the_table_does_not_name_go_with_what_hangs_on_them(value_type):
    kept = cleaned(report(content(PUBLIC, value_type, content(PUBLIC, "CODE")), content(PUBLIC, "NUM")))
    assert [item.ValueType for item in kept.ContentSequence] == ["NUM"]


def test_numbers_codes_and_references_stay_at_every_depth_and_no_word_does():
    tree = content(PUBLIC, "CONTAINER", content(PUBLIC, "NUM", content(PUBLIC, "CODE", content(PUBLIC, "IMAGE"))))
    kept = cleaned(report(tree, content(("99", "99HOSPITAL"), "NUM")))
    assert WORD not in str(kept)
    number = kept.ContentSequence[0].ContentSequence[0]
    assert number.MeasuredValueSequence[0].NumericValue == 12.5
    assert number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    image = number.ContentSequence[0].ContentSequence[0]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")
    assert len(kept.ContentSequence) == 1  # what a hospital's own code names is gone
    assert kept.VerificationFlag == "UNVERIFIED"


def test_no_attribute_of_the_dictionary_carries_a_word_inside_an_item():
    item, inner = content(PUBLIC, "NUM"), content(PUBLIC, "NUM").MeasuredValueSequence[0]
    for tag, (vr, *_) in DicomDictionary.items():
        if vr in ("LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "CS", "UR") and 0x00080000 <= tag < 0x7FE00000:
            for one in (item, inner):
                if tag not in one:
                    one.add(DataElement(tag, vr, WORD.upper() if vr == "CS" else WORD))
    item.MeasuredValueSequence = [inner]
    kept = cleaned(report(item), "clean_descriptors")
    assert WORD.lower() not in str(kept).lower()
    assert kept.ContentSequence[0].MeasuredValueSequence[0].NumericValue == 12.5


def test_a_name_written_as_a_unit_is_no_concept_and_no_code():
    coded = content(PUBLIC, "CODE")
    coded.ConceptCodeSequence = [code("Zwetsch", "UCUM")]
    kept = cleaned(report(content(("Zwetsch", "UCUM"), "NUM"), coded, content(PUBLIC, "NUM")))
    assert "Zwetsch" not in str(kept)
    assert len(kept.ContentSequence) == 1


def test_a_uid_under_a_concept_that_the_table_does_not_name_never_stays_as_it_is():
    mapped = cleaned(report(content(PUBLIC, "UIDREF"))).ContentSequence[0].UID
    assert mapped.startswith("2.25.")
    assert not cleaned(report(content(PUBLIC, "UIDREF")), "retain_uids").ContentSequence


@pytest.mark.parametrize(("age", "stays"), [("89", True), ("90", False)])
def test_an_age_stays_with_the_patients_characteristics_up_to_89(age, stays):
    item = content(("121033", "DCM"), "NUM")
    item.MeasuredValueSequence[0].NumericValue = age
    assert len(cleaned(report(item), "retain_patient_characteristics").ContentSequence) == stays
    assert not cleaned(report(item)).ContentSequence


def test_a_report_without_the_option_or_with_a_private_title_is_refused():
    with pytest.raises(Refused, match="--option clean_structured_content"):
        clean_instance(
            read(io.BytesIO(saved(report()))), profile=profile("research"), names=NAMES, text="auto", digest=lambda: "0"
        )
    with pytest.raises(Refused, match="title"):
        cleaned(report(title=("1", "99HOSPITAL")))


def test_a_look_up_table_spells_nothing_in_a_report_at_any_depth():
    dataset, table, nested = report(content(PUBLIC, "NUM")), Dataset(), Dataset()
    word = WORD.encode()
    for one, descriptor, data in ((dataset, 0x00281101, 0x00281201), (table, 0x00283002, 0x00283006)):
        one.add_new(descriptor, "US", [len(word) // 2, 0, 16])
        one.add_new(data, "OW", word)
    nested.ModalityLUTSequence = [table]
    dataset.ModalityLUTSequence, dataset.SharedFunctionalGroupsSequence = [table], [nested]
    left = {int(element.tag) for element in cleaned(dataset, STRUCTURED).iterall()}
    assert not left & {0x00281101, 0x00281201, 0x00283002, 0x00283006}


def test_a_report_through_the_folder_passes_the_second_pass(tmp_path):
    item = content(("121106", "DCM"), "TEXT")
    nested = content(PUBLIC, "CONTAINER", item, content(PUBLIC, "NUM"))
    dataset = report(nested, content(("121008", "DCM"), "PNAME"))
    put(tmp_path / "in", "report.dcm", dataset)
    key = bytes(range(32))
    deidentify_folder(tmp_path / "in", tmp_path / "out", profile="research", key=key, options=(STRUCTURED,))
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert len(written) == 1
    assert WORD.encode() not in written[0].read_bytes()
    assert verify(tmp_path / "in", tmp_path / "out", key, options=(STRUCTURED,)) == []


def test_the_real_reports_keep_their_codes_or_are_refused(scanprior_data):
    seen = []
    for path in sorted((scanprior_data / "dicom").glob("sr_*.dcm")):
        try:
            seen.append(len(cleaned_file(path).ContentSequence))
        except Refused as refused:
            seen.append(refused.code)
    assert seen == [6, "report-title", "report-title"]


def cleaned_file(path) -> Dataset:
    chosen = profile("research", (STRUCTURED,))
    instance = clean_instance(read(path), profile=chosen, names=NAMES, text="auto", digest=lambda: "0")
    return dcmread(io.BytesIO(instance.encode()))


def test_only_structured_reports_are_taken_for_reports():
    assert "1.2.840.10008.5.1.4.1.1.104.1" not in CLASSES
    assert "1.2.840.10008.5.1.4.1.1.88.59" in CLASSES
