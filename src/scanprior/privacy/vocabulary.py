"""The values that may stay in text fields: enumerated codes and imaging words; no name, id or place is among them."""

from __future__ import annotations


def terms(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


MODALITIES = terms("""
    CR CT DX ECT ES GM IO MG MR NM OP OPT OT PT PX RF RTIMAGE SC SM US XA XC
""")

PHOTOMETRIC = terms("""
    MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_ICT YBR_PARTIAL_420 YBR_RCT
""") | {
    "PALETTE COLOR",
}  # fmt: skip

# Values 1 and 2 are the standard's; later ones are the standard's and the big vendors' defined terms.
IMAGE_TYPE = terms("""
    ADC AVERAGE AXIAL B0 DENSITY DERIVED DIFFUSION DIS2D DIS3D DYNAMIC EMISSION ENERGY FA FAT FFE FILTERED FLAIR
    GATED HELICAL I IMAGINARY IN IN_PHASE IR I_FFE LOCALIZER M MAGNITUDE MAP MAX_IP MEAN MINIP MIN_IP MIP MIXED
    MONO MPR MULTIPLANAR M_FFE M_IR M_SE ND NONE NORM OPP_PHASE ORIGINAL OTHER OUT OUT_PHASE P PD PERFUSION
    PERFUSION_MAP PHASE PRIMARY PROPELLER P_FFE P_SE QUANTITATIVE R REAL REFORMATTED RESAMPLED R_FFE R_IR SE
    SECONDARY SEQ STATIC SUBTRACTION T1 T2 T2_STAR TOMO TRACEW TRANSMISSION VELOCITY VOLUME WATER WHOLEBODY
""") | {
    "CT_SOM5 SEQ", "CT_SOM5 SPI", "CT_SOM5 TOP", "CT_SOM7 SPI", "PHASE MAP", "PROJECTION IMAGE", "RECON TOMO",
    "SCREEN SAVE", "WHOLE BODY",
}  # fmt: skip

# Body parts in whose images a face may be seen, and those in which none is.
BODY_PARTS_HEAD = terms("""
    BRAIN CAROTID CSPINE EAR EYE FACE HEAD HEADNECK IAC INTRACRANIAL JAW MANDIBLE MAXILLA MOUTH NASOPHARYNX NECK
    NOSE ORBIT ORBITS PARANASALSINUS PHARYNX PITUITARY SELLA SINUS SINUSES SKULL TEMPORALBONE TMJ TONGUE WHOLEBODY
    ZYGOMA
""")

BODY_PARTS_OTHER = terms("""
    ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM BLADDER BREAST CALCANEUS CALF CHEST CHESTABDOMEN CLAVICLE COCCYX
    COLON ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM GALLBLADDER HAND HANDS HEART HIP HUMERUS ILEUM KIDNEY KNEE LEG
    LIVER LOWERLIMB LSPINE LSSPINE LUNG OVARY PANCREAS PATELLA PELVIS PHANTOM PROSTATE RADIUS RECTUM RIB SCAPULA
    SHOULDER SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS THIGH THORAX THUMB TIBIA TOE TSPINE ULNA UPPERLIMB UTERUS
    WRIST
""")

# How a manufacturer's name begins, and how it is written.
VENDORS = {
    "siemens healthineers": "Siemens Healthineers",
    "siemens": "SIEMENS",
    "philips": "Philips",
    "ge medical": "GE MEDICAL SYSTEMS",
    "ge healthcare": "GE HEALTHCARE",
    "toshiba": "TOSHIBA",
    "canon": "CANON_MEC",
    "hitachi": "Hitachi",
    "uih": "UIH",
    "united imaging": "UIH",
    "bruker": "Bruker",
    "fujifilm": "FUJIFILM",
    "shimadzu": "SHIMADZU",
    "hologic": "HOLOGIC",
    "esaote": "Esaote",
    "neusoft": "Neusoft",
    "carestream": "Carestream",
    "agfa": "AGFA",
    "cps": "CPS",
}

# Words that may remain in a description. None is a given name, a family name, a place or a hospital's word; numbers of
# up to two digits may remain too (see `header.clean_words`).
WORDS = terms("""
    2d 3d 4d abdomen ac acquisition adc adrenal and ankle arterial asl attenuation ax axial b0 b1000 bilateral
    body bold bone brain bravo breast carotid carotids cbct ce cerebral cervical chest ciss contrast cor coronal
    corrected ct cta cube delayed diffusion dixon drive dti dwi dynamic enhanced ep2d epi fa fast fat fatsat ffe
    field fieldmap fiesta flair flash fmri fs fse fspgr gd ge gre haste head helical high hip hippocampus iac
    image images inplane intracranial iso isotropic kernel kidney knee left liver localiser localizer long low
    lowdose lumbar lung mag magnitude map minip mip motion motioncorrected mp2rage mpr mprage mr mra mri mrv nac
    native neck non norm obl oblique of orbit orbits pancreas pd pdw pelvis perfusion pet phase pituitary plain
    portal post pre prostate protocol real recon reformat res resolution rest resting right routine sag sagittal
    scan scout se sequence series sharp short shoulder sinus sinuses skull slice slices smooth soft space spair
    spect spgr spine spir spiral standard stir study survey swi t1 t1w t2 t2star t2w task temporal tfe the thick
    thin thoracic tirm tissue tof topogram tra trace transversal transverse tse uncorrected unenhanced venous
    vessel vessels vibe vista volume water whole with without wrist
""")

RESCALE_TYPES = terms("""
    ED EDW HU HU_MOD MGML OD PCT US Z_EFF
""")

UNITS = terms("""
    1CM BQML CM2 CNTS CPS GML MGMINML MLG MLMING MLMINML MLML NONE PCNT PROPCNTS PROPCPS STDDEV UMOLMINML UMOLML
""")

ETHNIC = terms("""
    African American Asian Black Caucasian Chinese Hispanic Indian Japanese Latino Latina Mixed Native Other Unknown White
    AFRICAN AMERICAN ASIAN BLACK CAUCASIAN CHINESE HISPANIC INDIAN JAPANESE LATINO LATINA MIXED NATIVE OTHER UNKNOWN WHITE
    W B A H I O U
""") | {"African American", "Native American", "Hispanic or Latino", "Not Hispanic or Latino", "BLACK OR AFRICAN A"}

# Defined terms and enumerated values of PS3.3's acquisition, detector, MR, CT and PET modules; none is a name.
TERMS = terms("""
    1D 2D 3D ABSOLUTE ACCELERATION ACRYLIC ACTIVE ADAPTIVE ALUMINUM ANALYTIC ANATOMICAL APEX AREA ARTERIAL AUTO AUTOMATIC
    AXIAL BEATING BELLOWS BIPLANE BMATRIX BODY BOTH BREATH_HOLD BRONCHIAL BRONCHOSCOPE CALCULATED CARDIAC CASSETTE
    CENTER CENTRIC CINE CIRCULAR CLOCKWISE COIL COLUMN COMB COMBINATION COMPLEX COMPONENT CONSTANT CONSTANT_ANGLE
    CONTINUOUS COPPER CORONAL CORRECTED COSINE COUNTER_CLOCKWISE CPMG CT CURVED CYLINDRICAL DELAYED DENSE DENSITY
    DENSITY_RATIO DIRECT DIRECTIONAL DOT DUAL DYNAMIC EARLY ECG EMISSION ENERGY EQUILIBRIUM ERECT EVEN EXTERNAL
    FACTOR FAT FAT_SATURATION FEMALE FIELD FILM FILTERED_BACK_PROJ FIRST FIXED FLAT FLOATING FLUENCE FOCUSED FRACTIONAL
    FREE FREQUENCY FULL GADOLINIUM GATED GLOBAL GRADIENT GRADIENT_ECHO GRAPHITE GRASE GRID HALF HARDWARE HEAD HELICAL HELIX
    HEXAGONAL HIGH HOLD IDENTITY IEC IMAGE IN INTEGRATING INTERLEAVED INTERNAL INVERTED INVERSION IODINE ISOTROPIC
    ITERATIVE LANDSCAPE LATE LEAD LEFT LESS LIN LINE LINEAR LINEAR_EXACT LISTMODE LOG LOW MAGNITUDE MANUAL MARKER MAX_IP
    MEDIAN MIXED MOLYBDENUM MONITOR MULTICOIL MULTIPLE MULTI_SLICE NATURAL NAVIGATOR NEGATIVE NI NIOBIUM NMR NO NON_ROTATING
    NONE NORMAL OFF ON ONE OPEN ORTHOGONAL OTHER OUT PARALLEL PARTIAL PASS PEAK PERCENT PERIPHERAL PHASE PHASED_ARRAY
    PHOTON_COUNTING PLANAR PORTAL_VENOUS PORTRAIT POSITIVE POST PRE PRESATURATION PRIMARY PROJECTION PROSPECTIVE PULSED
    QUADRATURE QUANTITATIVE RADIAL RAMP REAL REALTIME RECTANGLE RECTANGULAR RECTILINEAR RELATIVE REORDERED RESPIRATORY
    RETROSPECTIVE RHENIUM RHODIUM RIGHT RING RIPPLE ROTATING ROUND ROUTINE ROW SAGITTAL SCANNED SCATTER SEGMENTED
    SENSE SEQUENCED SHIFTED SIGMOID SILVER SIMULTANEOUS SINGLE SINGLE_SHOT SLAB SLICE SLICE_AND_FREQ SLIP_RING SOFT_TISSUE
    SPATIAL SPECTRAL SPIN SPINECHO SPIN_ECHO SPIRAL SPLIT SPOILED STAGGERED STANDARD STATIC STATIONARY STEADY STRIPE
    STEP SURFACE SUV SWEPT SYMMETRIC TANTALUM TECHNICIAN THREE TILTED TIMED TOTAL TRANSMISSION TRUE TUNGSTEN TWO
    UNDEFINED UNIFORM VELOCITY VENOUS VOLUME WATER WEDGE WHOLE_BODY XENON YES 1H 2H 3HE 7LI 13C 19F 23NA 31P 129XE
    BW BSA LBMJANMA LBMJAMES128 IBW LBM NORMAL_RANGE EXTENDED FULL_FIDELITY ABDOMINAL HYPERPOLARIZED DYNAMIC_RANGE
    FIRST_LEVEL SECOND_LEVEL IEC_NORMAL IEC_FIRST_LEVEL IEC_SECOND_LEVEL PIN_DIODE DIRECT_DETECTOR SCINTILLATOR STORAGE
    FLUORO GR AP PA LL RL RLD LLD RLO LLO LEFT_SHIFT FAST SLOW RAND SING DLYD 2D_TOF EM TOF UNKNOWN FALSE
""") | {"AXIAL MODE", "HELICAL MODE", "SCOUT MODE", "WHOLE BODY"}  # fmt: skip
