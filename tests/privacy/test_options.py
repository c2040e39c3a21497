"""Every option of PS3.15 Annex E, row by row against the standard's own tables, and what it does to a file."""

from __future__ import annotations

import io
import json

import pytest
from planted import carrier, saved
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from test_deidentify import put

from scanprior.errors import ConfigError
from scanprior.privacy import attributes, codes, rules, safe
from scanprior.privacy.header import Names
from scanprior.privacy.instance import clean_instance, read
from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import verify

NAMES = Names("P-0123456789", -400, bytes(range(32)))
# What an option may keep by the standard, and what is removed here all the same: no check can vouch for it.
NEVER = {"OB", "UR", "AE", ""}


def single(row) -> int | None:
    text = row["tag"].split(" ")[0].strip("()").replace(",", "").lower()
    return int(text, 16) if set(text) <= set("0123456789abcdef") else None


def cleaned(dataset: Dataset, *options: str, profile: str = "basic") -> Dataset:
    chosen = rules.profile(profile, options)
    instance = clean_instance(
        read(io.BytesIO(saved(dataset))), profile=chosen, names=NAMES, text="keep", digest=lambda: "0"
    )
    return dcmread(io.BytesIO(instance.encode()))


# Reports are cleaned item by item (tests/privacy/test_reports.py), so Table E.1-1's own sequences of items stay closed.
@pytest.mark.parametrize("option", [option for option in rules.OPTIONS if option != rules.STRUCTURED])
def test_an_option_keeps_the_rows_that_the_table_lets_it_keep_and_no_others(scanprior_data, option):
    rows = json.loads((scanprior_data / "ps315/table_e1_1.json").read_text())["rows"]
    without, chosen = rules.profile("basic"), rules.profile("basic", (option,))
    seen = 0
    for row in rows:
        tag, action = single(row), row["options"].get(option)
        if tag is None:
            continue
        rule = chosen.rules.get(tag)
        if action is None:
            assert rule == without.rules.get(tag), row
            continue
        vr = DicomDictionary[tag][0] if tag in DicomDictionary else attributes.UNKNOWN_VR[tag]
        if vr in NEVER or (vr == "CS" and action == "C"):
            continue
        assert rule is not None, row
        seen += 1
        if action == "K" and vr == "UI":
            assert rule.kind == "kept-uid"
        if vr in ("DA", "DT"):
            assert rule.kind.startswith("kept-") == (action == "K")
        if action == "C" and vr not in ("SQ", "DA", "DT", "TM"):
            assert rule.kind in ("words", "code"), row
    table = {single(row) for row in rows}
    assert {tag for tag in chosen.rules if tag not in table} == {tag for tag in without.rules if tag not in table}
    assert seen or option == "retain_safe_private"
    assert rules.method_codes()[next(iter(chosen.codes() - {"113100"}))].lower().startswith(option.split("_")[0])


def test_device_institution_and_uids_stay_as_they_are_where_asked():
    before = carrier()
    before.SpecificCharacterSet = "ISO_IR 100"
    before.StationName, before.DeviceSerialNumber, before.InstitutionName = (
        "CTROOM3",
        "SN-0815-77",
        "Universitätsklinikum",
    )
    before.InstitutionAddress = "Weg 3\r\nStadt"
    after = cleaned(before)
    assert "StationName" not in after and "InstitutionName" not in after
    after = cleaned(before, "retain_device_identity", "retain_institution_identity", "retain_uids")
    assert (after.StationName, after.DeviceSerialNumber) == ("CTROOM3", "SN-0815-77")
    assert after.InstitutionName == "Universitätsklinikum" and after.SpecificCharacterSet == "ISO_IR 192"
    assert after.InstitutionAddress == "Weg 3\r\nStadt"
    assert after.SOPInstanceUID == before.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID
    assert {"113109", "113110", "113112"} <= {item.CodeValue for item in after.DeidentificationMethodCodeSequence}


def test_a_persons_own_values_go_even_where_an_option_keeps_the_attribute():
    before = carrier()
    before.PatientID, before.PatientName = "48151623", "Oberhuber^Zita"
    before.StationName, before.InstitutionName = "OBERHUBER", "Praxis 48151623"
    before.SeriesInstanceUID = "1.2.3.48151623.4"
    after = cleaned(before, "retain_device_identity", "retain_institution_identity", "retain_uids")
    assert "StationName" not in after and "InstitutionName" not in after
    assert after.SeriesInstanceUID.startswith("2.25.")


def test_dates_stay_move_or_go():
    before = carrier()
    before.StudyDate, before.AcquisitionDateTime, before.AdmittingDate = "20240303", "20240303101112.25", "20240301"
    before.PatientBirthDate = "19510101"
    full = cleaned(before, "retain_long_full_dates", profile="research")
    assert (full.StudyDate, full.AcquisitionDateTime, full.AdmittingDate) == (
        "20240303",
        "20240303101112.25",
        "20240301",
    )
    assert full.LongitudinalTemporalInformationModified == "UNMODIFIED" and full.PatientBirthDate == ""
    moved = cleaned(before, "retain_long_modified_dates")
    assert (moved.StudyDate, moved.AdmittingDate) == ("20230128", "20230126")
    gone = cleaned(before)
    assert gone.StudyDate == "" and "AdmittingDate" not in gone
    with pytest.raises(ConfigError, match="both kept and moved"):
        rules.profile("basic", ("retain_long_full_dates", "retain_long_modified_dates"))


def test_a_birth_date_typed_elsewhere_does_not_stay_with_full_dates():
    before = carrier()
    before.PatientBirthDate = before.AdmittingDate = "19510101"
    assert "AdmittingDate" not in cleaned(before, "retain_long_full_dates")


