"""Identifiers planted by someone who does not know the program: each bundle hides hundreds of tokens in one carrier.

Tokens are recognisable by their halves, so that a part that survives counts too: text `ZQXJV` + five digits + `KWPYB`,
numbers `73519` + five digits, dates of the year 1931 (a shifted date lies before it).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from pydicom import dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence
from pydicom.tag import Tag

TEXT_HALVES = (b"zqxjv", b"kwpyb")
TOKEN = re.compile(rb"zqxjv(\d{5})|(?<!\d)73519(\d{3}\.?\d\d)")
DATE = re.compile(rb"(?<![\d.])1931[01]\d[0-3]\d")
# What the reader needs to make sense of the file at all; planted one at a time in a bundle of its own.
STRUCTURE = frozenset((0x00080016, 0x00080018, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100,
                       0x00280101, 0x00280102, 0x00280103, 0x00080060, 0x00080008, 0x00080005, 0x0020000D, 0x0020000E))  # fmt: skip
KNOWN = {"PatientName": "Oberhuber^Annegret^Zita", "PatientID": "48151623", "PatientBirthDate": "19310307",
         "InstitutionName": "Klinikum Rosenau", "ReferringPhysicianName": "Drosselbart^Egon", "AccessionNumber": "ACC90210X7",
         "OperatorsName": "Quendel", "StationName": "ROSENAUCT3"}  # fmt: skip
KNOWN_MARKS = (b"oberhuber", b"annegret", b"48151623", b"rosenau", b"drosselbart", b"acc90210", b"quendel", b"07.03.31", b"07 03 31",
               b"19310307", b"7 3 1931")  # fmt: skip
CHARSETS = {"ISO_IR 192": ("Łukaszewicz^Żaneta", "utf-8"), "ISO_IR 144": ("Людмилова^Вера", "iso8859_5"),
            "GB18030": ("王小东^王小东", "gb18030"), "\\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎", "iso2022_jp"),
            "ISO_IR 100": ("Müllerin^Jörgß", "latin-1")}  # fmt: skip


class Attack(NamedTuple):
    """A bundle's name, the file, and for each token number the category it was hidden in."""

    bundle: str
    content: bytes
    categories: dict[int, str]


class Tokens:
    """Numbered tokens; remembers where each was put."""

    def __init__(self) -> None:
        self.categories: dict[int, str] = {}

    def text(self, category: str) -> str:
        """A fresh token of fifteen letters and digits."""
        self.categories[len(self.categories) + 1] = category
        return f"ZQXJV{len(self.categories):05d}KWPYB"

    def number(self, category: str) -> str:
        """A fresh token of ten digits."""
        self.categories[len(self.categories) + 1] = category
        return f"73519{len(self.categories):05d}"


def attacks(content: bytes) -> Iterator[Attack]:
    """Every bundle that the carrier can hold; `content` must be readable by pydicom."""
    for name, plant in BUNDLES.items():
        tokens, dataset = Tokens(), dcmread(io.BytesIO(content), force=True)
        made = plant(dataset, tokens)
        if made is not None and tokens.categories:
            yield Attack(name, made, tokens.categories)


def saved(dataset: Dataset) -> bytes:
    """The data set as a file."""
    target = DicomBytesIO()
    dataset.save_as(target, enforce_file_format=False)
    return target.getvalue()


def force(dataset: Dataset, tag: int, vr: str, value: bytes) -> None:
    """Write raw bytes under a tag, whatever the VR says of them."""
    value += b" " * (len(value) % 2)
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, _little(dataset))  # pyright: ignore[reportPrivateUsage]


def _little(dataset: Dataset) -> bool:
    meta = getattr(dataset, "file_meta", None) or {}
    return str(meta.get("TransferSyntaxUID", "")) != "1.2.840.10008.1.2.2"


