"""Every spelling in which a value could have survived is found, and imaging words and chance are not."""

import numpy as np
import pytest

from scanprior.privacy.needles import Needles, harmless

CHARSETS = ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le"]


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_name_is_found_in_any_character_set_order_and_case(charset):
    needles = Needles([("name", "Müllerstein^Änneliese")])
    for text in ("MÜLLERSTEIN^ÄNNELIESE", "änneliese müllerstein", "of Müllerstein, seen", "ÄNNELIESE"):
        assert needles.find(b"** " + text.encode(charset) + b" **", words=True) == {"name"}, text


def test_a_name_is_found_without_its_accents_and_with_accents_apart():
    needles = Needles([("name", "Müllerstein^Ánneliese")])
    for text in ("sub-MULLERSTEIN", "Mu\u0308llerstein", "anneliese"):
        assert needles.find(text.encode(), words=True) == {"name"}, text


def test_a_name_of_another_alphabet_is_found_in_its_own_sets():
    needles = Needles([("name", "Пушкарёв^Иван")])
    for charset in ("cp1251", "utf-8", "utf-16-le"):
        assert needles.find("Иван Пушкарёв".encode(charset), words=False) == {"name"}
    assert needles.find("пушкарёв".encode(), words=True) == {"name"}
    for charset in ("shift_jis", "gb18030", "utf-8"):
        assert Needles([("name", "山田^太郎")]).find("患者 山田".encode(charset), words=True) == {"name"}


@pytest.mark.parametrize("spelling", ["17.03.1961", "03/17/1961", "17/03/1961", "1961-03-17", "1961/03/17", "19610317"])
def test_a_birth_date_is_found_in_every_format(spelling):
    assert Needles([("birth date", "19610317")]).find(f"born {spelling}.".encode(), words=True) == {"birth date"}


def test_a_plain_date_of_eight_digits_is_left_to_those_who_know_the_shifts():
    needles = Needles([("date", "20040119")])
    assert needles.find(b"20040119", words=True) == set()
    assert needles.find(b"2004-01-19", words=True) == {"date"}


def test_short_values_are_whole_words_and_never_any_bytes():
    needles = Needles([("id", "4711"), ("name", "Rose^Ann")])
    assert needles.find(b"id 4711 of", words=True) == {"id"}
    assert needles.find(b"it was 4711.", words=True) == {"id"}
    assert needles.find(b"rose", words=True) == {"name"}
    for chance in (b"14711", b"47110", b"c4711", b"3.4711", b"4711.3", b"prosecco", b"roses"):
        assert needles.find(chance, words=True) == set(), chance
    assert needles.find(b"\x01\x024711\x03 rose \x04", words=False) == set()


def test_long_values_are_found_inside_any_bytes():
    needles = Needles([("uid", "1.3.6.1.4.1.5962.1.2.1"), ("id", "KH-20040119X")])
    noise = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    assert needles.find(noise, words=False) == set()
    assert needles.find(noise + b"1.3.6.1.4.1.5962.1.2.1" + noise, words=False) == {"uid"}
    assert needles.find(noise + b"kh-20040119x" + noise, words=False) == {"id"}


def test_nothing_is_found_without_needles_or_in_too_little():
    assert Needles([]).find(b"anything at all", words=True) == set()
    assert Needles([("id", "4711")]).find(b"47", words=True) == set()


def test_words_that_the_program_writes_itself_accuse_nobody():
    assert harmless("SIEMENS")
    assert harmless("AXIAL 3mm")
    assert not harmless("Philips^John")
    assert not any(map(harmless, ("Müllerstein", "Пушкарёв", "山田")))
    needles = Needles([("name", "Axial^Zebediah")])
    assert needles.find(b"axial", words=True) == set()
    assert needles.find(b"zebediah", words=True) == {"name"}
