"""Who is in the cohort: label, lesion, scanner, format and folder, balanced so that nothing gives the label away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from .people import Person, invent
from .seeds import generator

SYNTAXES = (ExplicitVRLittleEndian, JPEGLSLossless, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless)
LAYOUTS = ("pacs", "hashed", "named", "accession")


@dataclass(frozen=True)
class Site:
    """A hospital with one scanner; gain, tone and noise are what the scanner does to the same tissue."""

    code: str
    institution: str
    department: str
    address: str
    prefix: str
    physicians: tuple[str, ...]
    operator: str
    station: str
    serial: str
    manufacturer: str
    model: str
    tesla: float
    series: str
    localizer: str
    gain: float
    tone: float
    noise: float


SITES = (
    Site(
        code="A", institution="Klinikum Quellmoorhaven", department="Neuroradiologie Quellmoorhaven",
        address="Torfkanalufer 118, 27999 Quellmoorhaven", prefix="QM",
        physicians=("Drosselwimmer^Aurelindus", "Ockerstrandt^Philippandra"), operator="Tuchmantelberg^Ruprechtine",
        station="QMHMRT3A77", serial="QX7740183926", manufacturer="Nordlys Medical", model="Aurora 3T", tesla=3.0,
        series="T1_MPRAGE_SAG_ISO", localizer="AAScout_Localizer", gain=2.4, tone=1.0, noise=0.030,
    ),
    Site(
        code="B", institution="Sygehus Vrangelsundby", department="Radiologisk Vrangelsundby",
        address="Havnegyden 9, 9998 Vrangelsundby", prefix="VS",
        physicians=("Mikkelbrynjar^Sigismunde", "Fjordhammerlund^Ottokarine"), operator="Klippestrandsen^Valdemarius",
        station="VSBMRT1B42", serial="VB3390571248", manufacturer="Kestrel Imaging", model="Merlin 1.5", tesla=1.5,
        series="SAG T1 3D TFE", localizer="SURVEY 3-plane", gain=5.2, tone=0.85, noise=0.040,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """One virtual patient whose scan is good."""

    person: Person
    site: Site
    labelled: bool
    lesion: bool
    nifti: bool
    syntax: UID
    layout: str
    localizer: bool


def plan(count: int) -> list[Patient]:
    """`count` patients, 60 % labelled, half of each group with a lesion; in an order that tells nothing.

    Inside each of the four groups (labelled or not, lesion or not) patients come in pairs, one per scanner, and a pair
    shares format, syntax and localizer; labelled groups with and without lesion get the same sequence of pairs.
    """
    labelled = 2 * round(0.3 * count)
    groups = [(True, True, labelled // 2), (True, False, labelled // 2)]
    rest = count - labelled
    groups += [(False, True, rest // 2), (False, False, rest - rest // 2)]
    places = [(known, lesion, rank) for known, lesion, size in groups for rank in range(size)]
    numbers = generator("order", count).permutation(count)
    with_nifti = any(rank // 2 % 5 == 2 for *_, rank in places)
    patients = []
    for place, (known, lesion, rank) in enumerate(places):
        pair = rank // 2
        nifti = pair % 5 == 2 if with_nifti else place == count - 1
        patients.append(_patient(int(numbers[place]), known, lesion, rank, nifti))
    return sorted(patients, key=lambda patient: patient.person.number)


def extra(count: int, number: int, *, nifti: bool) -> Patient:
    """Additional patient `number` (from 0), not among the `count` good ones: the carrier of a broken series.

    Uncompressed, because a file that is cut then still reads, only with fewer pixels than it promises.
    """
    patient = _patient(count + number, known=False, lesion=False, rank=number, nifti=nifti)
    return replace(patient, syntax=ExplicitVRLittleEndian)


def _patient(number: int, known: bool, lesion: bool, rank: int, nifti: bool) -> Patient:
    site, pair = SITES[rank % 2], rank // 2
    # one patient is older than 89, because a rule of its own holds for them (HIPAA 164.514(b)(2)(i)(C))
    age = 93 if number == 0 else int(generator("age", number).integers(19, 86))
    return Patient(
        person=invent(number, prefix=site.prefix, age=age),
        site=site,
        labelled=known,
        lesion=lesion,
        nifti=nifti,
        syntax=SYNTAXES[(pair + (0 if known else 2 - lesion)) % len(SYNTAXES)],
        layout=LAYOUTS[rank % len(LAYOUTS)],
        localizer=pair % 3 == 0,
    )
