"""Which attributes may stay and how each value is checked: an allow-list first, PS3.15 Table E.1-1 as the second
line.

A block list cannot win: of pydicom's 753 text attributes 476 are not in the standard's table. So an attribute
stays only if the allow-list names it, its value passes the check of its kind, and the table with the profile's
options does not object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from scanprior.errors import ConfigError
from scanprior.privacy import vocabulary as v

Kind = Literal["number", "binary", "code", "image-type", "vendor", "words", "kernel", "class", "uid", "age", "date", "time",
               "datetime", "sequence", "table"]  # fmt: skip

PROFILES: dict[str, tuple[str, ...]] = {
    "basic": (),
    "research": ("retain_patient_characteristics", "retain_long_modified_dates", "clean_descriptors"),
}
# What --option may add; the others of the standard are refused: they would keep what this tool never keeps.
OPTIONS = ("retain_patient_characteristics", "retain_long_modified_dates", "clean_descriptors")

_BODY = v.BODY_PARTS_HEAD | v.BODY_PARTS_OTHER

# kind, the keywords of that kind; codes give their values beside them. Keeping geometry, intensity and physics.
_PLAIN: dict[Kind, str] = {
    "class": "SOPClassUID ReferencedSOPClassUID",
    "uid": "SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID ReferencedSOPInstanceUID "
    "SynchronizationFrameOfReferenceUID DimensionOrganizationUID ConcatenationUID SOPInstanceUIDOfConcatenationSource",
    "number": "PixelSpacing ImagerPixelSpacing SliceThickness SpacingBetweenSlices ImagePositionPatient ImageOrientationPatient "
    "SliceLocation RescaleSlope RescaleIntercept WindowCenter WindowWidth KVP GantryDetectorTilt ReconstructionDiameter "
    "DataCollectionDiameter TableHeight ExposureTime XRayTubeCurrent Exposure RepetitionTime EchoTime InversionTime FlipAngle "
    "MagneticFieldStrength ImagingFrequency NumberOfAverages PercentSampling PercentPhaseFieldOfView PixelBandwidth "
    "LossyImageCompressionRatio DecayFactor DoseCalibrationFactor FrameReferenceTime RadionuclideTotalDose RadionuclideHalfLife "
    "ActualFrameDuration PatientSize PatientWeight InstanceNumber SeriesNumber AcquisitionNumber NumberOfFrames EchoNumbers "
    "EchoTrainLength TemporalPositionIdentifier "
    "NumberOfTemporalPositions TriggerTime NumberOfPhaseEncodingSteps",
    "binary": "Rows Columns SamplesPerPixel PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation "
    "PixelPaddingValue PixelPaddingRangeLimit AcquisitionMatrix NumberOfSlices ImageIndex InConcatenationNumber "
    "InConcatenationTotalNumber DimensionIndexValues InStackPositionNumber TemporalPositionIndex "
    "DimensionIndexPointer FunctionalGroupPointer EffectiveEchoTime DiffusionBValue DiffusionGradientOrientation "
    "RealWorldValueSlope RealWorldValueIntercept NumberOfEnergyWindows NumberOfDetectors NumberOfRotations",
    "date": "StudyDate SeriesDate AcquisitionDate ContentDate",
    "time": "StudyTime SeriesTime AcquisitionTime ContentTime",
    "datetime": "AcquisitionDateTime FrameAcquisitionDateTime FrameReferenceDateTime",
    "age": "PatientAge",
    "vendor": "Manufacturer",
    "kernel": "ConvolutionKernel",
    "words": "StudyDescription SeriesDescription ProtocolName",
    "image-type": "ImageType FrameType",
    "table": "LUTDescriptor LUTData RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor "
    "BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData "
    "BluePaletteColorLookupTableData",
    "sequence": "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence "
    "PlaneOrientationSequence PixelValueTransformationSequence FrameVOILUTSequence FrameContentSequence MRImageFrameTypeSequence "
    "CTImageFrameTypeSequence PETFrameTypeSequence MREchoSequence MRDiffusionSequence DiffusionGradientDirectionSequence "
    "MRTimingAndRelatedParametersSequence UnassignedSharedConvertedAttributesSequence UnassignedPerFrameConvertedAttributesSequence "
    "DimensionOrganizationSequence DimensionIndexSequence ModalityLUTSequence RadiopharmaceuticalInformationSequence "
    "ReferencedImageSequence SourceImageSequence RealWorldValueMappingSequence ConversionSourceAttributesSequence",
}
_CODES: dict[str, frozenset[str]] = {
    "Modality": v.MODALITIES,
    "PhotometricInterpretation": v.PHOTOMETRIC,
    "PatientPosition": v.terms("HFP HFS HFDR HFDL FFDR FFDL FFP FFS LFP LFS RFP RFS AFDR AFDL PFDR PFDL"),
    "PatientOrientation": v.terms(
        "L R A P H F LA LP RA RP LH LF RH RF AH AF PH PF AL AR PL PR HL HR HA HP FL FR FA FP"
    ),
    "PatientSex": frozenset("MFO"),
    "BodyPartExamined": _BODY,
    "Laterality": frozenset("LRUB"),
    "ImageLaterality": frozenset("LRUB"),
    "ScanningSequence": v.terms("SE IR GR EP RM"),
    "SequenceVariant": v.terms("SK MTC SS TRSS SP MP OSP NONE"),
    "ScanOptions": v.terms("PER RG CG PPG FC PFF PFP SP FS CT HELICAL AXIAL SCOUT CINE WS DB")
    | {"HELICAL MODE", "AXIAL MODE"},
    "MRAcquisitionType": frozenset(("1D", "2D", "3D")),
    "LossyImageCompression": frozenset(("00", "01")),
    "LossyImageCompressionMethod": v.terms("ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_13818_2 ISO_14496_10"),
    "RescaleType": v.RESCALE_TYPES,
    "ModalityLUTType": v.RESCALE_TYPES,
    "Units": v.UNITS,
    "DecayCorrection": v.terms("NONE START ADMIN"),
    "CorrectedImage": v.terms("DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM NRGY FLOOD UNIF MOT"),
    "AcquisitionType": v.terms("SEQUENCED SPIRAL CONSTANT_ANGLE STATIONARY FREE"),
    "RotationDirection": frozenset(("CW", "CC")),
    "InPlanePhaseEncodingDirection": v.terms("ROW COL COLUMN OTHER"),
    "PresentationLUTShape": v.terms("IDENTITY INVERSE"),
    "VolumetricProperties": v.terms("VOLUME SAMPLED DISTORTED MIXED"),
    "DiffusionDirectionality": v.terms("DIRECTIONAL BMATRIX ISOTROPIC NONE"),
    "PixelPresentation": v.terms("COLOR MONOCHROME MIXED TRUE_COLOR"),
    "ComplexImageComponent": v.terms("MAGNITUDE PHASE REAL IMAGINARY MIXED"),
    "DimensionOrganizationType": v.terms("3D 3D_TEMPORAL TILED_FULL TILED_SPARSE"),
    "SeriesType": v.terms("STATIC DYNAMIC GATED IMAGE REPROJECTION") | {"WHOLE BODY"},
    "FieldOfViewShape": v.terms("CYLINDRICAL RING HEXAGONAL RECTANGLE ROUND") | {"CYLINDRICAL RING"},
}


class Rule(NamedTuple):
    """How one attribute is treated: its VR, the check of its kind, the values allowed, and how many values it may
    hold."""

    vr: str
    kind: Kind
    values: frozenset[str] | None
    most: int  # 0: any number


class Row(NamedTuple):
    """One row of Table E.1-1."""

    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Profile:
    """A confidentiality profile: its options and, per tag, the rule of what may stay; whatever has no rule goes."""

    name: str
    options: tuple[str, ...]
    rules: Mapping[int, Rule]

    def codes(self, *performed: str) -> set[str]:
        """The CID 7050 codes of the profile, its options and what else was `performed` (named as in Table E.1-1)."""
        known: dict[str, list[str]] = _table()["options"]
        return {known[name][0] for name in ("basic", *self.options, *performed)}


@cache
def profile(name: str, options: tuple[str, ...] = ()) -> Profile:
    """Return the profile `basic` or `research` with further options of the standard, e.g. clean_descriptors."""
    if name not in PROFILES:
        raise ConfigError(f"there is no profile {name!r}", hint=f"allowed: {', '.join(PROFILES)}")
    wanted = [option.lower().replace("-", "_") for option in options]
    for option in wanted:
        if option not in OPTIONS:
            raise ConfigError(f"the option {option!r} is not offered", hint=f"allowed: {', '.join(OPTIONS)}")
    active = tuple(dict.fromkeys((*PROFILES[name], *wanted)))
    kept = {tag: rule for tag, rule in allow_list().items() if _agreed(tag, rule, active)}
    return Profile(name, active, kept)


@cache
def allow_list() -> dict[int, Rule]:
    """Tag → rule of everything that may stay at all, before the table has its say."""
    rules = {_tag(word): _rule(word, kind, None) for kind, text in _PLAIN.items() for word in text.split()}
    rules |= {_tag(word): _rule(word, "code", values) for word, values in _CODES.items()}
    return rules


@cache
def rows() -> dict[str, Row]:
    """Table E.1-1 by tag in eight lower-case hex digits ("x" = any digit, "ggggeeee" = private)."""
    return {row[0].lower(): Row(row[1], row[2] if len(row) > 2 else {}) for row in _table()["rows"]}


def row_of(tag: int) -> Row | None:
    """The row of the table that speaks of `tag`, or None where the standard says nothing."""
    text = f"{tag:08x}"
    if tag >> 16 & 1:
        return rows()["ggggeeee"]
    for key in (text, f"{text[:2]}xx{text[4:]}", f"{text[:2]}xxxxxx"):
        if key in rows():
            return rows()[key]
    return None


@cache
def method_codes() -> dict[str, str]:
    """CID 7050: code → meaning."""
    return {code: meaning for code, meaning in _table()["options"].values()}


def edition() -> str:
    """The edition of PS3.15 that the table was taken from, e.g. "2026c"."""
    return str(_table()["edition"])


def describe(chosen: Profile) -> list[dict[str, str]]:
    """For every attribute that the table or the allow-list names: what happens to it, and why (rows sorted by tag)."""
    tags = sorted({int(key, 16) for key in rows() if set(key) <= set("0123456789abcdef")} | set(allow_list()))
    found: list[dict[str, str]] = []
    for tag in tags:
        row, rule = row_of(tag), chosen.rules.get(tag)
        action = f"kept as {rule.kind}, checked" if rule else "removed or emptied"
        found.append({"tag": f"{tag:08x}", "action": action, "table": row.basic if row else "not in Table E.1-1",
                      "options": ", ".join(f"{k}={c}" for k, c in row.options.items()) if row else ""})  # fmt: skip
    return found


def _agreed(tag: int, rule: Rule, options: tuple[str, ...]) -> bool:
    """Whether the table lets a checked value of this kind stay under the options."""
    row = row_of(tag)
    if row is None or row.basic in ("U", "X/Z/U*"):  # UIDs are replaced here at every depth, so such sequences may stay
        return row is None or rule.kind in ("uid", "sequence")
    return any(row.options.get(option) in ("K", "C") for option in options)


@cache
def _table() -> dict[str, Any]:
    return json.loads(files("scanprior.privacy").joinpath("ps315.json").read_text(encoding="utf-8"))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"pydicom knows no attribute {keyword}")
    return tag


def _rule(keyword: str, kind: Kind, values: frozenset[str] | None) -> Rule:
    tag = _tag(keyword)
    most = dictionary_VM(tag).split("-")[-1]
    return Rule(dictionary_VR(tag), kind, values, int(most) if most.isdigit() else 0)
