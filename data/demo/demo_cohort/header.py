"""The DICOM header as hospitals fill it: standard places, free text, nested sequences and private tags."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, MRImageStorage

from .plan import Patient
from .seeds import digits

# pydicom's own prefix and an invented arc of it: no UID of the demo can be mistaken for one of a real scanner
ROOT = "1.2.826.0.1.3680043.8.498.61802273"


def uid(*names: str | int) -> UID:
    """The UID that follows from `names`; all of the cohort's start with ROOT."""
    return UID(f"{ROOT}.{digits(26, 'uid', *names)}")


def study_uid(patient: Patient) -> UID:
    """The UID of the patient's study, which holds the digits of the patient id as some consoles write it."""
    return UID(f"{ROOT}.{patient.person.patient_id[2:]}.{digits(12, 'study', patient.person.number)}")


def header(patient: Patient, *, series: str, series_number: int, sop_class: UID = MRImageStorage) -> Dataset:
    """Everything that is the same in all images of one series; geometry and pixels are added per image."""
    person, site = patient.person, patient.site
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.SourceApplicationEntityTitle = site.station
    data.SpecificCharacterSet = person.character_set
    data.SOPClassUID = sop_class
    data.Modality = "MR"
    data.Manufacturer = site.manufacturer
    data.ManufacturerModelName = site.model
    data.StudyInstanceUID = study_uid(patient)
    data.SeriesInstanceUID = uid("series", person.number, series_number)
    data.FrameOfReferenceUID = uid("frame", person.number)
    data.SeriesNumber = series_number
    data.SeriesDescription = series
    data.ProtocolName = series
    data.BodyPartExamined = "HEAD"
    data.PatientPosition = "HFS"
    data.MagneticFieldStrength = site.tesla
    data.SoftwareVersions = "7.2"
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "GR", "SP", "", "3D"
    data.RepetitionTime, data.EchoTime, data.FlipAngle = "2300", "2.98", "9"
    _person(data, patient)
    _hospital(data, patient)
    _free_text(data, patient)
    _private(data, patient)
    return data


def _person(data: Dataset, patient: Patient) -> None:
    person = patient.person
    data.PatientName = person.name
    data.PatientID = person.patient_id
    data.PatientBirthDate = f"{person.birth:%Y%m%d}"
    data.PatientSex = person.sex
    data.PatientAge = f"{person.age:03d}Y"
    data.PatientWeight = "71.5"
    data.PatientAddress = person.address
    data.PatientTelephoneNumbers = person.telephone
    data.OtherPatientNames = f"{person.surname}^{person.given}"
    other = Dataset()
    other.PatientID = f"ALT-{person.patient_id}"
    other.TypeOfPatientID = "TEXT"
    data.OtherPatientIDsSequence = Sequence([other])


def _hospital(data: Dataset, patient: Patient) -> None:
    person, site = patient.person, patient.site
    when = person.study_time
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = f"{when:%Y%m%d}"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = f"{when:%H%M%S}"
    data.AcquisitionDateTime = f"{when:%Y%m%d%H%M%S}"
    data.AccessionNumber = person.accession
    data.StudyID = f"ST{person.accession[3:]}"
    data.InstitutionName = site.institution
    data.InstitutionalDepartmentName = site.department
    data.InstitutionAddress = site.address
    data.ReferringPhysicianName = site.physicians[person.number % 2]
    data.PerformingPhysicianName = site.physicians[(person.number + 1) % 2]
    data.OperatorsName = site.operator
    data.StationName = site.station
    data.DeviceSerialNumber = site.serial
    request = Dataset()
    request.RequestedProcedureID = f"RP{person.accession[3:]}"
    request.RequestedProcedureDescription = f"MRT Kopf {person.surname}"
    request.ScheduledProcedureStepDescription = "Kopf nativ"
    data.RequestAttributesSequence = Sequence([request])


def _free_text(data: Dataset, patient: Patient) -> None:
    person = patient.person
    data.StudyDescription = f"MRT Kopf {person.surname}" if person.number % 4 == 0 else "MRT Kopf nativ"
    data.ImageComments = f"{person.given} {person.surname} *{person.birth:%d.%m.%Y}, unruhig"
    data.PatientComments = f"Angehoerige bitte unter {person.telephone} anrufen"
    data.AdditionalPatientHistory = f"Verlaufskontrolle, Vorbefund zu {person.patient_id}"
    data.PerformedProcedureStepDescription = f"{person.accession} {person.given}"
    data.RequestingPhysician = patient.site.physicians[person.number % 2]


def _private(data: Dataset, patient: Patient) -> None:
    person = patient.person
    ris = data.private_block(0x0009, "QUELLMOOR RIS 3.1", create=True)
    ris.add_new(0x01, "LO", f"{person.surname} {person.given}")
    ris.add_new(0x02, "UN", f"FALL={person.patient_id};GEB={person.birth:%d%m%Y}".encode().ljust(40))
    console = data.private_block(0x0029, "CONSOLE EXPORT", create=True)
    text = f"<pn>{person.surname}</pn><acc>{person.accession}</acc>"
    console.add_new(0x10, "OB", b"\x00\x01" + text.encode() + b"\x00\x00")
    inner = Dataset()
    inner.private_block(0x0011, "CONSOLE NESTED", create=True).add_new(0x05, "LT", f"{person.given} {person.telephone}")
    inner.PatientID = person.patient_id
    console.add_new(0x11, "SQ", Sequence([inner]))