def _attributes() -> Iterator[tuple[int, str]]:
    for tag, (vr, *_) in DicomDictionary.items():
        group = tag >> 16
        if 0x0008 <= group < 0x7F00 and not group & 1 and tag & 0xFFFF and tag not in STRUCTURE and vr != "SQ":
            yield tag, vr.split(" ")[0]


def _every_text(dataset: Dataset, tokens: Tokens) -> bytes:
    """A token in every attribute of the dictionary, in the form its VR would hold."""
    for tag, vr in _attributes():
        name = f"{tag:08x} {vr}"
        if vr in ("DS", "IS", "AS", "TM"):
            force(dataset, tag, vr, tokens.text(name).encode())
        elif vr == "UI":
            force(dataset, tag, vr, f"1.2.840.10008.{tokens.number(name)}.1".encode())
        elif vr in ("DA", "DT"):
            force(
                dataset,
                tag,
                vr,
                f"1931{tag % 12 + 1:02d}{tag % 28 + 1:02d}".encode() + (b"101112.5" if vr == "DT" else b""),
            )
        else:
            force(dataset, tag, vr, tokens.text(name).encode() + b" ")
    return saved(dataset)


def _every_number(dataset: Dataset, tokens: Tokens) -> bytes:
    """Ten digits typed into every attribute, also behind a legal first value; dates into times and text."""
    for tag, vr in _attributes():
        name = f"{tag:08x} {vr} number"
        number = tokens.number(name)
        if vr in ("DS", "IS"):
            force(dataset, tag, vr, (number if tag % 2 else f"1\\{number}").encode())
        elif vr == "UI":
            force(dataset, tag, vr, f"1.3.12.{number}.{number}".encode())
        elif vr in ("CS", "LO", "SH"):
            force(dataset, tag, vr, f"AXIAL\\{number}".encode())
        elif vr in ("DA", "DT", "TM"):
            force(dataset, tag, vr, f"{number[:8]}.{number[8:]}".encode())
        else:
            force(dataset, tag, vr, number.encode() * 4)
    return saved(dataset)


def _private(dataset: Dataset, tokens: Tokens) -> bytes:
    """Private creators that carry a token, and private values of every VR under well-known creators."""
    creators = ["SIEMENS CSA HEADER", "GEMS_IDEN_01", "Philips Imaging DD 001", "SIEMENS MR HEADER", "GEMS_PARM_01"]
    for place, group in enumerate((0x0009, 0x0019, 0x0029, 0x0043, 0x2001, 0x2005, 0x7FE1)):
        creator = creators[place % 5] if place % 2 else tokens.text("private creator")
        force(dataset, group << 16 | 0x0010, "LO", creator.encode())
        for offset, vr in enumerate(
            ("LO", "SH", "UN", "OB", "PN", "UT", "DS", "IS", "CS", "DA", "FD", "UI", "LT", "OW")
        ):
            force(dataset, group << 16 | 0x1000 | offset, vr, tokens.text(f"private {vr}").encode() + b" ")
    inner = Dataset()
    force(inner, 0x00291010, "UN", tokens.text("private in private sequence").encode())
    dataset.add_new(0x00291140, "SQ", Sequence([inner]))
    return saved(dataset)


_KEPT_SEQUENCES = ("SharedFunctionalGroupsSequence", "ReferencedImageSequence", "DimensionIndexSequence", "SourceImageSequence",
                   "RadiopharmaceuticalInformationSequence", "RequestAttributesSequence", "OtherPatientIDsSequence",
                   "DeidentificationMethodCodeSequence",
                   "ModalityLUTSequence", "ContentSequence", "SegmentSequence", "IconImageSequence",
                   "OriginalAttributesSequence")  # fmt: skip
_NESTED = ("PatientName", "PatientID", "SeriesDescription", "StationName", "KVP", "RetrieveURL", "TextValue", "CodeMeaning", "CodeValue",
           "LUTExplanation", "PixelSpacing", "FrameType", "StudyDate", "ReferencedSOPClassUID", "LUTData")  # fmt: skip


