"""Keys and pseudonyms: one key links everything, without it nothing links."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanprior.errors import ScanpriorError
from scanprior.privacy.pseudonyms import (
    date_offset,
    file_pseudonym,
    identity_of,
    new_key,
    patient_pseudonym,
    read_key,
    scan_pseudonym,
    uid,
)

ONE, TWO = bytes(range(32)), bytes(range(1, 33))


def test_a_new_key_is_private_random_and_never_replaced(tmp_path):
    file = tmp_path / "sub" / "key"
    key = new_key(file)
    assert len(key) == 32 and read_key(file) == key and new_key(tmp_path / "other") != key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(ScanpriorError, match="never replaced"):
        new_key(file)
    assert read_key(file) == key


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("00" * 32, 0o640, "others may read"),
        ("00" * 32, 0o604, "others may read"),
        ("00" * 16, 0o600, "has 16 bytes"),
        ("", 0o600, "has 0 bytes"),
        ("zz" * 32, 0o600, "not a scanprior key"),
        ("é", 0o600, "not a scanprior key"),
    ],
)
def test_a_bad_key_is_one_clear_error_with_a_hint_and_without_its_path(tmp_path, content, mode, said):
    file = tmp_path / "hospital-key"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(ScanpriorError, match=said) as caught:
        read_key(file)
    assert caught.value.hint and "hospital" not in str(caught.value)
    with pytest.raises(ScanpriorError, match="no key file"):
        read_key(tmp_path / "missing")


def test_same_patient_same_name_other_key_other_name():
    assert patient_pseudonym(ONE, "4711") == patient_pseudonym(ONE, " 4711\0") != patient_pseudonym(TWO, "4711")
    assert re.fullmatch(r"P-[0-9a-f]{10}", patient_pseudonym(ONE, "4711"))


def test_kinds_of_pseudonym_do_not_link():
    digits = {f(ONE, "4711")[2:] for f in (patient_pseudonym, scan_pseudonym, file_pseudonym)}
    assert len(digits) == 3


def test_a_dictionary_of_ids_finds_nothing_without_the_key():
    secret = patient_pseudonym(ONE, "0001234")[2:]
    ids = [f"{number:07d}" for number in range(3000)]
    guesses = {hashlib.sha256(i.encode()).hexdigest()[:10] for i in ids} | {
        hashlib.md5(i.encode()).hexdigest()[:10] for i in ids
    }
    guesses |= {hmac.new(b"", i.encode(), "sha256").hexdigest()[:10] for i in ids}
    assert secret not in guesses


def test_distinct_patients_stay_distinct():
    assert len({patient_pseudonym(ONE, str(number)) for number in range(20_000)}) == 20_000


@given(st.from_regex(r"1\.[0-9]{1,3}(\.[1-9][0-9]{0,8}){2,5}", fullmatch=True))
def test_uids_are_valid_stable_and_new(original):
    made = uid(ONE, original)
    assert made == uid(ONE, original + "\0") != uid(TWO, original)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", made) and len(made) <= 64


def test_the_standards_own_uids_stay():
    assert uid(ONE, "1.2.840.10008.1.4.1.1") == "1.2.840.10008.1.4.1.1"
    assert uid(ONE, "") == ""


def test_dates_move_back_by_one_offset_per_patient():
    offsets = [date_offset(ONE, str(number)) for number in range(2000)]
    assert all(-7305 <= days <= -366 for days in offsets) and len(set(offsets)) > 1500
    assert date_offset(ONE, "7") == date_offset(ONE, "7 ") != date_offset(TWO, "7")


def test_patients_without_an_id_do_not_become_one():
    assert identity_of("", "DOE^A", "1950", "1.2") != identity_of("", "DOE^B", "1950", "1.2")
    assert identity_of("", "", "", "1.2") != identity_of("", "", "", "1.3")
    assert identity_of(" 12 ", "DOE", "", "1.2") == "12"
