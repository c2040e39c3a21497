"""What one patient leaves in the hospital's folder: a series, a NIfTI file, a localizer, a screenshot, a trap."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from . import dicom, nifti, traps
from .anatomy import Array, Head, grow, load_template
from .header import header
from .plan import Patient
from .scanner import acquire

SERIES = 4

_template = cache(load_template)


def deliver(
    raw: Path,
    known: Path,
    spacing_mm: float,
    patient: Patient,
    *,
    screenshot: bool = False,
    trap: str | None = None,
) -> None:
    """Write all files of one patient: the scan, or the `trap` that came in its place."""
    number = patient.person.number
    head = grow(_template(), number, lesion=patient.lesion, spacing_mm=spacing_mm)
    volume = acquire(head.tissue, patient.site, number, spacing_mm=spacing_mm)
    middle = dicom.sagittal_planes(volume, head.affine, 0)[volume.shape[0] // 2]
    if trap == "screenshot":  # nothing else came, and under the name of the scan
        traps.write_screenshot(middle, raw, patient, series=patient.site.series, series_number=SERIES)
    elif trap:
        traps.write_broken_series(volume, head.affine, raw, patient, kind=trap)
    else:
        _write_scan(volume, head, raw, patient)
    if patient.lesion:
        nifti.write_mask(head.lesion, head.affine, known / f"{patient.person.patient_id}.nii.gz")
    if screenshot:
        traps.write_screenshot(middle, raw, patient, series="Screen Save", series_number=99)


def _write_scan(volume: Array, head: Head, raw: Path, patient: Patient) -> None:
    if patient.nifti:
        nifti.write_nifti(volume, head.affine, nifti.nifti_path(patient, raw), patient)
        return
    planes = dicom.sagittal_planes(volume, head.affine, patient.person.number)
    files = dicom.paths(patient, raw, len(planes), series=SERIES)
    dicom.write_series(header(patient, series=patient.site.series, series_number=SERIES), planes, files, patient)
    if patient.localizer:
        traps.write_localizer(volume, head.affine, raw, patient)
