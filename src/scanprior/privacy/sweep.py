"""Known-value sweep: what the original header said of the person is searched for in every text value that stayed.

The allow-list leaves codes, numbers and imaging words; this second line finds the id that was typed into a number
and the family name that is also an imaging word. Titles and imaging words of an institution's name do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pydicom.dataset import Dataset

from scanprior.privacy import vocabulary
from scanprior.privacy.encode import Element, Elements
from scanprior.privacy.header import METHOD, METHOD_CODES, PATIENT_ID, PATIENT_NAME
from scanprior.privacy.refused import Refused

# Names and ids, and the places and people around the patient; read at the top level, where every maker writes them.
PERSON = ("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
          "PatientBirthDate", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "PatientAddress", "MedicalRecordLocator",
          "MilitaryRank", "IssuerOfPatientID", "ResponsiblePerson", "ClinicalTrialSubjectID", "AdmissionID")  # fmt: skip
AROUND = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "ReferringPhysicianName", "OperatorsName",
          "PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "RequestingPhysician", "StationName",
          "DeviceSerialNumber", "ResponsibleOrganization")  # fmt: skip
_TITLES = vocabulary.terms("mr mrs ms dr prof md phd jr sr von van de der den di del la le el al bin ben the of and")
_TEXT = frozenset(("CS", "LO", "SH", "ST", "LT", "UT", "DS", "IS", "AS"))
# Written by this program, or holding values of two letters that a name may share by chance.
_OWN = frozenset((PATIENT_NAME, PATIENT_ID, METHOD, METHOD_CODES, 0x00120062, 0x00280303, 0x00280302))
_ESSENTIAL = frozenset((0x00080060, 0x00280004, 0x00280030, 0x00200032, 0x00200037, 0x00281052, 0x00281053, 0x00280008))


class Known(NamedTuple):
    """What must not be found: single words (lower case, letters or digits) and ids squeezed to letters and digits."""

    words: frozenset[str]
    ids: frozenset[str]


def known_values(dataset: Dataset) -> Known:
    """Collect from the original header the person's name parts, ids and birth date in its usual spellings, and who
    and where."""
    return known_texts((keyword, text) for keyword in (*PERSON, *AROUND) for text in _values(dataset, keyword))


def known_texts(pairs: Iterable[tuple[str, str]]) -> Known:
    """The same from pairs of keyword and text, as sidecars hold them; keywords of `PERSON` and `AROUND` only."""
    words: set[str] = set()
    ids: set[str] = set()
    for keyword, text in pairs:
        parts = [part for part in _split(text) if part not in _TITLES]
        if keyword in AROUND:
            parts = [part for part in parts if part not in vocabulary.WORDS and len(part) > 3]
        words.update(part for part in parts if len(part) > 1)
        squeezed = "".join(parts)
        if any(c.isdigit() for c in squeezed) and len(squeezed) > 4:
            ids.add(squeezed)
        if keyword == "PatientBirthDate" and re.fullmatch(r"\d{8}", squeezed):
            ids.update(_spellings(squeezed))
    return Known(frozenset(words), frozenset(ids))


def sweep(kept: Elements, known: Known, actions: Counter[str]) -> None:
    """Remove from `kept` every text value that holds a known value; counts them as "swept".

    Raises:
        Refused: the value is one that the image cannot do without.
    """
    for tag in [tag for tag, element in kept.items() if tag not in _OWN and _hit(element, known, actions)]:
        if tag in _ESSENTIAL:
            raise Refused("known-value", "a value of the patient's header stands in an attribute that the image needs")
        del kept[tag]
        actions["swept"] += 1


def found_in(text: str, known: Known) -> bool:
    """Whether a text (a file name, a sidecar's value) holds a known word or id."""
    words = _split(text)
    squeezed = "".join(words)
    return any(word in known.words for word in words if len(word) > 2) or any(found in squeezed for found in known.ids)


def _hit(element: Element, known: Known, actions: Counter[str]) -> bool:
    vr, value = element
    if isinstance(value, list):
        for item in value:
            sweep(item, known, actions)
        return False
    if vr not in _TEXT or not isinstance(value, bytes):
        return False
    text = value.decode("ascii", "replace")
    if vr in ("DS", "IS", "AS"):
        # A short number is found in any list of numbers by chance; six digits typed into one are an id or a date.
        numbers = {part.strip() for part in text.split("\\")}
        return any(len(part) > 5 and (part in known.words or part in known.ids) for part in numbers)
    shortest = 4 if vr == "CS" else 2
    words = _split(text)
    if any(len(word) >= shortest and word in known.words for word in words):
        return True
    squeezed = "".join(words)
    return any(found in squeezed for found in known.ids)


def _values(dataset: Dataset, keyword: str) -> Iterable[str]:
    if keyword not in dataset:
        return ()
    try:
        value = dataset[keyword].value
    except (ValueError, TypeError, AttributeError, NotImplementedError, KeyError, LookupError, UnicodeError):
        return ()
    if value is None:
        return ()
    return (
        [str(part) for part in value]
        if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
        else [str(value)]
    )


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
    } - {""}
