"""One DICOM file: read, cleaned, judged, swept and encoded; everything that can go wrong is a Refused with a reason."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from scanprior import __version__
from scanprior.privacy import pixels, recognition, reports
from scanprior.privacy.encode import EXPLICIT_LITTLE, Element, Elements, encode_file, text_element
from scanprior.privacy.header import (
    CLEAN_PIXELS,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    Names,
    clean_header,
    earlier_codes,
    mark,
)
from scanprior.privacy.pseudonyms import identity_of, uid
from scanprior.privacy.refused import READ_ERRORS, Refused
from scanprior.privacy.rules import Profile
from scanprior.privacy.skim import SKIMMED, skim
from scanprior.privacy.sweep import known_values, sweep
from scanprior.privacy.text import doubt

Choice = Literal["auto", "remove", "keep"]
_CORE = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID",
         "InstanceNumber", "Modality", "BodyPartExamined")  # fmt: skip

_PLACE = ("StudyInstanceUID", "InstanceNumber", "ImagePositionPatient", "FrameOfReferenceUID")
_CORE_TAGS, _PLACE_TAGS = ([Tag(word) for word in words] for words in (_CORE, _PLACE))


@dataclass
class Instance:
    """A de-identified image that is not written yet: its elements, its syntax, and the original for decoding pixels."""

    elements: Elements
    syntax: str
    original: Dataset
    profile: Profile
    actions: Counter[str]
    performed: tuple[str, ...] = ()
    clean_text: bool = True
    stored: np.ndarray | None = field(default=None, repr=False)  # decoded pixels, once some were blanked

    def path(self) -> tuple[str, str, str]:
        """Study, series and instance UIDs of the output: the names of its folders and its file."""
        return tuple(_uid_text(self.elements, tag) for tag in (STUDY_UID, SERIES_UID, SOP_UID))  # type: ignore[return-value]

    def blank(self, where: np.ndarray, fill: int) -> None:
        """Set the stored values inside the mask `where` (rows, columns) to `fill`; the frame becomes native."""
        stored = np.array(self.original.pixel_array) if self.stored is None else self.stored
        stored[where] = fill
        self._replace(stored)
        self.actions["blanked"] += 1

    def remove_writing(self, *, vouch: bool) -> None:
        """Blank the writing in all frames and, for risky classes, `vouch` for what is left.

        Raises:
            Refused: the pixels cannot be decoded, or writing may be left.
        """
        from scanprior.privacy.burned import remove_writing

        frames = pixels.decoded(self.original)
        cleaned = remove_writing(self.original, frames, vouch=vouch)
        if cleaned.stored is not None:
            single = "NumberOfFrames" not in self.original or len(cleaned.stored) == 1
            self._replace(cleaned.stored[0] if single else cleaned.stored)
            self.actions["writing-blanked"] += cleaned.frames
        self.performed += (CLEAN_PIXELS,)
        self.clean_text = True

    def _replace(self, stored: np.ndarray) -> None:
        self.stored = stored
        self.syntax = pixels.replace_pixels(self.elements, stored)

    def encode(self) -> bytes:
        """The bytes of the output file, with the marks of what was done."""
        mark(self.elements, self.original, profile=self.profile, performed=self.performed,
             identity_removed=self.clean_text, version=__version__)  # fmt: skip
        return encode_file(self.elements, syntax=self.syntax)


def read(path: Path | io.BytesIO, *, only_core: bool = False) -> Dataset:
    """Read a DICOM file, also one without preamble; elements stay raw. `only_core`: just what names patient and series.

    Raises:
        Refused: not DICOM, or broken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            return _parsed(path, only_core=only_core, force=False)
        except InvalidDicomError:
            pass
        except READ_ERRORS:
            raise Refused("unreadable", "the file ends early or is not valid DICOM") from None
        try:
            if isinstance(path, io.BytesIO):
                path.seek(0)
            dataset = _parsed(path, only_core=only_core, force=True)
        except READ_ERRORS:
            raise Refused("not-an-image", "the file is no DICOM or NIfTI image") from None
    if "SOPClassUID" not in dataset or "SOPInstanceUID" not in dataset:
        raise Refused("not-an-image", "the file is no DICOM or NIfTI image")
    return dataset


