"""What else lies on a hospital's export: broken series, pictures of text, reports, an index with names in it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, SecondaryCaptureImageStorage

from . import dicom, nifti
from .geometry import Plane, axial, coronal, sagittal
from .header import header, uid
from .plan import Patient

CONTACT = "Kwiatensturm^Leopoldinka"
CONTACT_MAIL = "leopoldinka.kwiatensturm@quellmoorhaven.example"


def write_localizer(volume: np.ndarray, affine: np.ndarray, folder: Path, patient: Patient) -> None:
    """A series of three crossing planes, which is no volume and must not be taken for the scan."""
    middle = [size // 2 for size in volume.shape]
    planes = [plane(volume, affine, index) for plane, index in zip((sagittal, coronal, axial), middle, strict=True)]
    data = header(patient, series=patient.site.localizer, series_number=1)
    dicom.write_series(data, planes, dicom.paths(patient, folder, len(planes), series=1), patient)


def write_screenshot(plane: Plane, folder: Path, patient: Patient, *, series: str, series_number: int) -> None:
    """A secondary capture whose pixels show the patient's name, birth date and id in white letters."""
    person, site = patient.person, patient.site
    grey = (plane.pixels * (200.0 / max(1, int(plane.pixels.max())))).astype(np.uint8)
    picture = Image.fromarray(grey).resize((512, 512), Image.Resampling.BILINEAR)
    font = ImageFont.load_default(size=20)
    lines = [f"{person.surname}, {person.given}", f"{person.birth:%d.%m.%Y}   {person.patient_id}", site.institution]
    ImageDraw.Draw(picture).multiline_text((12, 10), "\n".join(lines), fill=255, font=font, spacing=6)
    data = header(patient, series=series, series_number=series_number, sop_class=SecondaryCaptureImageStorage)
    data.ConversionType = "WSD"
    data.SOPInstanceUID = uid("image", person.number, series_number, 1)
    data.InstanceNumber = 1
    data.ImageType = ["DERIVED", "SECONDARY"]
    file = dicom.paths(patient, folder, 1, series=series_number)[0]
    dicom.write_image(data, np.asarray(picture), file, ExplicitVRLittleEndian)


def truncate(file: Path) -> None:
    """Cut a file in the middle of its pixels, as a full disk or a broken transfer does."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 4 // 5])


def write_broken_series(volume: np.ndarray, affine: np.ndarray, folder: Path, patient: Patient, *, kind: str) -> None:
    """An additional patient's scan, broken: `missing-slice`, `duplicate-slice`, `truncated` or `truncated-nifti`."""
    if kind == "truncated-nifti":
        file = nifti.nifti_path(patient, folder)
        nifti.write_nifti(volume, affine, file, patient)
        truncate(file)
        return
    planes = dicom.sagittal_planes(volume, affine, patient.person.number)
    middle = len(planes) // 2
    if kind == "missing-slice":
        del planes[middle]
    if kind == "duplicate-slice":
        planes.insert(middle, planes[middle])
    files = dicom.paths(patient, folder, len(planes), series=4)
    dicom.write_series(header(patient, series=patient.site.series, series_number=4), planes, files, patient)
    if kind == "truncated":
        truncate(files[middle])


def write_report(folder: Path, patient: Patient) -> None:
    """A stray PDF (PDF 1.4, one page) whose text and file name hold the patient's name."""
    person = patient.person
    text = f"Befund {person.surname}, {person.given}, geb. {person.birth:%d.%m.%Y}, "
    text += f"{person.patient_id}, {person.accession}"
    page = f"BT /F1 12 Tf 50 780 Td ({text}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(page)} >>\nstream\n{page}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    content, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n"
    start, table = len(content), "".join(f"{place:010d} 00000 n \n" for place in places)
    content += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + table
    content += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    file = folder / "Befunde" / f"Befund_{person.surname}_{person.given}.pdf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode("ascii"))


def write_readme(folder: Path) -> None:
    """The covering note of the hospital's IT, with a contact in it."""
    text = f"""
        Export aus dem PACS fuer das Forschungsprojekt (T1 Kopf, sagittal).
        labels.csv: Diagnosen, soweit gesichtet. subjects.csv: welche NIfTI-Datei zu wem gehoert.
        Rueckfragen: {CONTACT.replace("^", ", ")}, {CONTACT_MAIL}
        """
    (folder / "README.txt").write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def write_dicomdir(folder: Path, patients: list[Patient]) -> None:
    """A DICOMDIR (PS3.3 F.3) whose patient records name everybody in the PACS export; it holds no image."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    data.file_meta.MediaStorageSOPInstanceUID = uid("dicomdir")
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.FileSetID = "QUELLMOOR"
    data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    data.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    data.FileSetConsistencyFlag = 0
    data.DirectoryRecordSequence = Sequence([_record(patient) for patient in patients])
    file = folder / "DICOM" / "DICOMDIR"
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)


def _record(patient: Patient) -> Dataset:
    record = Dataset()
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = 0xFFFF
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = "PATIENT"
    record.SpecificCharacterSet = patient.person.character_set
    record.PatientName = patient.person.name
    record.PatientID = patient.person.patient_id
    return record
