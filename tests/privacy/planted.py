"""Planted identifiers: for each category one DICOM file that hides a token, made from pydicom's own CT slice."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

_NUMBERED = itertools.count(1)


class Planted(NamedTuple):
    """A category, the file that holds it, and the token as it must not be found (any encoding, any case)."""

    category: str
    content: bytes
    token: str


def carrier() -> Dataset:
    """A plain CT slice with a fresh set of UIDs per call."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    for element in ("PatientBirthDate", "StudyDate"):
        setattr(dataset, element, "20040119")
    dataset.SOPInstanceUID = f"1.3.6.1.4.1.99999.1.{next(_NUMBERED)}"
    return dataset


def saved(dataset: Dataset) -> bytes:
    target = DicomBytesIO()
    dataset.save_as(target, enforce_file_format=False)
    return target.getvalue()


def token(number: int) -> str:
    """Eleven letters and digits that occur nowhere else."""
    return f"QZX{number:04d}KWVJ"


_PN = ["PatientName", "OtherPatientNames", "PatientMotherBirthName", "PatientBirthName", "ReferringPhysicianName",
       "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "ResponsiblePerson"]  # fmt: skip
_ID = ["PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress", "StationName",
       "DeviceSerialNumber", "MedicalRecordLocator", "PatientAddress", "PatientTelephoneNumbers", "IssuerOfPatientID",
       "InstitutionalDepartmentName", "AdmissionID", "ServiceEpisodeID", "CurrentPatientLocation", "EthnicGroup", "Occupation",
       "ClinicalTrialSubjectID", "DetectorID", "PlateID"]  # fmt: skip
_TEXT = ["StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "PatientComments", "AdditionalPatientHistory",
         "RequestedProcedureDescription", "DerivationDescription", "AcquisitionComments", "VisitComments", "StudyComments",
         "FrameComments", "RetrieveURL", "ContentDescription", "DocumentTitle", "ReasonForStudy", "ManufacturerModelName",
         "SoftwareVersions", "ContrastBolusAgent", "PerformedProcedureStepDescription", "SequenceName", "ContentLabel"]  # fmt: skip
_KEPT = ["Modality", "ImageType", "PatientPosition", "Manufacturer", "ConvolutionKernel", "BodyPartExamined", "PatientSex",
         "RescaleType", "ScanOptions", "RotationDirection", "PatientOrientation", "Laterality",
        "PatientAge", "SequenceVariant"]  # fmt: skip
_NUMBERS = ["KVP", "SliceThickness", "WindowCenter", "ReconstructionDiameter", "ExposureTime", "InstanceNumber", "SeriesNumber",
            "AcquisitionNumber", "SliceLocation", "XRayTubeCurrent", "PatientWeight"]  # fmt: skip
_CHARSETS = {"ISO_IR 100": "Müllerin", "ISO_IR 192": "Łukaszewicz", "ISO_IR 144": "Людмилова", "ISO_IR 126": "Παπαδόπουλος",
             "GB18030": "王小东王小东", "ISO_IR 101": "Dvořákova", "ISO_IR 148": "Çelikoğlu", "ISO_IR 13": "ﾔﾏﾀﾞﾔﾏﾀﾞ"}  # fmt: skip


def planted() -> Iterator[Planted]:
    """All categories, in a fixed order."""
    number = 0

    def fresh() -> str:
        nonlocal number
        number += 1
        return token(number)

    for group, keywords in (("name", _PN), ("id", _ID), ("text", _TEXT), ("kept", _KEPT), ("number", _NUMBERS)):
        for keyword in keywords:
            hidden = fresh()
            dataset = carrier()
            _force(dataset, keyword, f"{hidden}^SECOND" if group == "name" else hidden)
            yield Planted(f"{group} {keyword}", saved(dataset), hidden)
    for charset, name in _CHARSETS.items():
        dataset = carrier()
        dataset.SpecificCharacterSet = charset
        dataset.PatientName = name
        dataset.PatientComments = name
        yield Planted(f"charset {charset}", saved(dataset), name)
    for make in (_dates, _uids, _nested, _unknown, _groups, _meta, _slack, _streams, _encodings, _objects):
        for category, content, hidden in make(fresh):
            yield Planted(category, content, hidden)


Made = Iterator[tuple[str, bytes, str]]


def _force(dataset: Dataset, keyword: str, value: str) -> None:
    """Write the value whatever the VR says: as raw bytes under the dictionary's VR."""
    tag = Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]
    raw = value.encode() + b" " * (len(value) % 2)
    dataset._dict[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, False, True)