def _parsed(path: Path | io.BytesIO, *, only_core: bool, force: bool) -> Dataset:
    if not only_core:
        # From memory: pydicom reads element by element, and a file's calls cost more than the copy.
        return dcmread(path if isinstance(path, io.BytesIO) else io.BytesIO(path.read_bytes()), force=force)
    with nullcontext(path) if isinstance(path, io.BytesIO) else path.open("rb") as stream:
        return _partial(stream, _CORE_TAGS, force=force)


def _partial(stream: Any, tags: list[BaseTag], *, force: bool) -> Dataset:
    content = stream.read(SKIMMED)
    plain = skim(content, frozenset(tags), whole=len(content) < SKIMMED)
    if plain is not None:
        return plain
    stream.seek(0)
    last = max(tags)

    def past(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int.__gt__(tag, last)  # pydicom's own comparison costs more than reading the element

    return read_partial(stream, stop_when=past, force=force, specific_tags=list(tags))


def place(path: Path) -> tuple[str, str]:
    """Frame of reference of an image (its study, where it names none), and its position there (or its number)."""
    with warnings.catch_warnings(), suppress(*READ_ERRORS), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        found = _partial(stream, _PLACE_TAGS, force=True)
        frame = first(found, "FrameOfReferenceUID") or first(found, "StudyInstanceUID")
        return frame, first(found, "ImagePositionPatient") or first(found, "InstanceNumber")
    return "", ""


def identity(dataset: Dataset) -> str:
    """What tells this patient from others, as written by the hospital (see `pseudonyms.identity_of`)."""
    return identity_of(
        *(first(dataset, keyword) for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID"))
    )


def first(dataset: Dataset, keyword: str) -> str:
    """The attribute as text, "" when it is missing or cannot be decoded."""
    try:
        value = dataset.get(keyword)
        return "" if value is None else str(value).strip(" \0")  # printing a value decodes what lies inside it
    except READ_ERRORS:
        return ""


def clean_instance(
    dataset: Dataset, *, profile: Profile, names: Names, text: Choice, digest: Callable[[], str]
) -> Instance:
    """De-identify one image; `digest` (of the file's bytes, worked out only then) names it where its own UIDs are missing.

    Raises:
        Refused: with the reason why the file must not be written.
    """
    actions: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = clean_header(dataset, profile=profile, names=names, actions=actions)
        for tag in (STUDY_UID, SERIES_UID, SOP_UID):
            if not _uid_text(kept, tag):
                kept[tag] = text_element("UI", uid(names.key, f"missing {tag:08x} {digest()}"))
        if reports.is_report(kept):
            reports.clean_report(dataset, kept, profile=profile, names=names, actions=actions)
            return _swept(Instance(kept, EXPLICIT_LITTLE, dataset, profile, actions), names.key)
        why = doubt(kept, flag=first(dataset, "BurnedInAnnotation"), image_type=_image_type(dataset))
        looked_for = (bool(why) and text != "keep") or text == "remove"
        if looked_for and not recognition.available():
            raise Refused("burned-in-text", f"{why}, and no text recognition is installed to look for it")
        syntax = pixels.clean_pixels(dataset, kept, syntax=_syntax(dataset), actions=actions)
        made = _swept(Instance(kept, syntax, dataset, profile, actions, clean_text=not why), names.key)
        if looked_for:
            made.remove_writing(vouch=bool(why))
    return made


def _swept(made: Instance, key: bytes) -> Instance:
    """Take the patient's own values out of what the rules let stay."""
    sweep(made.elements, known_values(made.original, options=made.profile.options), made.actions, key=key)
    if earlier_codes(made.original):
        made.actions["already-deidentified"] += 1
    made.actions = +made.actions
    return made


def _image_type(dataset: Dataset) -> str:
    try:
        value = dataset.get("ImageType")
        return "" if value is None else value if isinstance(value, str) else "\\".join(map(str, value))
    except READ_ERRORS:
        return ""


def _syntax(dataset: Dataset) -> str:
    if not isinstance(dataset, FileDataset) or not dataset.file_meta:
        return ""
    try:
        return str(dataset.file_meta.get("TransferSyntaxUID", ""))
    except READ_ERRORS:
        return "unreadable"  # and so none of those that can be checked


def _uid_text(kept: Elements, tag: int) -> str:
    element = kept.get(tag, Element("UI", b""))
    return element.value.decode("ascii") if isinstance(element.value, bytes) else ""
