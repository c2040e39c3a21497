"""Walk a delivery as it comes: which files may be scans, which only accompany them, which are neither."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from scanprior.scans.nifti import is_nifti

# Files that describe scans or the data set; read or ignored on purpose, and no news for the quarantine table.
COMPANIONS = (".json", ".tsv", ".csv", ".xlsx", ".xls", ".bval", ".bvec", ".md", ".yaml", ".yml")
COMPANION_NAMES = {"readme", "changes", "license", "participants", "dicomdir", "sha256sums", "md5sums"}
SYSTEM_NAMES = {".ds_store", "thumbs.db", "desktop.ini"}
BIDS_SIDE_FOLDERS = {"derivatives", "sourcedata", "code", "stimuli"}
SIGNATURES = (
    (b"%PDF", "pdf", "a PDF document, not a scan"),
    (b"PK\x03\x04", "archive", "a zip archive; unpack it to use what is inside"),
    (b"Rar!", "archive", "a rar archive; unpack it to use what is inside"),
    (b"7z\xbc\xaf", "archive", "a 7z archive; unpack it to use what is inside"),
    (b"\x89PNG", "picture", "a picture (PNG), not a scan"),
    (b"\xff\xd8\xff", "picture", "a picture (JPEG), not a scan"),
)


@dataclass(frozen=True, repr=False)
class Rejected:
    """A file that is no usable scan. The path is private; reason and sentence may be shown."""

    path: Path
    reason: str
    sentence: str


class Delivery(NamedTuple):
    """The files of a tree, sorted by path: DICOM and NIfTI candidates, and what was turned away."""

    dicom: list[Path]
    nifti: list[Path]
    rejected: list[Rejected]


def walk(root: Path, *, skip: Set[Path] = frozenset()) -> Delivery:
    """Sort all files below `root` by content (DICOM with or without suffix and preamble) or name (NIfTI).

    Links are followed to files inside the tree only, each file once; folders that are links, hidden folders and the
    resolved paths in `skip` are left out. In a BIDS tree so are derivatives, sourcedata and code.
    """
    root = root.resolve()
    bids = is_bids(root)
    found = Delivery([], [], [])
    seen: set[Path] = set()
    for path in _files(root, bids=bids, skip=skip, found=found):
        target = path
        if path.is_symlink():
            try:
                target = path.resolve()
                there = target.is_file()
            except (OSError, RuntimeError):  # no right to look, or links in a circle
                there = False
            if not there:
                found.rejected.append(
                    Rejected(path, "broken-link", "a link whose target is not there (not downloaded?)")
                )
                continue
            if not target.is_relative_to(root):
                found.rejected.append(
                    Rejected(path, "link-outside", "a link out of the scans folder; links stay inside")
                )
                continue
        if target in seen or target in skip:
            continue
        seen.add(target)
        _sort(path, found)
    return found


def is_bids(root: Path) -> bool:
    """Whether the folder looks like the top of a BIDS data set."""
    return (root / "dataset_description.json").is_file() or (root / "participants.tsv").is_file()


def _files(folder: Path, *, bids: bool, skip: Set[Path], found: Delivery) -> Iterator[Path]:
    """Files below a folder in sorted order: real files before links, so that a link to a walked file adds nothing. A folder
    that can't be opened is noted as turned away."""
    links: list[Path] = []
    folders = [folder]
    while folders:
        current = folders.pop()
        try:
            with os.scandir(current) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except PermissionError as error:
            found.rejected.append(Rejected(current, "unreadable", f"the folder can't be opened ({error.strerror})"))
            continue
        files: list[Path] = []
        for entry in ordered:
            path = Path(entry.path)
            if entry.is_symlink():
                if not os.path.isdir(path):  # noqa: PTH112  unlike Path's, never an error
                    links.append(path)
            elif entry.is_dir():
                hidden = entry.name.startswith(".")
                aside = bids and current == folder and entry.name in BIDS_SIDE_FOLDERS
                if not hidden and not aside and path not in skip:
                    folders.append(path)
            elif entry.is_file():
                files.append(path)
        yield from reversed(files)
    yield from sorted(links)


def _sort(path: Path, found: Delivery) -> None:
    name = path.name.lower()
    if name.startswith("._") or name in SYSTEM_NAMES:
        found.rejected.append(Rejected(path, "system-file", "a file that an operating system left behind"))
        return
    if is_nifti(path):
        found.nifti.append(path)
        return
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        found.rejected.append(Rejected(path, "unreadable", f"the file can't be opened ({error.strerror})"))
        return
    if not start:
        found.rejected.append(Rejected(path, "empty", "the file is empty"))
    elif start[128:132] == b"DICM" or _starts_like_dicom(start):
        found.dicom.append(path)
    elif name.endswith(COMPANIONS) or path.stem.lower() in COMPANION_NAMES or name.startswith(".bids"):
        return
    else:
        for signature, reason, sentence in SIGNATURES:
            if start.startswith(signature):
                found.rejected.append(Rejected(path, reason, sentence))
                return
        found.rejected.append(Rejected(path, "not-a-scan", "neither DICOM nor NIfTI"))


def _starts_like_dicom(start: bytes) -> bool:
    """A data set without preamble begins with a small tag of group 0002 or 0008 and a plausible VR or length."""
    if len(start) < 8 or start[:2] not in (b"\x02\x00", b"\x08\x00") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 256
