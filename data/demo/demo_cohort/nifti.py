"""NIfTI files as colleagues send them: names in text fields, an extension, the gzip header and the file name."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Extension

from .plan import Patient


def nifti_path(patient: Patient, folder: Path) -> Path:
    """Where the patient's NIfTI file goes; the name holds surname, id and the word T1."""
    person = patient.person
    suffix = ".nii" if person.number % 5 == 0 else ".nii.gz"
    return folder / "fuer_Statistik" / f"{person.surname}_{person.patient_id}_T1{suffix}"


def write_nifti(volume: np.ndarray, affine: np.ndarray, file: Path, patient: Patient) -> None:
    """Write the volume (stored values, RAS) with the patient in every corner that a NIfTI file has for text."""
    person = patient.person
    if person.number % 2:  # half of them stored from left to right, as many converters do
        volume, affine = volume[::-1], affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] -= affine[:3, 0] * (volume.shape[0] - 1)
    image = nib.Nifti1Image(volume.astype(np.int16), affine)
    image.set_qform(affine, code=1)
    image.header["descrip"] = f"{person.given} {person.surname} {person.birth:%Y-%m-%d}"[:79].encode("ascii")
    image.header["aux_file"] = person.patient_id.encode("ascii")
    image.header["db_name"] = person.accession.encode("ascii")
    image.header["intent_name"] = person.surname[:15].encode("ascii")
    image.header.extensions.append(Nifti1Extension("comment", f"{person.surname} {person.telephone}".encode("ascii")))
    content = image.to_bytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if file.suffix == ".nii" else _gzip(content, file.name.removesuffix(".gz")))


def write_mask(mask: np.ndarray, affine: np.ndarray, file: Path) -> None:
    """Write a lesion mask (uint8, RAS) without any name in it."""
    file.write_bytes(_gzip(nib.Nifti1Image(mask, affine).to_bytes(), ""))


def _gzip(content: bytes, name: str) -> bytes:
    """Compressed bytes with `name` in the gzip header and no time, so that they are the same in every run."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=4, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()