def _nested(dataset: Dataset, tokens: Tokens) -> bytes:
    """One, two and three deep, in sequences that stay and that go, of undefined and of known length."""
    for outer in _KEPT_SEQUENCES:
        items: list[Dataset] = []
        for depth in (1, 2, 3):
            inner = Dataset()
            for keyword in _NESTED:
                force(inner, int(Tag(keyword)), "LO", tokens.text(f"{outer} {depth} {keyword}").encode())
            force(inner, 0x00110010, "LO", tokens.text(f"{outer} {depth} creator").encode())
            force(inner, 0x00111001, "UN", tokens.text(f"{outer} {depth} private").encode())
            for _ in range(depth - 1):
                wrapped = Dataset()
                wrapped.PixelMeasuresSequence = Sequence([inner])
                wrapped["PixelMeasuresSequence"].is_undefined_length = bool(depth % 2)
                inner = wrapped
            items.append(inner)
        setattr(dataset, outer, Sequence(items))
        dataset[outer].is_undefined_length = len(outer) % 2 == 0
    return saved(dataset)


def _coded_unknown(dataset: Dataset, tokens: Tokens) -> bytes | None:
    """Attributes written as UN, sequences written as UN of undefined length, unknown even groups, repeating groups."""
    for keyword in ("PatientName", "InstitutionName", "KVP", "SeriesDescription", "ImageType", "FrameComments"):
        force(dataset, int(Tag(keyword)), "UN", tokens.text(f"UN {keyword}").encode() + b" ")
    for tag in (0x00220FFE, 0x00280FFE, 0x01000010, 0x7F000010, 0xFFFCFFFC, 0x00041130, 0x00180FFF):
        force(dataset, tag, "LO", tokens.text(f"unknown {tag:08x}").encode())
    for group in (0x5000, 0x501E, 0x6000, 0x6002, 0x601E):
        for element, vr in (
            (0x0022, "LO"),
            (0x1500, "LO"),
            (0x3000, "OW"),
            (0x4000, "LT"),
            (0x2500, "LO"),
            (0x1001, "CS"),
        ):
            force(dataset, group << 16 | element, vr, tokens.text(f"{group:04x}{element:04x}").encode() + b" ")
    inner = DicomBytesIO()
    body = tokens.text("UN sequence").encode() + b" "
    inner.write(
        struct.pack("<HHI", 0xFFFE, 0xE000, 8 + len(body)) + struct.pack("<HHI", 0x0010, 0x0010, len(body)) + body
    )
    force(dataset, 0x52009229, "UN", inner.getvalue())
    return saved(dataset)


def _frames_around(dataset: Dataset, tokens: Tokens) -> bytes | None:
    """File meta, preamble, bytes after the data set and after the last pixel."""
    meta = getattr(dataset, "file_meta", None)
    if not meta:
        return None
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle",
                    "ImplementationVersionName", "SourcePresentationAddress"):  # fmt: skip
        setattr(meta, keyword, tokens.text(f"meta {keyword}"))
    meta.PrivateInformationCreatorUID = f"1.2.{tokens.number('meta private creator')}"
    meta.PrivateInformation = tokens.text("meta private").encode() + b" "
    if "PixelData" in dataset and not dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.PixelData = bytes(dataset.PixelData) + tokens.text("after the last pixel").encode() * 2
    content = bytearray(saved(dataset))
    content[:15] = tokens.text("preamble").encode()
    if str(meta.TransferSyntaxUID) != "1.2.840.10008.1.2.1.99":
        content += tokens.text("after the data set").encode()
    return bytes(content)


