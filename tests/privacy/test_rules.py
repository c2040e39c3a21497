"""The allow-list and Table E.1-1: what the table forbids can't stay, what the table does not know stays only by name."""

from __future__ import annotations

import json

import pytest
from pydicom.datadict import tag_for_keyword

from scanprior.errors import ConfigError
from scanprior.privacy import rules


def test_the_table_is_the_standards_row_by_row(scanprior_data):
    source = json.loads((scanprior_data / "ps315/table_e1_1.json").read_text())
    assert rules.edition() == source["edition"] == "2026c"
    assert len(rules.rows()) == len({row["tag"] for row in source["rows"]})
    for row in source["rows"]:
        tag = row["tag"].split(" ")[0].strip("()").replace(",", "").lower()
        assert rules.rows()[tag] == (row["basic"], row["options"])
    codes = json.loads((scanprior_data / "ps315/cid7050.json").read_text())["rows"]
    assert rules.method_codes() == {row["value"]: row["meaning"] for row in codes}


@pytest.mark.parametrize("name", ["basic", "research"])
def test_no_rule_contradicts_the_table(name):
    chosen = rules.profile(name)
    for tag, rule in chosen.rules.items():
        row = rules.row_of(tag)
        if row is None:
            continue
        allowed = {row.options.get(option) for option in chosen.options} & {"K", "C"}
        assert allowed or rule.kind in ("uid", "sequence"), f"{tag:08x} {row}"
        if not allowed:
            assert row.basic == ("X/Z/U*" if rule.kind == "sequence" else "U"), f"{tag:08x} {row}"


def test_basic_keeps_no_person_and_no_date():
    basic, research = rules.profile("basic").rules, rules.profile("research").rules
    for keyword in ("PatientAge", "PatientSex", "PatientSize", "StudyDate", "AcquisitionTime", "SeriesDescription"):
        assert tag_for_keyword(keyword) not in basic
        assert tag_for_keyword(keyword) in research


def test_free_text_is_never_kept_as_it_is():
    for rule in rules.allow_list().values():
        if rule.vr in ("PN", "LT", "ST", "UT", "UC", "UR", "UN", "AE"):
            pytest.fail(f"{rule} keeps free text")
        if rule.vr in ("LO", "SH"):
            assert rule.kind in ("words", "vendor", "kernel", "code")


def test_private_and_repeating_groups_have_their_row():
    assert rules.row_of(0x00091001) == rules.rows()["ggggeeee"]
    assert rules.row_of(0x601E3000) == rules.rows()["60xx3000"]
    assert rules.row_of(0x50020022) == rules.rows()["50xxxxxx"]
    assert rules.row_of(0x00220FFE) is None


def test_codes_say_what_was_done():
    assert rules.profile("basic").codes() == {"113100"}
    assert rules.profile("research").codes("clean_recognizable_visual_features") == {
        "113100",
        "113102",
        "113105",
        "113107",
        "113108",
    }


def test_unknown_names_are_refused_with_what_is_allowed():
    with pytest.raises(ConfigError, match="no profile"):
        rules.profile("strict")
    with pytest.raises(ConfigError) as caught:
        rules.profile("basic", ("retain-everything",))
    assert "clean_descriptors" in caught.value.hint
    assert rules.profile("basic", ("Clean-Descriptors",)).options == ("clean_descriptors",)


def test_describe_names_every_row():
    lines = rules.describe(rules.profile("basic"))
    assert len(lines) > 650 and {"tag", "action", "table", "options"} == set(lines[0])
