"""The private page of faces: what was decided for each head, with a picture before and after, for a person to look through.

It shows faces, so it lies under private/<study>/ and nowhere else; one HTML file without links, so that it can be opened
anywhere and deleted at once.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from scanprior.privacy.series import write

_ORDER = ("quarantined", "outside", "already-gone", "stripped", "removed")
_MEANING = {
    "quarantined": "not passed on: a face may be left",
    "outside": "passed on as it is: the face lies outside the field of view",
    "already-gone": "passed on as it is: the face had been removed before",
    "stripped": "passed on as it is: skull and face had been removed before",
    "removed": "passed on without its face",
}


class Entry(NamedTuple):
    """One head: pseudonyms, verdict, nats of the fit (0: none), and the share of voxels removed."""

    scan: str
    patient: str
    verdict: str
    information: float
    removed: float


def keep(folder: Path, entry: Entry, picture: bytes | None) -> None:
    """Note one head in `folder`; a later note of the same scan replaces it."""
    target = folder / f"{entry.scan}.png"
    if picture is None:
        target.unlink(missing_ok=True)
    else:
        write(target, picture)
    write(
        folder / f"{entry.scan}.json", (json.dumps(entry._asdict()) + "\n").encode()
    )  # whole: another shard may read it


def forget(folder: Path, scan: str) -> None:
    """Drop the note of a scan, of an earlier run that looked for its face."""
    for ending in ("json", "png"):
        (folder / f"{scan}.{ending}").unlink(missing_ok=True)


def page(folder: Path, scans: Collection[str]) -> str:
    """The page of all heads noted in `folder` that are of `scans` (older notes may lie there): what to look at first, in
    doubt or with the weakest fit, comes first."""
    entries: list[Entry] = []
    for scan in scans:
        with suppress(FileNotFoundError):
            entries.append(Entry(**json.loads((folder / f"{scan}.json").read_text(encoding="utf-8"))))
    entries.sort(key=lambda one: (_rank(one.verdict), one.information, one.scan))
    counts = {verdict: sum(one.verdict == verdict for one in entries) for verdict in _ORDER}
    rows = "".join(
        f"<tr><td>{counts[one]}</td><td>{one}</td><td>{_MEANING[one]}</td></tr>" for one in _ORDER if counts[one]
    )
    cards = "\n".join(_card(folder, entry) for entry in entries)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Faces: private</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "p.private{border-left:4px solid #b45;padding-left:1rem}table{border-collapse:collapse;margin-bottom:2rem}"
        "td{border-top:1px solid #ccc;padding:.2rem .8rem}main{display:flex;flex-wrap:wrap;gap:1.5rem}"
        "figure{margin:0;width:22rem}figure img{width:100%;background:#000}figcaption{font-size:.9rem}</style></head><body>"
        '<h1>Faces before and after</h1><p class="private">Private: these pictures show faces. Do not copy this page; delete it '
        "when it has been looked through.</p>"
        "<p>Left before, right after; above the middle of the head from the side, below its surface from the front. Look for eyes, "
        "nose or mouth on the right, and for missing brain. The fit is in nats: the weaker, the sooner it deserves a look.</p>"
        f"<table>{rows}</table><main>{cards}</main></body></html>\n"
    )


def _card(folder: Path, entry: Entry) -> str:
    picture = folder / f"{entry.scan}.png"
    shown = "<p>no picture</p>"
    if picture.exists():
        code = base64.b64encode(picture.read_bytes()).decode("ascii")
        shown = f'<img alt="{html.escape(entry.scan)}: before and after" src="data:image/png;base64,{code}">'
    fit = f", fit {entry.information:.2f}" if entry.information else ""
    gone = f", {100 * entry.removed:.1f} % of the voxels removed" if entry.removed else ""
    caption = html.escape(f"{entry.scan} ({entry.patient}): {entry.verdict}{fit}{gone}")
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _rank(verdict: str) -> int:
    return _ORDER.index(verdict) if verdict in _ORDER else len(_ORDER)
