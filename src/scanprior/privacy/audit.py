"""What was done to every file: audit.jsonl for machines, audit.html for people; codes and counts, never a value."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from scanprior.privacy.rules import edition, method_codes

RESIDUAL_RISK = (
    "This output is de-identified, not anonymous: pseudonymised personal data in the sense of the GDPR. Where faces were removed, "
    "an affine template mask did it and passed its fit check; with comparable tools 28-38 % of scans could still be matched to "
    "a photograph (Schwarz et al., NeuroImage 2021), ears and the shape of the skull are not altered, and removed faces can be "
    "partly regenerated (Abramian & Eklund 2019). Independently of the face, the shape of the brain identifies a person who is "
    "already in some other database (Wachinger et al., 2014, 2015). Share under agreement, and keep the key apart."
)


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


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """Counts for the report: files by outcome and reason, actions, patients, CID 7050 codes."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    patients: set[str] = set()
    for line in lines:
        outcomes[line.outcome] += 1
        if line.outcome == "quarantined":
            reasons[line.reason] += 1
        if line.outcome == "written" and line.patient:
            patients.add(line.patient)
        actions.update(line.actions)
        codes.update(line.codes)
    return {
        "files": dict(sorted(outcomes.items())),
        "reasons": dict(sorted(reasons.items())),
        "actions": dict(sorted(actions.items())),
        "codes": dict(sorted(codes.items())),
        "patients": len(patients),
        "edition": edition(),
    }


def write_audit(folder: Path, lines: list[Line], facts: dict[str, Any]) -> None:
    """Write audit.jsonl and audit.html into `folder`; `facts` are the settings (profile, options, tool version,
    counts)."""
    (folder / "audit.jsonl").write_text("".join(line.as_json() + "\n" for line in lines), encoding="utf-8")
    (folder / "audit.html").write_text(_page(lines, facts), encoding="utf-8")


def _page(lines: list[Line], facts: dict[str, Any]) -> str:
    counts = summary(lines)
    names = method_codes()
    tables = [
        _table("Settings", [(key, _plain(value)) for key, value in facts.items()]),
        _table("Files", list(counts["files"].items())),
        _table("Why files were quarantined", list(counts["reasons"].items())),
        _table("What was done (attributes or frames)", list(counts["actions"].items())),
        _table(
            "CID 7050 codes written (files)",
            [(f"{code} {names.get(code, '')}", n) for code, n in counts["codes"].items()],
        ),
        _table(
            "Quarantined files",
            [(f"{line.file} ({line.reason})", line.sentence) for line in lines if line.outcome == "quarantined"],
        ),
    ]
    body = "\n".join(tables)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>De-identification audit</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;width:100%;margin-bottom:2rem}td{border-top:1px solid #ccc;padding:.3rem .6rem;"
        "vertical-align:top;overflow-wrap:anywhere}td:first-child{width:45%}h2{font-size:1.1rem;margin-bottom:.3rem}"
        "p.risk{border-left:4px solid #b45;padding-left:1rem}</style></head><body><h1>De-identification audit</h1>"
        f"<p>Table E.1-1 of DICOM PS3.15 {edition()}, &copy; NEMA; an allow-list decides first.</p>"
        f'<p class="risk">{html.escape(RESIDUAL_RISK)}</p>{body}</body></html>\n'
    )


def _table(title: str, rows: list[tuple[Any, Any]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td>{html.escape(str(value))}</td></tr>" for key, value in rows
    )
    return f"<h2>{html.escape(title)}</h2><table>{cells}</table>"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