def _dates(fresh: Callable[[], str]) -> Made:
    for keyword, value in (("StudyDate", "19470311"), ("SeriesDate", "19470312"), ("AcquisitionDate", "19470313"),
                           ("ContentDate", "19470314"), ("PatientBirthDate", "19470315"), ("AcquisitionDateTime", "19470316101112"),
                           ("DateOfLastCalibration", "19470317"), ("PatientAge", "097Y")):  # fmt: skip
        dataset = carrier()
        _force(dataset, keyword, value)
        yield f"date {keyword}", saved(dataset), value


def _uids(fresh: Callable[[], str]) -> Made:
    for place, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "DeviceUID",
                                     "InstanceCreatorUID", "IrradiationEventUID", "DimensionOrganizationUID")):  # fmt: skip
        hidden = f"1.3.6.1.4.1.55555.7.{place}.77777777"
        dataset = carrier()
        setattr(dataset, keyword, hidden)
        if keyword == "SOPInstanceUID":
            dataset.file_meta.MediaStorageSOPInstanceUID = hidden
        yield f"uid {keyword}", saved(dataset), hidden
    dataset = carrier()
    hidden = "1.3.6.1.4.1.55555.8.88888888"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, hidden
    dataset.ReferencedImageSequence = Sequence([item])
    yield "uid nested", saved(dataset), hidden


def _nested(fresh: Callable[[], str]) -> Made:
    """In sequences that go, and in sequences that stay, up to three deep, also private and of unknown VR."""
    for outer in (
        "RequestAttributesSequence",
        "ReferencedImageSequence",
        "SharedFunctionalGroupsSequence",
        "OtherPatientIDsSequence",
    ):
        for keyword in ("PatientName", "PatientID", "StudyDescription", "RetrieveURL"):
            for depth in (1, 3):
                hidden = fresh()
                inner = Dataset()
                _force(inner, keyword, hidden)
                for _ in range(depth - 1):
                    wrapped = Dataset()
                    wrapped.PixelMeasuresSequence = Sequence([inner])
                    inner = wrapped
                dataset = carrier()
                setattr(dataset, outer, Sequence([inner]))
                yield f"nested {outer} {keyword} {depth}", saved(dataset), hidden
    for tag, vr in ((0x00111001, "LO"), (0x00111002, "UN")):
        hidden = fresh()
        inner = Dataset()
        inner.add_new(0x00110010, "LO", "MAKER")
        inner.add_new(tag, vr, hidden.encode() + b" " if vr == "UN" else hidden)
        dataset = carrier()
        dataset.SharedFunctionalGroupsSequence = Sequence([inner])
        yield f"nested private {vr}", saved(dataset), hidden


