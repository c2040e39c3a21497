"""What may stay at all: attributes by the kind of check that their values must pass, and how large their numbers may be.

Nothing here is free text. The table of PS3.15 and the profile decide afterwards whether an attribute named here stays.
"""

from __future__ import annotations

from typing import Literal

from scanprior.privacy import vocabulary as v

Kind = Literal["number", "binary", "code", "image-type", "vendor", "words", "kernel", "class", "uid", "age", "date", "time",
               "datetime", "sequence", "table", "text", "kept-uid", "kept-date", "kept-time", "kept-datetime"]  # fmt: skip

# What patient characteristics may be where an option keeps them (ethnic group: words of PS3.16's and the US census's lists).
PATIENT_TERMS: dict[int, frozenset[str]] = {
    0x00102203: v.terms("ALTERED UNALTERED"),
    0x001021A0: v.terms("YES NO UNKNOWN"),
    0x00102160: v.ETHNIC,
    0x00102162: v.ETHNIC,
}

_BODY = v.BODY_PARTS_HEAD | v.BODY_PARTS_OTHER

# kind, the keywords of that kind; codes give their values beside them. Keeping geometry, intensity and physics.
PLAIN: dict[Kind, str] = {
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
CODES: dict[str, frozenset[str]] = {
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
    "ScanOptions": v.terms(
        "PER RG CG PPG FC PFF PFP SP FS CT HELICAL AXIAL SCOUT CINE WS DB SAT1 SAT2 FAST_GEMS EDR_GEMS ACC_GEMS"
    )
    | {"HELICAL MODE", "AXIAL MODE", "CINE MODE", "SCOUT MODE"},
    "MRAcquisitionType": frozenset(("1D", "2D", "3D")),
    "LossyImageCompression": frozenset(("00", "01")),
    "LossyImageCompressionMethod": v.terms("ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_13818_2 ISO_14496_10"),
    "RescaleType": v.RESCALE_TYPES,
    "ModalityLUTType": v.RESCALE_TYPES,
    "Units": v.UNITS,
    "DecayCorrection": v.terms("NONE START ADMIN"),
    "CorrectedImage": v.terms("DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM NRGY FLOOD UNIF MOT LIN SLSENS"),
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

# Of the acquisition's physics research keeps every number and every defined term of these groups that Table E.1-1 does
# not name (acquisition, image pixel, nuclear medicine).
PHYSICS_GROUPS = (0x0018, 0x0028, 0x0054)
# What this program says itself, only when it is true; and tables without limit.
PHYSICS_LEFT_OUT = v.terms("""
    BurnedInAnnotation RecognizableVisualFeatures LongitudinalTemporalInformationModified GrayLookupTableDescriptor GrayLookupTableData
    AlphaPaletteColorLookupTableDescriptor AlphaPaletteColorLookupTableData DataPathAssignment OverrideBit
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor
    LUTDescriptor LUTData LUTFunction HistogramData WaveformDataDisplayScale ICCProfile
""")

# |value| of decimal and integer strings; a hospital number has six digits and more, none of these has.
LARGEST = 99_999.0
LARGEST_OF = {
    # intensities: PET counts in Bq/ml reach millions
    **dict.fromkeys(("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"), 999_999.0),
    # milliseconds and micro-units
    **dict.fromkeys(
        (
            "DoseCalibrationFactor",
            "FrameReferenceTime",
            "ActualFrameDuration",
            "TriggerTime",
            "ExposureInuAs",
            "ExposureTimeInuS",
        ),
        9_999_999.0,
    ),
    # Bq and seconds: 370 MBq, half-life of Ge-68; beyond six digits only the first four count (see `values`)
    **dict.fromkeys(("RadionuclideTotalDose", "RadionuclideHalfLife"), 1e11),
    **dict.fromkeys(("PatientSize", "PatientWeight"), 999.0),
}

# Of 25 attributes of Table E.1-1 that pydicom 3.0.2 does not know, those that an option may keep (PS3.6 2026c).
UNKNOWN_VR = {
    0x0040A034: "DT", 0x0040A035: "DT", 0x0040B034: "DT", 0x0040B036: "DT",
    0x00102162: "UC", 0x00100045: "UT", 0x00100016: "UT", 0x00100042: "UT", 0x00100047: "UR",
    0x0040B03F: "SH", 0x0040B03B: "LO",
    0x00081301: "SQ", 0x00081302: "SQ", 0x00081303: "SQ", 0x00081304: "SQ", 0x00100043: "SQ", 0x00100046: "SQ",
}  # fmt: skip
