"""JSON sidecars of NIfTI files: physics by an allow-list of keys, each value checked by its type and range.

Converters copy whole DICOM headers into sidecars (dcm2niix's "anonymised" default leaves ten identifiers of 37), so
what is not named here goes. Units are BIDS': seconds, degrees, tesla, millimetres.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from scanprior.privacy import vocabulary
from scanprior.privacy.bids_names import code
from scanprior.privacy.header import Names
from scanprior.privacy.refused import Refused
from scanprior.privacy.rules import Profile
from scanprior.privacy.sweep import AROUND, PERSON, Known, found_in, known_texts
from scanprior.privacy.values import clean_words

_MOST = 20_000  # values in a list: volume timings of long runs
# Numbers, or lists of them, between two bounds.
_RANGES: dict[tuple[float, float], str] = {
    (0, 30): "MagneticFieldStrength EchoTime EchoTime1 EchoTime2 EffectiveEchoSpacing TotalReadoutTime DwellTime InversionTime "
    "MTPulseDuration SpoilingGradientDuration BolusCutOffDelayTime SAR ParallelReductionFactorInPlane PartialFourier "
    "ParallelReductionFactorOutOfPlane MultibandAccelerationFactor LabelingDuration PostLabelingDelay BackgroundSuppressionPulseTime "
    "PhaseResolution PhaseOversampling ScatterFraction",
    (0, 3600): "RepetitionTime RepetitionTimePreparation RepetitionTimeExcitation SliceTiming DelayTime AcquisitionDuration "
    "DelayAfterTrigger LabelingPulseDuration LabelingPulseInterval FlipAngle SpoilingRFPhaseIncrement LabelingPulseFlipAngle "
    "SliceThickness SpacingBetweenSlices AcquisitionVoxelSize LabelingSlabThickness ImagingFrequency PercentPhaseFOV "
    "PercentSampling XRayExposure ExposureTime InjectedMass ReconFilterSize DecayCorrectionFactor VascularCrushingVENC",
    (0, 100_000): "VolumeTiming EchoTrainLength NumberShots NumberOfVolumesDiscardedByScanner NumberOfVolumesDiscardedByUser "
    "PixelBandwidth MTNumberOfPulses MTPulseBandwidth PhaseEncodingSteps FrequencyEncodingSteps AcquisitionMatrixPE ReconMatrixPE "
    "BaseResolution BandwidthPerPixelPhaseEncode BackgroundSuppressionNumberPulses TotalAcquiredPairs SeriesNumber "
    "AcquisitionNumber FrameTimesStart FrameDuration KVP XRayTubeCurrent ReconMethodParameterValues M0Estimate "
    "SpoilingGradientMoment",
    (-1000, 100_000): "MTOffsetFrequency LabelingDistance ScanStart InjectionStart InjectionEnd ImageDecayCorrectionTime",
    (-1, 1): "ImageOrientationPatientDICOM",
    (0, 1e12): "InjectedRadioactivity SpecificRadioactivity MolarActivity PromptRate RandomRate SinglesRate",
}  # fmt: skip
_FLAGS = vocabulary.terms("""NonlinearGradientCorrection MTState SpoilingState BackgroundSuppression VascularCrushing BolusCutOffFlag
    ImageDecayCorrected WaterSuppression""")
_DIRECTIONS = vocabulary.terms("i j k i- j- k-")
CODES: dict[str, frozenset[str]] = {
    "Modality": vocabulary.MODALITIES,
    "MRAcquisitionType": frozenset(("1D", "2D", "3D")),
    "PatientPosition": vocabulary.terms("HFP HFS HFDR HFDL FFDR FFDL FFP FFS"),
    "ScanningSequence": vocabulary.terms("SE IR GR EP RM"),
    "SequenceVariant": vocabulary.terms("SK MTC SS TRSS SP MP OSP NONE"),
    "ScanOptions": vocabulary.terms("PER RG CG PPG FC PFF PFP SP FS CT"),
    "ImageType": vocabulary.IMAGE_TYPE,
    "PhaseEncodingDirection": _DIRECTIONS,
    "SliceEncodingDirection": _DIRECTIONS,
    "PhaseEncodingAxis": _DIRECTIONS,
    "InPlanePhaseEncodingDirectionDICOM": vocabulary.terms("ROW COL"),
    "PartialFourierDirection": vocabulary.terms("PHASE FREQUENCY SLICE_SELECT COMBINATION"),
    "ParallelAcquisitionTechnique": vocabulary.terms("GRAPPA SENSE mSENSE CAIPIRINHA ARC ASSET SMASH PILS"),
    "SpoilingType": vocabulary.terms("RF GRADIENT COMBINED"),
    "MTPulseShape": vocabulary.terms("HARD GAUSSIAN GAUSSHANN SINC SINCHANN SINCGAUSS FERMI"),
    "Units": vocabulary.terms("Hz rad/s T ppm arbitrary Bq/mL g/mL SUV"),
    "ConversionSoftware": vocabulary.terms("dcm2niix"),
    "ArterialSpinLabelingType": vocabulary.terms("CASL PCASL PASL"),
    "M0Type": vocabulary.terms("Separate Included Estimate Absent"),
    "PASLType": vocabulary.terms("FAIR EPISTAR PICORE"),
    "PCASLType": vocabulary.terms("balanced unbalanced"),
    "BolusCutOffTechnique": vocabulary.terms("Q2TIPS QUIPSSII QUIPSS"),
    "TracerName": vocabulary.terms("FDG PIB AV45 florbetapir florbetaben flutemetamol FLT DOTATATE PSMA raclopride water"),
    "TracerRadionuclide": vocabulary.terms("F18 C11 O15 N13 Ga68 Zr89 Cu64 Rb82 I124"),
    "InjectedRadioactivityUnits": vocabulary.terms("Bq kBq MBq GBq"),
    "InjectedMassUnits": vocabulary.terms("ug mg g nmol umol mmol n/a"),
    "SpecificRadioactivityUnits": vocabulary.terms("Bq/g MBq/ug GBq/umol Bq/mol n/a"),
    "ModeOfAdministration": vocabulary.terms("bolus infusion bolus-infusion"),
    "AcquisitionMode": vocabulary.terms("list static dynamic 4D") | {"list mode"},
    "ReconMethodName": vocabulary.terms("FBP OSEM OP-OSEM PSF+TOF PSF TOF MLEM 3D-OSEM-PSF-TOF VPFX VPFXS BLOB-OS-TF RAMLA"),
    "ReconMethodParameterLabels": vocabulary.terms("iterations subsets none lower_threshold upper_threshold"),
    "ReconMethodParameterUnits": vocabulary.terms("none keV mm"),
    "ReconFilterType": vocabulary.terms("Gaussian Hann Hanning Shepp-Logan Butterworth none All-pass"),
}  # fmt: skip
_WORDS = frozenset(("SeriesDescription", "ProtocolName"))
_FIELD_MAPS = frozenset(("B0FieldIdentifier", "B0FieldSource"))
_BOUNDS = {key: bounds for bounds, keys in _RANGES.items() for key in keys.split()}
ALLOWED = frozenset(
    (*_BOUNDS, *_FLAGS, *CODES, *_WORDS, *_FIELD_MAPS, "IntendedFor", "Manufacturer", "ConvolutionKernel")
)


def clean_sidecar(
    content: bytes,
    *,
    names: Names,
    profile: Profile,
    task: str = "",
    intended: Callable[[str], str] | None = None,
    label: str = "",
    actions: Counter[str],
) -> bytes:
    """Return the JSON that may stay, keys sorted; `task` is the label of the rebuilt name, `intended` maps the paths of
    IntendedFor ("" when their file is not there), `label` the original subject's.

    Raises:
        Refused: no JSON object.
    """
    found = read_object(content)
    known = known_of(found, label)
    kept: dict[str, Any] = {}
    for key, value in found.items():
        cleaned = _checked(key, value, names, profile, intended, known)
        if cleaned is None:
            actions["rejected" if key in ALLOWED else "removed"] += 1
        else:
            kept[key] = cleaned
    if task:  # BIDS requires it where a task is in the name
        kept["TaskName"] = task
    if "TimeZero" in found:  # a time of day; what counts are the seconds from it, and BIDS requires the key
        kept["TimeZero"] = "00:00:00"
        actions["replaced"] += 1
    return encode(kept)


def read_object(content: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refused: anything else.
    """
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Refused("unreadable", "the sidecar is not valid JSON") from None
    if not isinstance(found, dict):
        raise Refused("unreadable", "the sidecar is not a JSON object")
    return found


