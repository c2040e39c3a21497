"""What was done to every file: audit.jsonl for machines, audit.html for people; codes and counts, never a value."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from scanprior.privacy.rules import edition, method_codes

RESIDUAL_RISK = (
    "This output is de-identified, not anonymous: pseudonymised personal data in the sense of the GDPR. Where faces were removed, "
    "an affine template mask did it and passed its fit check; with comparable tools 28-38 % of scans could still be matched to "
    "a photograph (Schwarz et al., NeuroImage 2021), ears and the shape of the skull are not altered, and removed faces can be "
    "partly regenerated (Abramian & Eklund 2019). Independently of the face, the shape of the brain identifies a person who is "
    "already in some other database (Wachinger et al., 2014, 2015). Share under agreement, and keep the key apart."
)


LISTED = 500  # quarantined files that audit.html names; audit.jsonl has all
_OUTCOMES = {
    "written": "written",
    "quarantined": "quarantined, not written",
    "duplicate": "the same image once more, not written",
}
_ACTIONS = {
    "removed": "removed: not on the allow-list, or kept by no option",
    "private": "private attributes removed",
    "rejected": "removed: the value is not of its kind",
    "unreadable": "removed: the value cannot be read",
    "replaced": "replaced by pseudonyms (names, ids, UIDs)",
    "shifted": "dates moved",
    "capped": "ages over 89 made one class",
    "cleaned": "descriptions reduced to imaging words",
    "rounded": "activities rounded to four digits",
    "swept": "removed: the value held something known of the patient",
    "scrubbed": "compressed frames freed of comments, tables or slack",
    "trimmed": "bytes behind the last pixel cut off",
    "masked": "bits above the stored ones cleared",
    "blanked": "frames or volumes with pixels blanked",
    "already-deidentified": "files that another tool had marked as de-identified",
    "text-fields": "text fields and extensions of NIfTI headers dropped",
}


class Line(NamedTuple):
    """One input file: its pseudonym, whether it was written or quarantined, why, and what was done how often."""

    file: str
    patient: str | None
    outcome: str  # written | quarantined | duplicate
    reason: str
    sentence: str
    actions: dict[str, int]
    codes: tuple[str, ...]
    output: str

    def as_json(self) -> str:
        """One line of audit.jsonl, empty fields left out."""
        return json.dumps(
            {key: value for key, value in self._asdict().items() if value}, sort_keys=True, ensure_ascii=True
        )


class Tally:
    """Counts over audit lines, kept as they come: files by outcome and reason, actions, patients, CID 7050 codes."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._patients: set[str] = set()

    @property
    def files(self) -> int:
        """How many files were counted."""
        return sum(self.outcomes.values())

    def add(self, line: Mapping[str, Any]) -> None:
        """Count one line, as it stands in audit.jsonl (empty fields left out)."""
        self.outcomes[line["outcome"]] += 1
        if line["outcome"] == "quarantined":
            self._reasons[line["reason"]] += 1
        if line["outcome"] == "written" and line.get("patient"):
            self._patients.add(line["patient"])
        self._actions.update(line.get("actions", {}))
        self._codes.update(line.get("codes", ()))

    def summary(self) -> dict[str, Any]:
        """The counts as plain values."""
        return {
            "files": dict(sorted(self.outcomes.items())),
            "reasons": dict(sorted(self._reasons.items())),
            "actions": dict(sorted(self._actions.items())),
            "codes": dict(sorted(self._codes.items())),
            "patients": len(self._patients),
            "edition": edition(),
        }


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """Counts for the report over all `lines`."""
    tally = Tally()
    for line in lines:
        tally.add({key: value for key, value in line._asdict().items() if value})
    return tally.summary()