def _unknown(fresh: Callable[[], str]) -> Made:
    for name, tag, vr in (("unknown even LO", 0x00220FFE, "LO"), ("unknown even UN", 0x00280FFE, "UN"), ("private LO", 0x00091001, "LO"),
                          ("private UN", 0x00091002, "UN"), ("private OB", 0x00091003, "OB"), ("private PN", 0x00091004, "PN"),
                          ("private UT", 0x00091005, "UT"), ("private high group", 0x7FE11001, "OB")):  # fmt: skip
        hidden = fresh()
        dataset = carrier()
        if tag >> 16 & 1:
            dataset.add_new(tag & 0xFFFF0000 | 0x0010, "LO", "MAKER")
        dataset.add_new(tag, vr, hidden.encode() + b" " if vr in ("UN", "OB") else hidden)
        yield name, saved(dataset), hidden
    for keyword in ("PatientName", "InstitutionName", "KVP", "ImageComments"):
        hidden = fresh()
        dataset = carrier()
        _force(dataset, keyword, hidden)
        tag = Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]
        dataset._dict[tag] = dataset._dict[tag]._replace(VR="UN")
        yield f"coded UN {keyword}", saved(dataset), hidden
    hidden = fresh()
    dataset = carrier()
    _force(dataset, "KVP", f"{hidden} creator name")
    yield "private creator in number", saved(dataset), hidden
    hidden = fresh()
    dataset = carrier()
    dataset.add_new(0x00190010, "LO", hidden)
    yield "private creator", saved(dataset), hidden


def _groups(fresh: Callable[[], str]) -> Made:
    for name, tag, vr in (("overlay data", 0x60003000, "OW"), ("overlay comments", 0x60004000, "LT"), ("overlay label", 0x60001500, "LO"),
                          ("overlay description", 0x60000022, "LO"), ("overlay high group", 0x601E3000, "OW"),
                          ("curve data", 0x50003000, "OW"), ("curve label", 0x50002500, "LO"), ("curve description", 0x50000022, "LO"),
                          ("data set trailing padding", 0xFFFCFFFC, "OB"), ("icon", 0x00880200, "SQ"),
                          ("digital signatures", 0xFFFAFFFA, "SQ")):  # fmt: skip
        hidden = fresh()
        dataset = carrier()
        if vr == "SQ":
            inner = Dataset()
            inner.add_new(0x7FE00010, "OB", hidden.encode() + b" ")
            dataset.add_new(tag, vr, Sequence([inner]))
        else:
            dataset.add_new(tag, vr, hidden.encode() + b" " if vr in ("OW", "OB") else hidden)
        yield name, saved(dataset), hidden


def _meta(fresh: Callable[[], str]) -> Made:
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle",
                    "ImplementationVersionName", "SourcePresentationAddress", "PrivateInformation"):  # fmt: skip
        hidden = fresh()
        dataset = carrier()
        meta: FileMetaDataset = dataset.file_meta
        if keyword == "PrivateInformation":
            meta.PrivateInformationCreatorUID = "1.2.3.4"
            meta.PrivateInformation = hidden.encode() + b" "
        else:
            setattr(meta, keyword, hidden)
        yield f"meta {keyword}", saved(dataset), hidden
    hidden = fresh()
    content = bytearray(saved(carrier()))
    content[:11] = hidden.encode()
    yield "preamble", bytes(content), hidden


def _slack(fresh: Callable[[], str]) -> Made:
    hidden = fresh()
    dataset = carrier()
    dataset.PixelData += hidden.encode() * 2
    yield "bytes after the last pixel", saved(dataset), hidden
    hidden = fresh()
    yield "bytes after the data set", saved(carrier()) + hidden.encode(), hidden
    hidden = fresh()
    dataset = carrier()
    pixels = np.frombuffer(dataset.PixelData, "<u2").copy() & 0x0FFF
    bits = np.unpackbits(np.frombuffer(hidden.encode(), np.uint8))
    pixels[: bits.size] |= bits.astype(np.uint16) << 12
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 12, 11, 0, pixels.tobytes()
    yield "bits above BitsStored", saved(dataset), hidden
    hidden = fresh()
    dataset = carrier()
    dataset.add_new(0x00281201, "OW", hidden.encode() + b" ")
    yield "palette without descriptor", saved(dataset), hidden


def _small() -> Dataset:
    dataset = carrier()
    dataset.remove_private_tags()
    return dataset


