"""File names of a BIDS data set, taken apart into entities and put together from an allow-list.

BIDS 1.10 puts what is known of a file into its name: sub-07_ses-2019_acq-highres_T1w.nii.gz. People write hospital ids,
dates and initials there too, so no label passes as it stands: the subject becomes a pseudonym, numbers stay numbers,
imaging words stay, anything else becomes a keyed code that is the same wherever the label stood.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import PurePosixPath
from typing import NamedTuple

from scanprior.privacy.header import Names
from scanprior.privacy.vocabulary import WORDS, terms

# Suffixes of images by data type folder (BIDS 1.10, "Magnetic Resonance Imaging" and "Positron Emission Tomography").
IMAGES: dict[str, frozenset[str]] = {
    "anat": terms("""T1w T2w PDw T2starw FLAIR inplaneT1 inplaneT2 PDT2 angio T1map T2map T2starmap R1map R2map R2starmap PDmap
        MTRmap MTsat UNIT1 T1rho MWFmap MTVmap Chimap S0map M0map MESE MEGRE VFA IRT1 MP2RAGE MPM MTS MTR T2star FLASH PD"""),
    "func": terms("bold cbv sbref phase"),
    "dwi": terms("dwi sbref"),
    "fmap": terms("""phasediff phase1 phase2 magnitude1 magnitude2 magnitude fieldmap epi m0scan TB1DAM TB1EPI TB1AFI TB1TFL
        TB1RFM RB1COR TB1SRGE TB1map RB1map"""),
    "perf": terms("asl m0scan"),
    "pet": terms("pet"),
}  # fmt: skip
# Tables and gradients that go with an image: suffix → suffix of the image.
COMPANIONS = {"events": "bold", "aslcontext": "asl"}
_NUMBERS = terms("run echo flip inv split chunk")
_CODES = {"part": terms("mag phase real imag"), "mt": terms("on off"), "hemi": terms("L R")}
_LABELS = terms("ses task acq ce trc rec dir mod")
OFTEN = WORDS | terms("""
    ap baseline bipolar blip breathhold control deoxy dir dirs dti encoding fast fdg finger flanker followup fu gadolinium gre
    highres hires hrf images label labels lores lowres lr main memory month multiband nback opp out pa phantom pib pilot post posterior pre
    rawavg rest resting restingstate retest rl run screening scrub session si single stroop test unipolar video visit tr train ts wm
""")  # fmt: skip
_CHUNK = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class Name(NamedTuple):
    """A BIDS file name: entities in their order, suffix, and the extension with its dot."""

    entities: tuple[tuple[str, str], ...]
    suffix: str
    extension: str

    def label(self, entity: str) -> str:
        """The label of an entity, "" when the name has none."""
        return dict(self.entities).get(entity, "")

    def __str__(self) -> str:
        return "_".join([*(f"{key}-{label}" for key, label in self.entities), self.suffix]) + self.extension


def parse(name: str) -> Name | None:
    """Take a file name apart; None when it is not of BIDS' form."""
    match = re.fullmatch(r"((?:[a-zA-Z]+-[a-zA-Z0-9]+_)*)([a-zA-Z0-9]+)(\.nii\.gz|\.tsv\.gz|\.[a-z]+)", name)
    if not match:
        return None
    pairs = [part.split("-") for part in match[1].split("_") if part]
    return Name(tuple((key, label) for key, label in pairs), match[2], match[3])


def subject_label(names: Names) -> str:
    """The label that stands for the patient: the pseudonym without its hyphen, which BIDS does not allow."""
    return names.patient.replace("-", "")


def rebuilt(name: Name, names: Names) -> Name | None:
    """The name with every label replaced or checked; None when an entity is none that images have."""
    entities: list[tuple[str, str]] = []
    for entity, label in name.entities:
        safe = subject_label(names) if entity == "sub" else safe_label(entity, label, names)
        if not safe or entity in dict(entities):
            return None
        entities.append((entity, safe))
    return Name(tuple(entities), name.suffix, name.extension)


def safe_label(entity: str, label: str, names: Names) -> str:
    """What a label becomes; "" when neither the entity nor the value is known. Sessions are coded per patient, because
    two patients' equal labels may be one date."""
    if entity in _NUMBERS:
        return label if re.fullmatch(r"\d{1,3}", label) else ""
    if entity in _CODES:
        return label if label in _CODES[entity] else ""
    if entity not in _LABELS:
        return ""
    if is_plain(label):
        return label
    return code(names.key, f"{entity} {names.patient if entity == 'ses' else ''} {label}")


def is_plain(label: str) -> bool:
    """Whether a label holds imaging words and numbers of up to two digits only, so that it may stay."""
    if label.lower() in OFTEN:
        return True
    chunks = _CHUNK.findall(label)
    words = [chunk.lower() for chunk in chunks if not chunk.isdigit()]
    if "".join(chunks) != label or any(len(chunk) > 2 for chunk in chunks if chunk.isdigit()):
        return False
    if sum(chunk.isdigit() for chunk in chunks) > 1 and not words:
        return False
    glued = re.findall(r"[a-z]+\d*|\d+[a-z]*", label.lower())
    return all(word in OFTEN for word in words) or all(
        part in OFTEN or re.fullmatch(r"\d{1,2}(mm|t)?|[mvwy]\d{1,2}", part) for part in glued
    )


def code(key: bytes, text: str) -> str:
    """Seven letters and digits that stand for a text: BIDS labels hold nothing else."""
    return (
        "x"
        + hmac.new(key, f"scanprior/label\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:8]
    )


def target_of(relative: PurePosixPath, names: Names) -> PurePosixPath | None:
    """Where a file of a subject goes, relative to its data set: sub-…/[ses-…/][data type/]name, or None when the path
    does not say what the name says."""
    name = parse(relative.name)
    if name is None or not name.label("sub") or relative.parts[0] != f"sub-{name.label('sub')}":
        return None
    folders = list(relative.parts[1:-1])
    session = name.label("ses")
    if folders and folders[0].startswith("ses-"):
        if folders.pop(0) != f"ses-{session}":
            return None
    elif session and folders:  # a session in the name of an image, and none in the path
        return None
    safe = rebuilt(name, names)
    if safe is None or len(folders) > 1 or (folders and folders[0] not in IMAGES):
        return None
    parts = [f"sub-{subject_label(names)}"]
    if len(relative.parts) > 2 and relative.parts[1].startswith("ses-"):
        parts.append(f"ses-{safe.label('ses')}")
    return PurePosixPath(*parts, *folders, str(safe))