def write_audit(
    folder: Path, lines: Iterable[str], facts: dict[str, Any], tally: Tally, marks: Mapping[str, str]
) -> None:
    """Write audit.jsonl from `lines` (JSON, in their order) and audit.html from `facts` (settings) and counts; each appears
    whole or not at all. `marks` tell the key and the source from others without naming them."""
    listed: list[tuple[str, str]] = []
    part = folder / ".audit.part"
    with part.open("w", encoding="utf-8") as stream:
        for line in lines:
            stream.write(line + "\n")
            if len(listed) < LISTED and '"outcome": "quarantined"' in line:
                content = json.loads(line)
                listed.append((f"{content['file']} ({content['reason']})", content["sentence"]))
    part.replace(folder / "audit.jsonl")
    part.write_text(_page(listed, facts, tally, marks), encoding="utf-8")
    part.replace(folder / "audit.html")


def made_with(folder: Path) -> str:
    """The fingerprint of the key that an output folder was made with, "" where there is no audit."""
    return _mark(folder, "key")


def made_from(folder: Path) -> str:
    """The mark of the source that an output folder was made from, "" where there is no audit, or an old one."""
    return _mark(folder, "source")


def _mark(folder: Path, name: str) -> str:
    try:
        with (folder / "audit.html").open(encoding="utf-8") as stream:
            found = re.search(rf'name="scanprior-{name}" content="([0-9a-f]+)"', stream.read(1000))
    except OSError:
        return ""
    return found[1] if found else ""


def _page(listed: list[tuple[str, str]], facts: dict[str, Any], tally: Tally, marks: Mapping[str, str]) -> str:
    counts = tally.summary()
    names = method_codes()
    refused = counts["files"].get("quarantined", 0)
    more = f"; {refused - len(listed):,} more are in audit.jsonl" if refused > len(listed) else ""
    tables = [
        _table("Files", [(_OUTCOMES[name], n) for name, n in counts["files"].items()]),
        _table("Settings", [(key, _plain(value)) for key, value in facts.items()]),
        _table("Why files were quarantined", [(_words(name), n) for name, n in counts["reasons"].items()]),
        _table(
            "What was done (attributes, values or frames)",
            [(_ACTIONS.get(name, _words(name)), n) for name, n in counts["actions"].items()],
        ),
        _table(
            "Codes of CID 7050 written into (0012,0064) (files)",
            [(f"{code} {names.get(code, '')}", n) for code, n in counts["codes"].items()],
        ),
        _table(f"Quarantined files, by pseudonym{more}", listed, wide=True),
    ]
    body = "\n".join(tables)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        + "".join(f'<meta name="scanprior-{name}" content="{mark}">' for name, mark in marks.items())
        + "<title>De-identification audit</title><style>"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;width:100%;margin-bottom:2rem}td{border-top:1px solid #ccc;padding:.3rem .6rem;"
        "vertical-align:top;overflow-wrap:anywhere}td:first-child{width:55%}table.wide td:first-child{width:17rem}"
        "td.n{text-align:right;font-variant-numeric:tabular-nums}h2{font-size:1.1rem;margin-bottom:.3rem}"
        "p.risk{border-left:4px solid #b45;padding-left:1rem}</style></head><body><h1>De-identification audit</h1>"
        f"<p>{sum(counts['files'].values()):,} files, {counts['patients']:,} patients in the output. Table E.1-1 of DICOM PS3.15 "
        f"{edition()}, &copy; NEMA; an allow-list decides first.</p>"
        f'<h2>What remains</h2><p class="risk">{html.escape(RESIDUAL_RISK)}</p>{body}</body></html>\n'
    )


def _table(title: str, rows: Sequence[tuple[Any, Any]], *, wide: bool = False) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td>{html.escape(str(key))}</td>"
        + (f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{html.escape(str(value))}</td>")
        + "</tr>"
        for key, value in rows
    )
    return f"<h2>{html.escape(title)}</h2><table{' class=wide' if wide else ''}>{cells}</table>"


def _words(name: str) -> str:
    return name.replace("-", " ")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return (
            ", ".join(f"{_words(str(key))}: {number}" for key, number in cast("dict[str, Any]", value).items())
            or "none"
        )
    return ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
