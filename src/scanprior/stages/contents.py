"""Keyed digests of what was delivered for each scan, so that whoever reads it notices a mended file or label map."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scanprior.scans.cohort import Scan

READERS = 4
CHUNK = 1 << 20


def contents(scans: Sequence[Scan], key: bytes, root: Path) -> list[str]:
    """A digest per scan over all bytes of its files and of its label map (header, place and spacing too, which the digest of
    the voxels leaves out), and over their paths from `root`, from which the files' pseudonyms are made."""

    def digest(scan: Scan) -> str:
        found = hashlib.blake2b(key=key, digest_size=8)
        for file in (*scan.source.files, *([scan.label_map] if scan.label_map else [])):
            found.update(os.path.relpath(file, root).encode(errors="surrogateescape") + b"\0" + _of_file(file))
        return found.hexdigest()

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(digest, scans))


def _of_file(file: Path) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    return found.digest()
