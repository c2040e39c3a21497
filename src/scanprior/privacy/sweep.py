"""Known-value sweep: what the original header said of the person is searched for in every value that stayed.

The allow-list leaves codes, numbers and imaging words; this second line finds the id that was typed into a number
and the family name that is also an imaging word. Titles and imaging words of an institution's name do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from scanprior.privacy import vocabulary
from scanprior.privacy.encode import Elements, text_element
from scanprior.privacy.header import CHARSET, METHOD, METHOD_CODES, PATIENT_ID, PATIENT_NAME
from scanprior.privacy.pseudonyms import STANDARD_ROOT, uid
from scanprior.privacy.refused import Refused
from scanprior.privacy.values import decoded, encodings

# Names and ids, and the places and people around the patient; read at the top level, where every maker writes them.
PERSON = ("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
          "PatientBirthDate", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "PatientAddress", "MedicalRecordLocator",
          "MilitaryRank", "IssuerOfPatientID", "ResponsiblePerson", "ClinicalTrialSubjectID", "AdmissionID")  # fmt: skip
PLACES = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "ResponsibleOrganization")
DEVICES = ("StationName", "DeviceSerialNumber")
PEOPLE = tuple(word for _, (vr, _, _, _, word) in DicomDictionary.items() if vr == "PN" and word not in PERSON)
AROUND = (*PLACES, *DEVICES, *PEOPLE)
_TITLES = vocabulary.terms("mr mrs ms dr prof md phd jr sr von van de der den di del la le el al bin ben the of and")
_TEXT = frozenset(("CS", "LO", "SH", "ST", "LT", "UT", "UC", "DS", "IS", "AS"))
_BINARY = frozenset(("FL", "FD", "US", "SS", "UL", "SL", "AT", "OW", "OB"))
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae", "ł": "l"})
# Written by this program, or holding values of two letters that a name may share by chance.
_OWN = frozenset((CHARSET, PATIENT_NAME, PATIENT_ID, METHOD, METHOD_CODES, 0x00120062, 0x00280303, 0x00280302))
_ESSENTIAL = frozenset(
    (0x00080060, 0x00280004, 0x00280030, 0x00200032, 0x00200037, 0x00281052, 0x00281053, 0x00280008, 0x7FE00010)
)

REMEMBERED = 256  # bytes: what was found in shorter values is remembered


class Known(NamedTuple):
    """What must not be found: single words (lower case, letters or digits) and ids squeezed to letters and digits;
    `numbers` are ids and dates as a number would write them, without leading zeros."""

    words: frozenset[str]
    ids: frozenset[str]
    numbers: frozenset[str] = frozenset()


def known_values(dataset: Dataset, *, options: tuple[str, ...] = ()) -> Known:
    """Collect from the original header the person's name parts, ids and birth date in its usual spellings, and who
    and where, unless an option keeps just that."""
    watched = _watched(options)
    values = dataset._dict  # pyright: ignore[reportPrivateUsage]  raw, so that nothing is decoded twice
    present = tuple((watched[tag], _plain(values[tag].value)) for tag in values.keys() & watched.keys())
    charset = values.get(CHARSET)  # type: ignore[call-overload]
    return _known(present, _plain(charset.value) if charset is not None else b"")


def known_texts(pairs: Iterable[tuple[str, str]]) -> Known:
    """The same from pairs of keyword and text, as sidecars hold them; keywords of `PERSON` and `AROUND` only."""
    words: set[str] = set()
    ids: set[str] = set()
    numbers: set[str] = set()
    for keyword, text in pairs:
        for spelling in {text, text.lower().translate(_UMLAUTS)}:
            parts = [part for part in _split(spelling) if part not in _TITLES]
            if keyword not in PERSON:
                parts = [part for part in parts if part not in vocabulary.WORDS and len(part) > 3]
            words.update(part for part in parts if len(part) > 1)
            squeezed = "".join(parts)
            if any(c.isdigit() for c in squeezed) and len(squeezed) > 4:
                ids.add(squeezed)
            numbers.update(part.lstrip("0") for part in (*parts, squeezed) if part.isdigit() and len(part) > 3)
            if keyword == "PatientBirthDate" and re.fullmatch(r"\d{8}", squeezed, re.ASCII):
                ids.update(_spellings(squeezed))
                numbers.update(_spellings(squeezed))
                numbers.update(short.lstrip("0") for short in _short_spellings(squeezed))
    return Known(frozenset(words), frozenset(ids), frozenset(numbers))


def sweep(kept: Elements, known: Known, actions: Counter[str], *, key: bytes) -> None:
    """Remove from `kept` every value that holds a known value (a kept UID is replaced instead); counts them as "swept".

    Raises:
        Refused: the value is one that the image cannot do without.
    """
    for tag, (vr, value) in list(kept.items()):
        if tag in _OWN:
            continue
        if isinstance(value, list):
            for item in value:
                sweep(item, known, actions, key=key)
        if not isinstance(value, bytes):  # items, or pixels
            continue
        hit = _hit_again if len(value) < REMEMBERED else _hit
        if hit(vr, value, known, essential=tag in _ESSENTIAL):
            if tag in _ESSENTIAL:
                raise Refused(
                    "known-value", "a value of the patient's header stands in an attribute that the image needs"
                )
            if vr == "UI":
                kept[tag] = text_element("UI", *(uid(key, part) for part in value.decode("ascii").split("\\")))
            else:
                del kept[tag]
            actions["swept"] += 1


def found_in(text: str, known: Known) -> bool:
    """Whether a text (a file name, a sidecar's value) holds a known word or id."""
    words = _split(text)
    squeezed = "".join(words)
    return any(word in known.words for word in words if len(word) > 2) or any(found in squeezed for found in known.ids)


def _hit(vr: str, value: bytes, known: Known, *, essential: bool) -> bool:
    if vr in _TEXT:
        text = value.decode("utf-8", "replace")
        if vr in ("DS", "IS", "AS"):
            return any(_hit_number(part.strip(), known, essential=essential) for part in text.split("\\"))
        shortest = 4 if vr == "CS" else 2
        words = _split(text)
        if any(len(word) >= shortest and word in known.words for word in words):
            return True
        squeezed = "".join(words)
        return any(found in squeezed for found in known.ids)
    if vr == "UI":
        text = value.decode("ascii", "replace")
        parts = set(re.split(r"[.\\]", text))
        return not text.startswith(("2.25.", STANDARD_ROOT)) and any(
            part in known.numbers or any(len(found) > 5 and found in part for found in known.ids) for part in parts
        )
    if vr in ("DA", "DT"):
        return any(
            len(found) == 8 and found in known.numbers for found in re.split(r"\\", value.decode("ascii", "replace"))
        )
    if vr in _BINARY:
        # Some letters and digits make numbers that pass every check of size.
        plain = value.replace(b"\0", b"").lower() if len(value) < 4096 else b""
        return any(
            len(found) > 3 and found.isascii() and found.encode() in plain for group in known[:2] for found in group
        )
    return False


_hit_again = lru_cache(maxsize=4096)(_hit)  # the images of a series repeat most of their values


def _hit_number(part: str, known: Known, *, essential: bool) -> bool:
    """A short number is found in any list of numbers by chance; four digits alone are an id only where no image needs
    them, six may be a date, and seven may hide behind a decimal point."""
    if len(part) < 4:
        return False
    whole = part.lstrip("+-").split(".")[0].lstrip("0")
    if len(whole) >= (6 if essential else 4) and whole in known.numbers:
        return True
    digits = part.replace(".", "")
    return len(digits) > 6 and any(len(found) > 6 and found in digits for found in known.ids)


@lru_cache(maxsize=8)
def _watched(options: tuple[str, ...]) -> dict[int, str]:
    """Tags and keywords of known values, without what an option keeps."""
    left: tuple[str, ...] = ()
    left += PLACES if "retain_institution_identity" in options else ()
    left += DEVICES if "retain_device_identity" in options else ()
    return {int(tag_for_keyword(word) or 0): word for word in (*PERSON, *AROUND) if word not in left}


@lru_cache(maxsize=64)
def _known(present: tuple[tuple[str, bytes | str], ...], charset: bytes | str) -> Known:
    """The images of a series repeat their values, so that this is worked out once a series."""
    terms = charset if isinstance(charset, str) else charset.decode("ascii", "replace")
    charsets = encodings(terms.strip(" \0"))
    return known_texts((word, decoded(raw, charsets) if isinstance(raw, bytes) else raw) for word, raw in present)


def _plain(value: Any) -> bytes | str:
    """A value that can be hashed: raw bytes as they are, what pydicom decoded as text."""
    if isinstance(value, bytes):
        return value
    if value is None or isinstance(value, Sequence):
        return ""
    return "\\".join(str(part) for part in value) if isinstance(value, (list, MultiValue)) else str(value)


def _split(text: str) -> list[str]:
    """Lower-case words of letters and digits, accents taken off."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c)).casefold()
    return re.findall(r"[^\W_]+", plain)


def _spellings(date: str) -> set[str]:
    year, month, day = date[:4], date[4:6], date[6:]
    return {
        date,
        day + month + year,
        month + day + year,
        f"{int(day)}{int(month)}{year}",
        f"{int(month)}{int(day)}{year}",
    }


def _short_spellings(date: str) -> set[str]:
    """With two digits of the year: as a number by itself it is a date, inside other digits it is chance."""
    year, month, day = date[2:4], date[4:6], date[6:]
    return {year + month + day, day + month + year, month + day + year}
