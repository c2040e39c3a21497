"""DICOM series whose voxel values encode their own position, so that a wrong geometry shows as a wrong number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def encode(x, y, z):
    """A number that differs from every neighbour's by much more than rounding: f of RAS millimetres."""
    return 1000 + 7 * x + 11 * y + 3 * z


def slice_at(position, *, axes=AXIAL, spacing=(2.0, 2.0), size=(12, 10), slope=1.0, intercept=0.0, number=1,
             series="1.2.3", patient="PAT001", signed=True, sop_class=CT, value=encode,
             **attributes) -> Dataset:  # fmt: skip
    """One image (rows, columns) = size at `position` (LPS mm); pixels = value(world position), through the rescale."""
    rows, columns = size
    row, column = np.array(axes, dtype=float)
    j, i = np.mgrid[:rows, :columns]
    place = np.array(position) + i[..., None] * spacing[1] * row + j[..., None] * spacing[0] * column
    real = value(-place[..., 0], -place[..., 1], place[..., 2])
    pixels = np.rint((real - intercept) / slope).astype("<i2" if signed else "<u2")
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{series}.9", series
    dataset.PatientID, dataset.PatientName, dataset.Modality = patient, f"Planted^{patient}", "CT"
    dataset.InstanceNumber = number
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, int(signed)
    dataset.ImagePositionPatient = [f"{v:.6f}" for v in position]
    dataset.ImageOrientationPatient = [f"{v:.9f}"[:16] for v in (*row, *column)]
    dataset.PixelSpacing, dataset.SliceThickness = list(spacing), 3.0
    dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.6f}", f"{intercept:.6f}"
    dataset.PixelData = pixels.tobytes()
    for name, item in attributes.items():
        setattr(dataset, name, item)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def series(count=8, *, step=3.0, axes=AXIAL, origin=(-20.0, 15.0, -7.0), shift=None, **slices) -> list[Dataset]:
    """`count` slices along the normal of `axes`; `shift(k)` moves slice k by so many mm (LPS)."""
    normal = np.cross(*np.array(axes))
    places = [np.array(origin) + k * step * normal + (0 if shift is None else shift(k)) for k in range(count)]
    return [slice_at(place, axes=axes, number=k + 1, **slices) for k, place in enumerate(places)]


def save(dataset: Dataset, path: Path) -> Path:
    """Write the data set as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = FileDataset(str(path), dataset, preamble=b"\0" * 128, file_meta=dataset.file_meta)
    file.save_as(path, enforce_file_format=True)
    return path
