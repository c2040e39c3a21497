"""What the header of a DICOM file says about patient, series and scanner, read with only the tags that are needed."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from scanprior.scans import pixels, slices
from scanprior.scans.elements import text
from scanprior.scans.refused import Refused
from scanprior.scans.slices import Slice, slice_of

# Classes of which every object should be a slice of a volume (PS3.4 B.5): CT, MR and PET, legacy and enhanced.
VOLUME_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128",
                  "1.2.840.10008.5.1.4.1.1.130")  # fmt: skip
HEADER = ("SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName",
          "PatientBirthDate", "PatientSex", "PatientAge", "Modality", "SeriesDescription", "ProtocolName", "StudyDate",
          "SeriesDate", "AcquisitionDate", "Manufacturer", "ManufacturerModelName", "StationName")  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Header:
    """One DICOM image file. Everything but `slice` is private until coded."""

    path: Path
    slice: Slice
    instance: str
    study: str
    series: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    age: int | None
    modality: str
    description: str
    study_date: str
    scanner: str


def read_header(path: Path) -> Header:
    """Read what HEADER and `slices.TAGS` name; call it within `quiet()`.

    Raises:
        Refused: not-dicom, truncated, or not-an-image (reports, plans, directories: objects without pixels).
    """
    dataset = _read(path, (*HEADER, *slices.TAGS), pixels_too=False)
    sop_class = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    if not text(dataset, "SeriesInstanceUID"):
        if sop_class.startswith(VOLUME_CLASSES):
            raise Refused("truncated", "the file ends inside its header")
        raise Refused("not-an-image", "a DICOM object that belongs to no series (a directory or a damaged file)")
    place = slice_of(dataset)
    if not place.rows and not sop_class.startswith(VOLUME_CLASSES):
        raise Refused("not-an-image", "a DICOM object without pixels (a report, plan, document or waveform)")
    date = next(
        (d for name in ("StudyDate", "SeriesDate", "AcquisitionDate") if len(d := text(dataset, name)) == 8), ""
    )
    return Header(
        path=path,
        slice=place,
        instance=text(dataset, "SOPInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        birth_date=text(dataset, "PatientBirthDate"),
        sex=text(dataset, "PatientSex").upper()[:1],
        age=age_in_years(text(dataset, "PatientAge"), text(dataset, "PatientBirthDate"), date),
        modality=text(dataset, "Modality"),
        description=" ".join(part for name in ("SeriesDescription", "ProtocolName") if (part := text(dataset, name))),
        study_date=date if date.isdigit() else "",
        scanner="\\".join(text(dataset, name) for name in ("Manufacturer", "ManufacturerModelName", "StationName")),
    )


def read_images(paths: Sequence[Path]) -> list[Dataset]:
    """Read the files of one series with all that `series.assemble` needs."""
    return [_read(path, (*slices.TAGS, *pixels.TAGS), pixels_too=True) for path in paths]


def age_in_years(age: str, birth_date: str, date: str) -> int | None:
    """Whole years from an age string (PS3.5 VR AS: 045Y, 018M, 003W, 010D), else from birth date and study date."""
    if len(age) == 4 and age[:3].isdigit() and age[3] in "YMWD":
        return int(int(age[:3]) / {"Y": 1, "M": 12, "W": 52.1775, "D": 365.25}[age[3]])
    if len(birth_date) == 8 and birth_date.isdigit() and len(date) == 8 and date.isdigit():
        years = int(date[:4]) - int(birth_date[:4]) - (date[4:] < birth_date[4:])
        return years if 0 <= years <= 130 else None
    return None


def _read(path: Path, names: Sequence[str], *, pixels_too: bool) -> FileDataset:
    tags = [Tag(tag) for name in names if (tag := tag_for_keyword(name)) is not None]
    try:
        # With the pixels the whole file is read anyway; from memory pydicom parses it a quarter faster.
        file = io.BytesIO(path.read_bytes()) if pixels_too else path
        return dcmread(file, specific_tags=tags, stop_before_pixels=not pixels_too, force=True)
    except OSError as error:
        raise Refused("unreadable", f"the file can't be opened ({error.strerror})") from None
    except (InvalidDicomError, EOFError):
        raise Refused("truncated", "the file ends in the middle of an element") from None
    except Exception:  # noqa: BLE001
        # pydicom raises what its parser stumbles over (struct.error, KeyError, ValueError …) on damaged files.
        raise Refused("not-dicom", "the file starts like DICOM and can't be parsed as such") from None


@contextmanager
def quiet() -> Generator[None]:
    """Keep pydicom's warnings from the terminal, around all reading: they quote the values that they warn of."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