def _jpeg(extra_head: bytes, extra_tail: bytes) -> bytes:
    """A CT slice as 8-bit JPEG with segments put behind the start marker and bytes behind the end marker."""
    dataset = _small()
    grey = (
        (np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns) >> 4)
        .clip(0, 255)
        .astype(np.uint8)
    )
    target = io.BytesIO()
    Image.fromarray(grey).save(target, "JPEG", quality=90)
    stream = target.getvalue()
    stream = stream[:2] + extra_head + stream[2:] + extra_tail
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return saved(dataset)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _streams(fresh: Callable[[], str]) -> Made:
    for name, marker in (
        ("JPEG comment", 0xFE),
        ("JPEG EXIF", 0xE1),
        ("JPEG APP13", 0xED),
        ("JPEG APP0 thumbnail", 0xE0),
    ):
        hidden = fresh()
        yield name, _jpeg(_segment(marker, b"JFIF\0\1\1\0\0\1\0\1\1\1" + hidden.encode()), b""), hidden
    hidden = fresh()
    yield "JPEG after the end", _jpeg(b"", hidden.encode()), hidden
    for name, syntax in (("J2K", JPEG2000Lossless), ("JPEG-LS", JPEGLSLossless), ("RLE", RLELossless)):
        hidden = fresh()
        dataset = _small()
        dataset.compress(syntax, generate_instance_uid=False)
        stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
        if name == "J2K":  # a comment behind SIZ
            size = struct.unpack(">H", stream[4:6])[0]
            stream = stream[: 4 + size] + _segment(0x64, b"\0\1" + hidden.encode()) + stream[4 + size :]
        elif name == "JPEG-LS":
            stream = stream[:2] + _segment(0xE8, hidden.encode()) + stream[2:] + hidden.encode()
        else:
            stream += hidden.encode() + b" "
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        yield f"{name} comment or slack", saved(dataset), hidden
    hidden = fresh()
    dataset = _small()
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.ExtendedOffsetTable = hidden.encode() + b"     "
    yield "extended offset table", saved(dataset), hidden


def _encodings(fresh: Callable[[], str]) -> Made:
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian):
        hidden = fresh()
        dataset = carrier()
        dataset.remove_private_tags()
        dataset.PatientName = dataset.ImageComments = hidden
        plain = Dataset()
        for element in dataset:
            plain.add(element)
        plain.file_meta = dataset.file_meta
        plain.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            plain.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        target = DicomBytesIO()
        dcmwrite(target, plain, enforce_file_format=True)
        yield f"encoding {syntax.name}", target.getvalue(), hidden
    hidden = fresh()
    dataset = carrier()
    dataset.PatientName = hidden
    yield "no preamble, no meta", saved(dataset)[132 + 12 + dataset.file_meta.FileMetaInformationGroupLength :], hidden


def _objects(fresh: Callable[[], str]) -> Made:
    """Objects that are no images: they must be refused whole."""
    for name, sop_class in (("structured report", "1.2.840.10008.5.1.4.1.1.88.33"), ("PDF", "1.2.840.10008.5.1.4.1.1.104.1"),
                            ("presentation state", "1.2.840.10008.5.1.4.1.1.11.1"), ("ECG", "1.2.840.10008.5.1.4.1.1.9.1.1"),
                            ("RT structure set", "1.2.840.10008.5.1.4.1.1.481.3"), ("segmentation", "1.2.840.10008.5.1.4.1.1.66.4"),
                            ("private class", "1.2.3.4.5"), ("directory", "1.2.840.10008.1.3.10"),
                            ("secondary capture", "1.2.840.10008.5.1.4.1.1.7"), ("ultrasound", "1.2.840.10008.5.1.4.1.1.6.1")):  # fmt: skip
        hidden = fresh()
        dataset = carrier()
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.add(DataElement(0x0040A160, "UT", hidden))
        dataset.add(DataElement(0x00420011, "OB", hidden.encode() + b" "))
        yield f"object {name}", saved(dataset), hidden