def encode(content: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, so that the same input gives the same bytes."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode()


def known_of(found: Mapping[str, Any], label: str) -> Known:
    """What a sidecar says of the person, and the subject's own label: none of it may be in what stays."""
    pairs = [(key, str(value)) for key, value in found.items() if key in (*PERSON, *AROUND)]
    return known_texts([*pairs, ("PatientID", label)])


def _checked(
    key: str, value: Any, names: Names, profile: Profile, intended: Callable[[str], str] | None, known: Known
) -> Any:
    if key == "IntendedFor" and intended is not None:
        paths = [path for one in _listed(value) if (path := intended(str(one)))]
        return (paths if isinstance(value, list) else paths[0]) if paths else None
    if key in _FIELD_MAPS:
        coded = [code(names.key, f"field map {one}") for one in _listed(value) if isinstance(one, str)]
        return (coded if isinstance(value, list) else coded[0]) if coded else None
    cleaned = _typed(key, value, profile)
    if cleaned is None or any(_says(one, known) for one in _listed(cleaned)):
        return None
    return cleaned


def _typed(key: str, value: Any, profile: Profile) -> Any:
    if key in _FLAGS:
        return value if isinstance(value, bool) else None
    if key in _BOUNDS:
        low, high = _BOUNDS[key]
        many = _listed(value)
        good = 0 < len(many) <= _MOST and all(_is_number(one) and low <= one <= high for one in many)
        return value if good else None
    if key in CODES:
        parts = [part for one in _listed(value) for part in str(one).split("\\")]
        if key == "ImageType":
            parts = [part for part in parts if part in CODES[key]]
        if not parts or not all(part in CODES[key] for part in parts):
            return None
        return parts if isinstance(value, list) else "\\".join(parts)
    if not isinstance(value, str):
        return None
    if key == "Manufacturer":
        return next((name for part, name in vocabulary.VENDORS.items() if value.lower().startswith(part)), None)
    if key == "ConvolutionKernel":
        return value if re.fullmatch(r"[A-Za-z]{1,2}\d{2}[a-z]?|STANDARD|BONE|SOFT|LUNG|FC\d{2}", value) else None
    if key in _WORDS and "clean_descriptors" in profile.options:
        return clean_words(value)[:64] or None
    return None


def _is_number(value: Any) -> bool:
    if isinstance(value, int):  # too large for a float, perhaps
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _says(value: Any, known: Known) -> bool:
    """Whether a kept value is one of the person's: a text by its words, a number when it has six digits or more."""
    if isinstance(value, str):
        return found_in(value, known)
    digits = re.sub(r"\D", "", str(value))
    return not isinstance(value, bool) and len(digits) > 5 and (digits in known.words or digits in known.ids)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
