"""Random data sets, random damage: the output can be read in full and holds no original identifier, or there is a refusal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import carrier, saved
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from scanprior.privacy.attributes import CODES, PLAIN
from scanprior.privacy.encode import EXPLICIT_LITTLE, Element, Elements, encode_file
from scanprior.privacy.header import Names
from scanprior.privacy.instance import clean_instance, read
from scanprior.privacy.refused import Refused
from scanprior.privacy.rules import OPTIONS, allow_list, profile, rows

NAMES = Names("P-0123456789", -400, bytes(range(32)))
TOKEN = b"ZQXJVKWPYB"
VRS = "AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SS ST TM UC UI UL UN UR US UT".split()  # noqa: SIM905
KEEPING_TEXT = {"retain_device_identity", "retain_institution_identity"}
PROFILES = [
    profile("basic"),
    profile("research"),
    *(profile("research", (one,)) for one in OPTIONS if one not in KEEPING_TEXT),
]
TAGS = st.one_of(
    st.sampled_from(sorted(allow_list())),
    st.sampled_from(sorted(int(key, 16) for key in rows() if set(key) <= set("0123456789abcdef") and key > "0008")),
    st.integers(0x00080001, 0x7FDFFFFF),
)
VALUES = st.one_of(
    st.just(TOKEN), st.binary(max_size=6).map(lambda noise: noise + TOKEN),
    st.sampled_from([b"1\\", b"19500101", b"AXIAL\\", b"\xff"]).map(lambda head: head + TOKEN)
)  # fmt: skip


def plain() -> Dataset:
    dataset = carrier()
    dataset.Rows = dataset.Columns = 4
    dataset.PixelData = dataset.PixelData[:32]
    for element in list(dataset):
        if element.tag.is_private:
            del dataset[element.tag]
    return dataset


def raw(dataset: Dataset) -> Elements:
    """Its elements as they lie in a file; sequences left out."""
    values = dcmread(io.BytesIO(saved(dataset)))._dict.items()
    return {int(tag): Element(one.VR, one.value) for tag, one in values if isinstance(one.value, bytes)}


BASE = raw(plain())
_LABELLED = plain()
for _number, _keyword in enumerate("PatientName KVP SeriesDescription StationName ImageComments".split()):  # noqa: SIM905
    _LABELLED.add_new(_keyword, "LO", TOKEN.decode() + str(_number))
_LABELLED.ReferencedImageSequence = Sequence([Dataset()])
_LABELLED.ReferencedImageSequence[0].PatientID = TOKEN.decode()
WHOLE = saved(_LABELLED)


def filled(elements: Elements, content) -> Elements:
    """The elements with others put in (tag, VR, value); a value that is a list becomes a sequence of such items."""
    made = dict(elements)
    for tag, vr, value in content:
        if isinstance(value, list):
            made[tag] = Element("SQ", [filled({}, item) for item in value])
        else:
            made[tag] = Element(vr, value + b" " * (len(value) % 2))
    return made


def checked(content: bytes, chosen) -> None:
    try:
        dataset = read(io.BytesIO(content))
        made = clean_instance(dataset, profile=chosen, names=NAMES, text="keep", digest=lambda: "0").encode()
    except Refused as refused:
        assert TOKEN not in str(refused).encode() and refused.__cause__ is None
        return
    after = dcmread(io.BytesIO(made))
    assert all(element.value is not None or element.VM == 0 for element in after.iterall())
    assert TOKEN not in made.replace(b"\0", b"").upper()


ELEMENTS = st.recursive(
    st.lists(st.tuples(TAGS, st.sampled_from(VRS), VALUES), max_size=8),
    lambda inner: st.lists(st.tuples(TAGS, st.just("SQ"), st.lists(inner, max_size=2)), max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(ELEMENTS, st.sampled_from(PROFILES))
def test_no_identifier_survives_in_any_attribute_of_any_vr_at_any_depth(content, chosen):
    made = filled(BASE, [one for one in content if one[0] not in (0x00080016, 0x00080018)])
    checked(encode_file(made, syntax=EXPLICIT_LITTLE), chosen)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_files_are_read_in_full_or_refused(data):
    content = bytearray(WHOLE)
    head = content.rfind(b"\xe0\x7f\x10\0")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(132, head - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(132, len(content))))
    checked(bytes(content[:cut]), data.draw(st.sampled_from(PROFILES)))


@pytest.mark.parametrize("found", [
    b"\x28\x00\x03\x01U\x00\x00\x00",  # PixelRepresentation, empty and of a VR that there is not
    b"\x08\x00\x08\x00SQ\x00\x00\x1e\x00\x00\x00\xfe\xff\x00\xe0\x16\x00\x00\x00\x08\x00\x18\x00FD\x0e\x00ZQXJVKWPYB1234",
])  # fmt: skip
def test_what_fuzzing_found_is_refused_or_clean(found):
    tag = found[:4]
    at = WHOLE.find(tag, 132)
    old = 8 + int.from_bytes(WHOLE[at + 6 : at + 8], "little")
    checked(WHOLE[:at] + found + WHOLE[at + old :], PROFILES[1])


def test_the_profiles_of_the_properties_hold_what_the_allow_list_names():
    assert len(allow_list()) == sum(len(words.split()) for words in PLAIN.values()) + len(CODES)
