"""Search every byte that a finished demo left outside private/ for every identifier that was planted in its raw files.

    python benchmarks/privacy/demo_leaks.py [house]     (after make demo)

prints files and bytes searched, and the identifiers found beside the limit of none. Parquet and gzip are read as what
they hold; text is looked for in UTF-8, Latin-1 and UTF-16, upper and lower case.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

PUBLIC = ("results", "work", "logs", ".snakemake")


def main() -> None:
    """Read the list, search, print; exit 1 when anything was found."""
    house = Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd()
    planted = json.loads((house / "data/demo/raw-truth/planted.json").read_text(encoding="utf-8"))
    needles = Needles(planted)
    files = sorted(file for folder in PUBLIC for file in (house / folder).rglob("*") if file.is_file())
    files = [file for file in files if folder_of(file, house) in (None, "demo")]
    found: list[str] = []
    size = 0
    for file in files:
        size += file.stat().st_size
        for content in (file.relative_to(house).as_posix().encode(), reading(file)):
            found += [f"{file.relative_to(house)}: {value}" for value in sorted(set(needles.found_in(content)))]
    for line in found[:20]:
        print(line)
    print(
        f"{len(files)} files, {size / 1e6:.0f} MB searched for {len(planted)} identifiers: {len(found)} found, limit 0"
    )
    sys.exit(bool(found))


def folder_of(file: Path, house: Path) -> str | None:
    """The study that a file belongs to, None for Snakemake's own."""
    parts = file.relative_to(house).parts
    return None if parts[0] == ".snakemake" else parts[1]


def reading(file: Path) -> bytes:
    """What the file holds, unpacked as far as it can be."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).to_csv().encode()
    data = file.read_bytes()
    with suppress(EOFError):
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return data


class Needles:
    """Every spelling of the planted identifiers, found by a table of the hashes of their first four bytes."""

    def __init__(self, planted: Iterable[dict]) -> None:
        self.spellings: dict[bytes, list[tuple[bytes, str, bool]]] = {}
        for item in planted:
            for spelling in spellings(item["value"]):
                self.spellings.setdefault(spelling[:4], []).append((spelling, item["value"], item["whole"]))
        self.table = np.zeros(1 << 20, dtype=bool)
        for start in self.spellings:
            self.table[hashes(start)] = True

    def found_in(self, content: bytes) -> Iterator[str]:
        """The identifiers in these bytes; a `whole` one (a date, a number) counts only where no digit or point touches it."""
        content = content.lower()
        for at in np.flatnonzero(self.table[hashes(content)]) if len(content) >= 4 else ():
            for spelling, value, whole in self.spellings.get(content[at : at + 4], ()):
                end = at + len(spelling)
                around = content[max(at - 1, 0) : at] + content[end : end + 1]
                if content[at:end] == spelling and not (whole and set(around) & set(b"0123456789.")):
                    yield value


def spellings(value: str) -> set[bytes]:
    """A text in the encodings and cases that a file may hold, ASCII letters small."""
    cases = (value, value.lower(), value.upper(), value.title())
    encoded = {
        text.encode(code, "ignore").lower()
        for text in cases
        for code in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
        if text.encode(code, "ignore").decode(code) == text
    }
    return {spelling for spelling in encoded if len(spelling) >= 4}


def hashes(data: bytes) -> np.ndarray:
    """20-bit hash of every window of four bytes."""
    flat = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
    windows = flat[:-3] | flat[1:-2] << np.uint32(8) | flat[2:-1] << np.uint32(16) | flat[3:] << np.uint32(24)
    return (windows * np.uint32(2654435761)) >> np.uint32(12)


if __name__ == "__main__":
    main()
