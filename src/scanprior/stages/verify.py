"""The command verify, and the pipeline's gate: no original value may be anywhere in the output, in no name and in
no byte."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scanprior.errors import ScanpriorError
from scanprior.privacy.audit import made_with
from scanprior.privacy.crosswalk import Crosswalk, crosswalk_beside
from scanprior.privacy.needles import Needles
from scanprior.privacy.pseudonyms import date_offset, fingerprint, identity_of, read_key
from scanprior.privacy.rules import kept_by
from scanprior.privacy.second_parser import read_values
from scanprior.privacy.secondpass import (
    ALWAYS,
    Dates,
    Finding,
    declared_charsets,
    decoded,
    original_values,
    search_file,
)


class Originals(NamedTuple):
    """What the inputs say: values as (kind, text), who they are (for the offsets of their dates), and how many inputs could
    not be read."""

    values: frozenset[tuple[str, str]]
    identities: frozenset[str]
    unread: int = 0


def originals_of(files: Iterable[Path], *, extra: Iterable[str] = (), kept: frozenset[int] = frozenset()) -> Originals:
    """Collect the original values of all files; `extra` are further ids (of label tables) to search for, `kept` the
    attributes that an option keeps as they are."""
    values: set[tuple[str, str]] = set()
    identities: set[str] = set(extra)
    unread = 0
    for file in files:
        try:
            values |= original_values(file, kept=kept)
            identities |= _identities(file)
        except OSError:
            unread += 1
    values |= {("id", text) for text in identities if len(text) > 3 and not text.startswith(("name:", "study:"))}
    return Originals(frozenset(values), frozenset(identities - {""}), unread)


def search(folder: Path, originals: Originals, key: bytes, *, offsets: Iterable[int] = ()) -> Iterator[Finding]:
    """Search every file below `folder`, names and bytes; findings name output files only. `offsets` are further days by
    which dates may have been moved (of a crosswalk)."""
    needles = Needles(originals.values)
    dates = {text[:8] for kind, text in originals.values if kind in ("date", "birth date")}
    check = Dates(dates, (*(date_offset(key, identity) for identity in originals.identities), *offsets))
    for file in _files(folder):
        yield from search_file(file, file.relative_to(folder).as_posix(), needles, check)


def verify(
    src: Path, dst: Path, key: bytes, *, crosswalk: Path | None = None, options: tuple[str, ...] = ()
) -> list[Finding]:
    """Findings of original values of the tree `src` in the tree `dst`, which was made with `key`, and with `crosswalk` where
    that file exists. What the standard's `options` keep as it is (PS3.15 Table E.1-1) is not looked for.

    Raises:
        ScanpriorError: one of the two is no folder, `dst` holds nothing or was made with another key, the crosswalk
            cannot be used, or files of `src` cannot be read.
    """
    for folder, name in ((src, "SRC"), (dst, "DST")):
        if not folder.is_dir():
            raise ScanpriorError(f"{name} is no folder", hint="scanprior verify SRC DST --key FILE")
    if not any(_files(dst)):
        raise ScanpriorError(
            "DST holds no file, so there is nothing to verify", hint="scanprior deidentify SRC DST --key FILE"
        )
    if made_with(dst) not in ("", fingerprint(key)):
        raise ScanpriorError("DST was made with another key", hint="give the key that it was made with")
    offsets: set[int] = set()
    if crosswalk is not None and crosswalk.exists():
        with Crosswalk(crosswalk, key) as names:
            offsets = names.offsets()
    originals = originals_of(_files(src), kept=kept_by(options))
    if originals.unread:
        raise ScanpriorError(
            f"{originals.unread} files of SRC cannot be read, so what they say of a patient was not searched for",
            hint="make them readable, or take them out of SRC",
        )
    return list(search(dst, originals, key, offsets=offsets))


def command(source: Path, destination: Path, *, key: Path, options: tuple[str, ...] = ()) -> int:
    """Run `scanprior verify`; prints one line per finding and returns the exit code."""
    findings = verify(source, destination, read_key(key), crosswalk=crosswalk_beside(key), options=options)
    for finding in findings:
        print(f"{finding.file}: an original {finding.kind} is in its {finding.where}")
    print(f"{len(findings)} findings" if findings else "no original value was found")
    return 1 if findings else 0


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(files) if (path := Path(place) / name).is_file())


def _identities(file: Path) -> set[str]:
    """The patient's identity as the first pass would write it, read by this pass's own parser in every character set
    that the file declares."""
    found = {0x00100020: b"", 0x00100010: b"", 0x00100030: b"", 0x0020000D: b""}
    charsets = dict.fromkeys(ALWAYS)
    if file.name.lower().endswith((".nii", ".nii.gz")):
        return set()
    for value in read_values(file.read_bytes()):
        if value.tag == 0x00080005:
            charsets |= dict.fromkeys(declared_charsets(value.data))
        if value.tag in found and not value.depth:
            found[value.tag] = value.data
    return {identity_of(*(decoded(data, charset) for data in found.values())) for charset in charsets}
