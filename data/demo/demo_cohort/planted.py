"""Every identifier that the cohort holds, so that a test can look for each of them in everything scanprior writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import traps
from .header import ROOT, study_uid, uid
from .plan import SITES, Patient
from .seeds import digits

# folder names that say nothing, and that a program may well use itself
_GENERIC = re.compile(
    r"(\.|DICOM|CD|Befunde|export_2|Studie Kopf|fuer_Statistik|ST0+|[SP][EA]\d{6}|S?\d{1,4}|[0-9A-F]{2})"
)


class Planted(NamedTuple):
    """One identifier. `whole`: digits that chance can make, to be matched only where no digit or point touches them."""

    value: str
    kind: str
    whole: bool = False


def planted(patients: list[Patient], folder: Path) -> list[Planted]:
    """All identifiers of `patients` (good and broken) and their hospitals, and telling names under `folder`, sorted.

    Image UIDs are covered by their common root. Texts in pixels are the patients' names, dates and ids again.
    """
    found = {item for patient in patients for item in _of_patient(patient)}
    found |= set(_of_hospitals())
    found.add(Planted(ROOT, "uid root"))
    for path in folder.rglob("*"):
        for part in path.parent.relative_to(folder).parts:
            if not _GENERIC.fullmatch(part):
                found.add(Planted(part, "folder name"))
        # an image's file name holds the surname or the id, which are planted by themselves
        if path.is_file() and path.suffix in (".pdf", ".nii", ".gz"):
            found.add(Planted(path.name, "file name"))
    return sorted(found)


def _of_patient(patient: Patient) -> Iterator[Planted]:
    person = patient.person
    yield Planted(person.surname, "name")
    yield Planted(person.given, "name")
    yield Planted(person.patient_id, "patient id")
    yield Planted(person.patient_id[2:], "patient id, digits", whole=True)
    yield Planted(person.accession, "accession")
    yield Planted(person.accession[3:], "accession, digits", whole=True)
    yield Planted(person.telephone, "telephone")
    # in the three ways in which a program writes a date, whichever the file holds
    for day in (person.birth, person.study_time.date()):
        yield from (Planted(f"{day:{style}}", "date", whole=True) for style in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y"))
    if patient.nifti:
        return
    yield from (Planted(part, "name") for part in person.native or ())
    yield Planted(f"{digits(5, 'postcode', person.number)} Mohrunkenau", "address")
    yield Planted(f"{person.study_time:%Y%m%d%H%M%S}", "date and time", whole=True)
    yield Planted(str(study_uid(patient)), "study uid")
    yield Planted(str(uid("series", person.number, 4)), "series uid")
    yield Planted(str(uid("frame", person.number)), "frame uid")


def _of_hospitals() -> Iterator[Planted]:
    for site in SITES:
        yield Planted(site.institution, "institution")
        yield Planted(site.institution.split()[-1], "institution")
        yield Planted(site.department, "institution")
        yield Planted(site.address, "institution")
        yield Planted(site.station, "station")
        yield Planted(site.serial, "device serial number")
        for name in (*site.physicians, site.operator):
            yield from (Planted(part, "physician") for part in name.split("^"))
    yield Planted("QUELLMOOR RIS 3.1", "private creator")
    yield Planted(traps.CONTACT_MAIL, "contact")
    yield from (Planted(part, "contact") for part in traps.CONTACT.split("^"))