def test_codes_of_public_schemes_stay_and_home_made_ones_go():
    before = carrier()
    items = []
    for value, scheme, meaning in (("363698007", "SCT", "Finding site of brain"), ("363698008", "SCT", "?"),
                                   ("SMITHJOHN", "SCT", "x"),
                                   ("W12", "99KLINIK", "ward of Dr. Smith"), ("C71.9", "I10", "Tumour of J. Smith")):  # fmt: skip
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        items.append(item)
    before.AdmittingDiagnosesCodeSequence = Sequence(items)
    assert "AdmittingDiagnosesCodeSequence" not in cleaned(before)
    after = cleaned(before, "clean_descriptors")
    found = [(i.CodeValue, i.CodingSchemeDesignator, i.CodeMeaning) for i in after.AdmittingDiagnosesCodeSequence]
    assert found == [("363698007", "SCT", "of brain"), ("C71.9", "I10", "of")]
    assert codes.verhoeff("363698007") and not codes.verhoeff("363689007")


def test_safe_private_attributes_are_the_standards(scanprior_data):
    source = json.loads((scanprior_data / "ps315/table_e3_10_1_safe_private.json").read_text())["rows"]
    for place, creator, vr, vm, *_ in source:
        group, offset = int(place[1:5], 16), int(place.strip(")")[-2:], 16)
        assert safe.table()[creator, group, offset] == (vr, vm)
    assert len(safe.table()) == len({(row[0], row[1]) for row in source})


def test_safe_private_numbers_stay_under_their_creator_only():
    before = carrier()
    for tag in [element.tag for element in before if element.tag.is_private]:
        del before[tag]
    before.add_new(0x70530011, "LO", "Philips PET Private Group")
    before.add_new(0x70531100, "DS", "0.000123")
    before.add_new(0x70531109, "DS", "7351900001")  # too large for a factor
    before.add_new(0x70531101, "DS", "0.5")  # not in the table
    before.add_new(0x70550011, "LO", "Philips PET Private Group")
    before.add_new(0x70551100, "DS", "0.7")  # another group
    assert not [element for element in cleaned(before) if element.tag.is_private]
    after = cleaned(before, "retain_safe_private")
    assert {(f"{int(one.tag):08x}", str(one.value)) for one in after if one.tag.is_private} == {
        ("70530011", "Philips PET Private Group"), ("70531100", "0.000123")}  # fmt: skip
    assert "113111" in {item.CodeValue for item in after.DeidentificationMethodCodeSequence}


def test_what_other_switches_do_is_said():
    for option in (
        "clean_graphics",
        "clean_pixel_data",
        "clean_recognizable_visual_features",
    ):
        with pytest.raises(ConfigError, match="is not offered: "):
            rules.profile("basic", (option,))


def test_research_keeps_the_physics_of_the_acquisition():
    before = carrier()
    values = {"ReconstructionAngle": 360.0, "SpiralPitchFactor": 1.25, "ExposureModulationType": "NONE", "TableSpeed": 18.5,
              "ReceiveCoilType": "BODY", "GeneratorPower": "30", "PulseSequenceName": "epi"}  # fmt: skip
    for keyword, value in values.items():
        setattr(before, keyword, value)
    research, basic = cleaned(before, profile="research"), cleaned(before)
    kept = {keyword for keyword in values if keyword in research}
    assert kept == set(values) - {"PulseSequenceName"}  # text of the maker
    assert all(research[keyword].value == before[keyword].value for keyword in kept) and not any(
        k in basic for k in values
    )


@pytest.mark.parametrize(("keyword", "raw"), [
    ("SeriesNumber", b"7351900001"), ("KVP", b"19310307"), ("SliceLocation", b"4815162"), ("AcquisitionMatrix", b"86429753"),
    ("RadionuclideTotalDose", b"7351900001"), ("DiffusionBValue", b"86429753"), ("SpiralPitchFactor", b"OBERHUBE"),
    ("ReferencePixelX0", b"4815"), ("ReferencePixelPhysicalValueX", b"ANNAANNA"),
    ("ImagePositionPatient", b"1\\2\\7351900001")])  # fmt: skip
def test_numbers_that_could_be_an_id_do_not_stay(keyword, raw):
    before = carrier()
    tag = Tag(keyword)
    raw += b" " * (len(raw) % 2)
    before._dict[tag] = RawDataElement(tag, DicomDictionary[tag][0], len(raw), raw, 0, False, True)
    made = cleaned(before, profile="research")
    assert raw.strip() not in saved(made) and keyword_for_tag(tag) == keyword
    if keyword == "RadionuclideTotalDose":
        assert made[tag].value == 7352000000  # an activity stays, in four digits


def test_verify_looks_for_all_but_what_an_option_keeps(tmp_path):
    before = carrier()
    before.StationName, before.StudyDate, before.PatientName = "CTROOM3", "20240303", "OBERHUBER^Zita"
    put(tmp_path / "raw", "a.dcm", before)
    options = ("retain_device_identity", "retain_uids", "retain_long_full_dates")
    key = bytes(range(32))
    deidentify_folder(tmp_path / "raw", tmp_path / "out", key=key, options=options, faces="keep")
    assert {finding.kind for finding in verify(tmp_path / "raw", tmp_path / "out", key)} == {"id", "date", "uid"}
    assert verify(tmp_path / "raw", tmp_path / "out", key, options=options) == []
    put(tmp_path / "out", "b.txt", b"Oberhuber")
    assert [finding.kind for finding in verify(tmp_path / "raw", tmp_path / "out", key, options=options)] == ["name"]