def _high_bits(dataset: Dataset, tokens: Tokens) -> bytes | None:
    """Unused bits of the pixels, and tables whose numbers spell text."""
    meta = getattr(dataset, "file_meta", None)
    tables = ((0x00281101, 0x00281201, "palette"), (0x00281102, 0x00281202, "palette"), (0x00283002, 0x00283006, "LUT"))
    for descriptor, data, name in tables:
        text = (tokens.text(name).encode() + b"\0").ljust(64, b"\0")
        force(dataset, descriptor, "US", struct.pack("<3H", 32, 0, 16))
        force(dataset, data, "OW", text)
    inner = Dataset()
    force(inner, 0x00283002, "US", struct.pack("<3H", 32, 0, 16))
    force(inner, 0x00283006, "OW", (tokens.text("modality LUT").encode() + b"\0").ljust(64, b"\0"))
    dataset.ModalityLUTSequence = Sequence([inner])
    plain = meta is not None and str(meta.get("TransferSyntaxUID")) in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
    if plain and "PixelData" in dataset and dataset.get("BitsAllocated") == 16 and dataset.get("BitsStored", 16) <= 12:
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy() & np.uint16(0x0FFF)
        bits = np.unpackbits(np.frombuffer(tokens.text("bits above BitsStored").encode(), np.uint8))
        pixels[: bits.size] |= (bits.astype(np.uint16) << 12)[: pixels.size]
        dataset.PixelData = pixels.tobytes()
    return saved(dataset)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _streams(dataset: Dataset, tokens: Tokens) -> bytes | None:
    """Comments, application segments, unused tables, slack and extra fragments in compressed frames."""
    meta = getattr(dataset, "file_meta", None)
    if (
        not meta
        or "PixelData" not in dataset
        or not meta.get("TransferSyntaxUID")
        or not meta.TransferSyntaxUID.is_encapsulated
    ):
        return None
    frames = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1) or 1)))
    made = [_hide(frame, tokens) for frame in frames]
    dataset.PixelData = encapsulate(made, has_bot=True)
    dataset["PixelData"].is_undefined_length = True
    dataset.ExtendedOffsetTable = tokens.text("extended offset table").encode() + b" "
    dataset.ExtendedOffsetTableLengths = tokens.text("offset table lengths").encode() + b" "
    content = saved(dataset)
    end = content.rfind(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    if meta.TransferSyntaxUID.endswith("8.1"):
        return content
    behind = b"KWPYB slack ZQXJV "
    return (
        content[:end] + struct.pack("<HHI", 0xFFFE, 0xE000, len(behind)) + behind + content[end:]
        if len(frames) == 1
        else content
    )


def _hide(frame: bytes, tokens: Tokens) -> bytes:
    if frame[:2] == b"\xff\xd8":
        marks = (0xFE, 0xE0, 0xE1, 0xE2, 0xE8, 0xED, 0xEE, 0xEF)
        heads = {0xE0: b"JFIF\0\1\1\0\0\1\0\1\1\1", 0xEE: b"Adobe", 0xE8: b"mrfx"}
        hidden = b"".join(_segment(m, heads.get(m, b"") + tokens.text(f"JPEG FF{m:02X}").encode()) for m in marks)
        table = (tokens.text("JPEG unused table").encode() * 5)[:64]
        if b"\xff\xdb" in frame[:2000]:
            hidden += _segment(0xDB, b"\3" + table)
        return frame[:2] + hidden + frame[2:] + tokens.text("after JPEG").encode()
    if frame[:2] == b"\xff\x4f":
        size = int.from_bytes(frame[4:6], "big")
        comments = _segment(0x64, b"\0\1" + tokens.text("J2K comment").encode()) + _segment(
            0x64, b"\0\0" + tokens.text("J2K binary").encode()
        )
        return frame[: 4 + size] + comments + frame[4 + size :] + tokens.text("after J2K").encode()
    if len(frame) > 64 and frame[0] in (1, 2, 3, 6) and frame[1:4] == b"\0\0\0":
        return frame + tokens.text("after RLE").encode() + b" "
    return frame


def _known(dataset: Dataset, tokens: Tokens) -> bytes:
    """The patient's own values typed into what stays: names, id, birth date in many spellings."""
    tokens.text("known values")
    for keyword, value in KNOWN.items():
        setattr(dataset, keyword, value)
    dataset.StudyDescription = "Head CT Oberhuber 48151623 born 07.03.31"
    dataset.SeriesDescription = "T1 axial OBERHUBER A. 07 03 31 1.5mm"
    dataset.ProtocolName = "Annegret brain 7/3/1931 Rosenau protocol"
    force(dataset, 0x00180060, "DS", b"48151623")
    force(dataset, 0x00200011, "IS", b"48151623")
    force(dataset, 0x00181210, "SH", b"QUENDEL")
    force(dataset, 0x00080070, "LO", b"SIEMENS Klinikum Rosenau")
    force(dataset, 0x00180015, "CS", b"OBERHUBER")
    force(dataset, 0x00189073, "FD", b"48151623")
    force(dataset, 0x00181310, "US", b"48151623")
    force(dataset, 0x00181030, "LO", b"mrn 48151623")
    return saved(dataset)


def _charsets(dataset: Dataset, tokens: Tokens) -> bytes:
    """A name in one of five character sets, chosen by the size of the carrier, in a dozen attributes."""
    charset = list(CHARSETS)[len(dataset) % len(CHARSETS)]
    name, encoding = CHARSETS[charset]
    tokens.text(f"charset {charset}")
    dataset.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
    raw = name.encode(encoding)
    for keyword in ("PatientName", "SeriesDescription", "StudyDescription", "Manufacturer", "ImageComments", "ConvolutionKernel",
                    "InstitutionName", "ProtocolName", "RequestingPhysician", "BodyPartExamined", "PatientComments"):  # fmt: skip
        tag = int(Tag(keyword))
        force(dataset, tag, DicomDictionary[tag][0], raw)
    return saved(dataset)


BUNDLES: dict[str, Callable[[Dataset, Tokens], bytes | None]] = {
    "text": _every_text, "numbers": _every_number, "private": _private, "nested": _nested, "unknown": _coded_unknown,
    "around": _frames_around, "bits": _high_bits, "streams": _streams, "known": _known, "charsets": _charsets,
}  # fmt: skip


def structure(content: bytes) -> Iterator[Attack]:
    """One file per attribute that the reader needs, the token in it or behind its legal value."""
    for tag in sorted(STRUCTURE):
        for behind in (False, True):
            tokens, dataset = Tokens(), dcmread(io.BytesIO(content), force=True)
            old = dataset.get_item(tag)
            vr = DicomDictionary[tag][0].split(" ")[0]
            before = old.value if behind and old is not None and isinstance(old.value, bytes) else b""
            before = before.rstrip(b" \0") + b"\\" if before and vr not in ("US", "UI") else before
            force(dataset, tag, vr, before + tokens.text(f"structure {tag:08x}").encode())
            yield Attack(f"structure-{tag:08x}-{behind}", saved(dataset), tokens.categories)


def survivors(data: bytes) -> set[str]:
    """What of any planted token is in the bytes: numbers of tokens, halves, dates, known values."""
    plain = data.replace(b"\0", b"").lower()
    numbers = [int(part.replace(b".", b"")) for pair in TOKEN.findall(plain) for part in pair if part]
    found = {f"token {number}" for number in numbers}
    found |= {half.decode() for half in TEXT_HALVES if half in plain}
    found |= {mark.decode() for mark in KNOWN_MARKS if mark in plain}
    found |= {f"date {date.decode()}" for date in DATE.findall(plain)}
    for name, encoding in CHARSETS.values():
        for part in re.split(r"[\^=]", name):
            if not part.isascii() and any(
                part.encode(e).lower() in data.lower() for e in (encoding, "utf-8", "utf-16-le")
            ):
                found.add(f"charset {encoding}")
    return found
