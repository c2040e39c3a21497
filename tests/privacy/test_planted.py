"""No planted identifier of any category survives, in any encoding, in any output byte or name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planted import planted

from scanprior.stages.deidentify import deidentify_folder
from scanprior.stages.verify import verify

KEY = bytes(range(32))
ENCODINGS = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "gb18030",
    "iso8859_5",
    "iso8859_7",
    "iso8859_2",
    "iso8859_9",
    "shift_jis",
)


def spellings(token: str) -> set[bytes]:
    found: set[bytes] = set()
    for encoding in ENCODINGS:
        try:
            found.add(token.encode(encoding).lower())
        except UnicodeEncodeError:
            continue
    return found


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("raw")
    tokens: list[tuple[str, str]] = []
    for number, one in enumerate(planted()):
        place = folder / f"QZXFOLDER{number % 3}"
        place.mkdir(exist_ok=True)
        (place / f"IM{number:04d}.dcm").write_bytes(one.content)
        tokens.append((one.category, one.token))
    (folder / "QZXFOLDER0" / "QZXREPORT.pdf").write_bytes(b"%PDF-1.4 QZXREPORT")
    (folder / "QZXFOLDER0" / "QZXNOTES.txt").write_text("QZXNOTES about the patient")
    return folder, [*tokens, ("folder name", "QZXFOLDER"), ("stray file", "QZXREPORT"), ("stray text", "QZXNOTES")]


def output_bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize(("profile", "text"), [("basic", "auto"), ("research", "keep")])
def test_no_planted_identifier_survives(delivery, tmp_path, profile, text):
    source, tokens = delivery
    done = deidentify_folder(source, tmp_path / "out", key=KEY, profile=profile, faces="keep", text=text)
    everything = b"".join(name.encode() + content for name, content in output_bytes(tmp_path / "out").items()).lower()
    survivors = [category for category, token in tokens if any(one in everything for one in spellings(token))]
    assert survivors == []
    assert len(tokens) >= 200
    # What passes by refusing everything proves nothing.
    assert done.files["written"] > 0.9 * len(tokens)
    assert sum(done.files.values()) == len(tokens) - 1  # the folder's name is no file


def test_second_pass_agrees_and_the_audit_counts_every_file_without_a_value(delivery, tmp_path):
    source, tokens = delivery
    deidentify_folder(source, tmp_path / "out", key=KEY, profile="research", faces="keep")
    assert verify(source, tmp_path / "out", KEY) == []
    lines = [json.loads(line) for line in (tmp_path / "out/audit.jsonl").read_text().splitlines()]
    assert len(lines) == len(tokens) - 1
    assert {line["outcome"] for line in lines} <= {"written", "quarantined", "duplicate"}
    assert all(line["sentence"] and line["reason"] for line in lines if line["outcome"] == "quarantined")
    assert "not anonymous" in (tmp_path / "out/audit.html").read_text()


def test_second_pass_finds_what_a_careless_tool_leaves(delivery, tmp_path):
    """Copies of the originals: every category that is text or UID must be found by its kind."""
    source, _ = delivery
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.dcm").write_bytes((source / "QZXFOLDER0" / "IM0000.dcm").read_bytes())
    kinds = {finding.kind for finding in verify(source, out, KEY)}
    assert {"name", "uid", "id", "date"} <= kinds


def test_rerun_writes_the_same_bytes_and_leaves_the_source_alone(delivery, tmp_path):
    source, _ = delivery
    before = output_bytes(source)
    for name in ("one", "two"):
        deidentify_folder(source, tmp_path / name, key=KEY, faces="keep", workers=1 if name == "one" else 2)
    assert output_bytes(tmp_path / "one") == output_bytes(tmp_path / "two")
    assert output_bytes(source) == before
