"""The values that may stay in text fields: enumerated codes and imaging words; a name, id or place is in none of them."""

from __future__ import annotations

MODALITIES = frozenset(["CT", "MR", "PT", "NM", "US", "XA", "RF", "CR", "DX", "MG", "IO", "PX", "SC", "OT", "RTIMAGE", "XC", "ES", "GM", "SM", "OP", "OPT", "ECT"])

PHOTOMETRIC = frozenset(
    (
        "MONOCHROME1",
        "MONOCHROME2",
        "RGB",
        "PALETTE COLOR",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_ICT",
        "YBR_RCT",
    )
)

# Values 1 and 2 are the standard's; later ones are the standard's and the big vendors' defined terms.
IMAGE_TYPE = frozenset(
    (
        *["ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "M", "P", "R", "I", "ND", "NORM", "DIS2D", "DIS3D", "MPR", "MIP", "MINIP", "MEAN", "AVERAGE"],
        *["VOLUME", "NONE", "OTHER", "DIFFUSION", "ADC", "FA", "TRACEW", "B0", "PERFUSION", "FFE", "SE", "IR", "M_FFE", "M_SE", "M_IR", "P_FFE", "P_SE", "R_FFE", "I_FFE", "R_IR"],
        *["MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "VELOCITY", "WATER", "FAT", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "IN", "OUT", "OPP_PHASE", "FILTERED"],
        *["REFORMATTED", "RESAMPLED", "PROPELLER", "STATIC", "DYNAMIC", "GATED", "TOMO", "EMISSION", "TRANSMISSION", "WHOLEBODY", "HELICAL", "SEQ"],
        *["T1", "T2", "T2_STAR", "PD", "FLAIR", "MAP", "MONO", "ENERGY", "MULTIPLANAR", "DENSITY", "PERFUSION_MAP", "SUBTRACTION", "QUANTITATIVE"],
        "PHASE MAP", "PROJECTION IMAGE", "WHOLE BODY", "RECON TOMO", "SCREEN SAVE", "MAX_IP", "MIN_IP", "CT_SOM5 SPI",
        "CT_SOM5 SEQ", "CT_SOM7 SPI", "CT_SOM5 TOP",
    )
)  # fmt: skip

BODY_PARTS_HEAD = frozenset(
    ["BRAIN", "HEAD", "SKULL", "FACE", "ORBIT", "ORBITS", "EYE", "EAR", "IAC", "SINUS", "SINUSES", "PARANASALSINUS", "JAW", "MANDIBLE", "MAXILLA", "NOSE", "NECK", "HEADNECK", "PITUITARY", "TMJ", "CSPINE", "SELLA", "CAROTID", "INTRACRANIAL", "WHOLEBODY", "ZYGOMA", "NASOPHARYNX", "TEMPORALBONE", "TONGUE", "MOUTH", "PHARYNX"]
)
BODY_PARTS_OTHER = frozenset(
    ["ABDOMEN", "ABDOMENPELVIS", "ANKLE", "AORTA", "ARM", "BLADDER", "BREAST", "CALF", "CALCANEUS", "CHEST", "CHESTABDOMEN", "CLAVICLE", "COCCYX", "COLON", "ELBOW", "FEMUR", "FINGER", "FOOT", "FOREARM", "GALLBLADDER", "HAND", "HEART", "HIP", "HUMERUS", "ILEUM", "KIDNEY", "KNEE", "LEG", "LIVER", "LSPINE", "LSSPINE", "LUNG", "PANCREAS", "PATELLA", "PELVIS", "PROSTATE", "RADIUS", "RIB", "SCAPULA", "SHOULDER", "SPLEEN", "STERNUM", "TESTIS", "THIGH", "THUMB", "TIBIA", "TOE", "TSPINE", "ULNA", "UTERUS", "WRIST", "ADRENAL", "EXTREMITY", "HANDS", "SSPINE", "STOMACH", "THORAX", "UPPERLIMB", "LOWERLIMB", "OVARY", "RECTUM", "SPINE", "PHANTOM"]
)

VENDORS = {
    "siemens healthineers": "Siemens Healthineers", "siemens": "SIEMENS", "philips": "Philips", "ge medical": "GE MEDICAL SYSTEMS",
    "ge healthcare": "GE HEALTHCARE", "toshiba": "TOSHIBA", "canon": "CANON_MEC", "hitachi": "Hitachi", "uih": "UIH",
    "united imaging": "UIH", "bruker": "Bruker", "fujifilm": "FUJIFILM", "shimadzu": "SHIMADZU", "hologic": "HOLOGIC",
    "esaote": "Esaote", "neusoft": "Neusoft", "carestream": "Carestream", "agfa": "AGFA", "cps": "CPS",
}  # fmt: skip

# Words that may remain in a description. None is a given name, a family name, a place or a hospital's word; numbers of up
# to three digits and the units behind them may remain too (see `rules.clean_words`).
WORDS = frozenset(
    (
        *["t1", "t1w", "t2", "t2w", "t2star", "pd", "pdw", "flair", "dwi", "adc", "dti", "swi", "mra", "mrv", "tof", "tse", "fse", "se", "gre", "ge", "epi", "ep2d", "bold", "asl", "mprage", "mp2rage", "spgr"],
        *["fspgr", "bravo", "vibe", "flash", "space", "cube", "vista", "stir", "tirm", "haste", "fiesta", "ciss", "drive", "ffe", "tfe", "spair", "spir", "fatsat", "fs", "dixon", "water", "fat"],
        *["ax", "axial", "tra", "transversal", "transverse", "sag", "sagittal", "cor", "coronal", "obl", "oblique", "iso", "isotropic", "2d", "3d", "4d", "mpr", "mip", "minip", "reformat"],
        *["ce", "gd", "post", "pre", "contrast", "native", "enhanced", "unenhanced", "plain", "delayed", "arterial", "venous", "portal", "phase", "dynamic", "perfusion", "diffusion"],
        *["ct", "mr", "mri", "pet", "ptet", "spect", "cta", "cbct", "lowdose", "bone", "soft", "tissue", "lung", "standard", "kernel", "sharp", "smooth", "thin", "thick", "slice", "slices", "spiral"],
        *["helical", "sequence", "localizer", "localiser", "scout", "survey", "topogram", "brain", "head", "neck", "skull", "spine", "cervical", "thoracic", "lumbar", "chest"],
        *["abdomen", "pelvis", "liver", "kidney", "adrenal", "pancreas", "prostate", "breast", "knee", "hip", "shoulder", "ankle", "wrist", "hippocampus", "pituitary", "orbit"],
        *["orbits", "sinus", "sinuses", "iac", "temporal", "cerebral", "intracranial", "carotid", "carotids", "vessel", "vessels", "whole", "body", "resting", "task", "rest", "fmri"],
        *["field", "map", "fieldmap", "trace", "fa", "b0", "b1000", "magnitude", "mag", "phase", "real", "norm", "corrected", "uncorrected", "attenuation", "ac", "nac", "recon"],
        *["series", "study", "protocol", "routine", "standard", "volume", "image", "images", "high", "low", "resolution", "res", "fast", "long", "short", "motion", "motioncorrected"],
        *["left", "right", "bilateral", "with", "without", "and", "of", "the", "nan", "non", "inplane", "acquisition", "scan"],
    )
) - {"nan", "ptet"}  # fmt: skip

RESCALE_TYPES = frozenset(["HU", "OD", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"])
UNITS = frozenset(
    ["CNTS", "NONE", "CM2", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV"]
)
