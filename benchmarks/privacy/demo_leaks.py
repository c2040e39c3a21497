"""Search every byte that a finished demo left outside private/ for every identifier that was planted in its raw files.

    python benchmarks/privacy/demo_leaks.py [house]     (after make demo)

prints files and bytes searched, and the identifiers found beside the limit of none. Parquet, gzip and sqlite are read as
what they hold; text is looked for in UTF-8, Latin-1 and UTF-16.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

import pandas as pd

PUBLIC = ("results", "work", "logs", ".snakemake")


def main() -> None:
    """Read the list, search, print; exit 1 when anything was found."""
    house = Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd()
    planted = json.loads((house / "data/demo/raw-truth/planted.json").read_text(encoding="utf-8"))
    whole = [item["value"] for item in planted if item["whole"]]
    plain = [item["value"] for item in planted if not item["whole"]]
    patterns = [
        re.compile("|".join(re.escape(value) for value in plain), re.IGNORECASE),
        re.compile(rf"(?<![\d.])(?:{'|'.join(re.escape(value) for value in whole)})(?![\d.])"),
    ]
    files = sorted(file for folder in PUBLIC for file in (house / folder).rglob("*") if file.is_file())
    files = [file for file in files if folder_of(file, house) in (None, "demo")]
    found: list[str] = []
    size = 0
    for file in files:
        size += file.stat().st_size
        for text in (file.relative_to(house).as_posix(), *readings(file)):
            for pattern in patterns:
                found += [f"{file.relative_to(house)}: {match[0]}" for match in list(pattern.finditer(text))[:3]]
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


def readings(file: Path) -> list[str]:
    """The file as text, in the ways that text may be stored in it."""
    if file.suffix == ".parquet":
        return [pd.read_parquet(file).to_csv()]
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return [data.decode("utf-8", "ignore"), data.decode("latin-1"), data.decode("utf-16-le", "ignore")]


if __name__ == "__main__":
    main()
