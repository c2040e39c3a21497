"""Writing DICOM images: one header per series, geometry and pixels per image, in the transfer syntax of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from .geometry import Plane, sagittal
from .header import uid
from .plan import Patient
from .seeds import generator


def sagittal_planes(volume: np.ndarray, affine: np.ndarray, number: int) -> list[Plane]:
    """The slices of a volume in the order of the scan: from the left for some patients, from the right for others."""
    planes = [sagittal(volume, affine, index) for index in range(volume.shape[0])]
    return planes[::-1] if number % 2 else planes


def write_series(data: Dataset, planes: Sequence[Plane], files: Sequence[Path], patient: Patient) -> None:
    """Write one file per plane; the header `data` is reused, so that a series costs one header and its pixels."""
    number, series = patient.person.number, int(data.SeriesNumber)
    for instance, (plane, file) in enumerate(zip(planes, files, strict=True), start=1):
        data.SOPInstanceUID = uid("image", number, series, instance)
        data.InstanceNumber = instance
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        data.ImageOrientationPatient = plane.orientation
        data.ImagePositionPatient = [round(x, 6) for x in plane.position]
        data.PixelSpacing = [round(x, 6) for x in plane.spacing]
        data.SliceThickness = round(plane.spacing[0], 6)
        write_image(data, plane.pixels, file, patient.syntax)


def write_image(data: Dataset, pixels: np.ndarray, file: Path, syntax: UID) -> None:
    """Write grey `pixels` (uint16 with 12 bits, or uint8) under the header `data` in the transfer syntax `syntax`."""
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = 12 if data.BitsAllocated == 16 else 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = 0
    data["PixelData"] = pydicom.DataElement(0x7FE00010, "OW", pixels.tobytes())
    if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        data.file_meta.TransferSyntaxUID = syntax
    else:
        plugin = "gdcm" if syntax == RLELossless else ""
        data.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)


def paths(patient: Patient, folder: Path, count: int, *, series: int) -> list[Path]:
    """Where the `count` images of a series go: four habits of delivering, none of them helpful."""
    person = patient.person
    random = generator("file names", person.number, series)
    if patient.layout == "pacs":
        base = folder / "DICOM" / f"PA{person.number:06d}" / "ST000000" / f"SE{series:06d}"
        return [base / f"IM{rank:06d}" for rank in random.permutation(count)]
    if patient.layout == "hashed":
        study = _opaque(person.number, 1)
        base = folder / "export_2" / study[:2] / study / _opaque(person.number, series, 2)
        return [base / _opaque(person.number, series, rank, 3) for rank in random.permutation(count)]
    if patient.layout == "named":
        base = folder / "Studie Kopf" / f"{person.surname}, {person.given} {person.birth:%d.%m.%Y}" / f"{series:04d}"
        return [base / f"{person.surname}_{rank:04d}.dcm" for rank in range(count)]
    base = folder / "CD" / person.patient_id / person.accession / f"S{series}"
    return [base / f"{person.patient_id}-{rank + 1}.IMA" for rank in range(count)]


def _opaque(*names: int) -> str:
    return f"{int(generator('opaque', *names).integers(16**8)):08X}"
