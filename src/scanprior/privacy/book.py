"""The book of a run: outcomes as they come, from which an interrupted run goes on, and what earlier runs left in the output.

Outcomes of jobs go to a progress file in the output folder, under pseudonyms; those of other files to a file without a
name. Together they become the audit. What an earlier run wrote and this one did not is removed at the end: an output
that the audit does not account for could be a face that was not looked for, or a patient who has withdrawn.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from scanprior import __version__
from scanprior.errors import ScanpriorError
from scanprior.privacy import audit, rules
from scanprior.privacy.audit import Line, Tally
from scanprior.privacy.pseudonyms import fingerprint

PROGRESS = ".scanprior-progress"
_PART = re.compile(r"\..*\.\d+\.part")  # what `series.write` leaves when it is killed


class Job(NamedTuple):
    """One series, or one NIfTI file with its place in the output: names relative to the source, whose it is, and how many
    images of other series lie in the same frame of reference."""

    files: list[str]
    identity: str
    target: str = ""
    beside: int = 0


class Done(NamedTuple):
    """What became of a job: audit lines as JSON, and what the face stage saw."""

    lines: list[str]
    face: str


def refuse_foreign(target: Path, source: Path, key: bytes) -> None:
    """Refuse an output folder in which another key, or another source, has left something.

    Raises:
        ScanpriorError: the patients would get second names, or the audit would no longer account for what lies there.
    """
    _, begun_from, begun_with = _head(target)
    if {audit.made_with(target), begun_with} - {"", fingerprint(key)}:
        raise ScanpriorError(
            "DST was made with another key, so that its patients would get second names",
            hint="give the key that it was made with, or another DST",
        )
    if {audit.made_from(target), begun_from} - {"", source_mark(source, key)}:
        raise ScanpriorError(
            "DST holds the output of another SRC, for which its audit would no longer account",
            hint="choose another DST, or empty this one",
        )


def source_mark(source: Path, key: bytes) -> str:
    """What tells a source folder from others without naming it."""
    return _sign(key, f"source {source.resolve()}")[:16]


class Book:
    """Outcomes as they come; a context manager that holds its files open."""

    def __init__(self, source: Path, target: Path, key: bytes, settings: dict[str, Any]) -> None:
        self._source, self._target, self._key, self._settings = source, target, key, settings
        self._before: dict[str, tuple[int, int, str]] = {}  # digest of a job: where its lines begin, how many, its face
        # pseudonym of the file, in which of the two, where, how long
        self._index: list[tuple[str, bool, int, int]] = []
        self._faces: Counter[str] = Counter()
        self._earlier: set[str] = set()  # outputs of earlier runs that this one has not written (yet)
        self.tally = Tally()

    def __enter__(self) -> Book:
        self._earlier = set(_outputs(self._target / "audit.jsonl"))
        # Other settings, or another version: nothing of the earlier run counts.
        run = json.dumps([__version__, rules.edition(), *map(str, self._settings.values())])
        head = f"{_sign(self._key, run)} {source_mark(self._source, self._key)} {fingerprint(self._key)}\n".encode()
        if (self._target / PROGRESS).exists():
            self._earlier |= set(_outputs(self._target / PROGRESS))
            for part in self._target.rglob(".*.part"):
                if _PART.fullmatch(part.name):
                    part.unlink()
        self._file = (self._target / PROGRESS).open("a+b")
        self._spool = tempfile.TemporaryFile(dir=self._target)
        self._file.seek(0)
        if self._file.readline() != head:
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(head)
            self._file.flush()
        self._file.seek(len(head))
        self._scan()
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()
        self._file.close()

    def digest(self, job: Job) -> str:
        """What tells whether a job is the same as before: names, sizes and times of its files, under the key."""
        stats = [os.stat(self._source / relative) for relative in job.files]  # noqa: PTH116  a Path per file is slow
        return _sign(self._key, json.dumps([*job, *((one.st_size, one.st_mtime_ns) for one in stats)]))

    def remembered(self, digest: str) -> Done | None:
        """The outcome of a job that an interrupted run had finished, when all it wrote is still there."""
        if digest not in self._before:
            return None
        at, count, face = self._before[digest]
        self._file.seek(at)
        lines = [self._file.readline().decode().rstrip("\n") for _ in range(count)]
        written = [line for line in map(json.loads, lines) if line["outcome"] == "written"]
        if not all((self._target / line["output"]).is_file() for line in written):
            return None
        return Done(lines, face)

    def note(self, digest: str, done: Done) -> None:
        """Put down the outcome of a job."""
        if digest not in self._before:
            head = json.dumps({"job": digest, "count": len(done.lines), "face": done.face}) + "\n"
            at = self._file.seek(0, os.SEEK_END) + len(head)
            self._file.write((head + "".join(line + "\n" for line in done.lines)).encode())
            self._file.flush()
        else:
            at = self._before[digest][0]
        self._faces[done.face] += 1
        for line in done.lines:
            self._enter(line, progress=True, at=at)
            at += len(line) + 1

    def add(self, line: Line) -> None:
        """Put down the outcome of a file that belongs to no job."""
        text = line.as_json()
        self._enter(text, progress=False, at=self._spool.seek(0, os.SEEK_END))
        self._spool.write(text.encode() + b"\n")

    def close(self) -> dict[str, Any]:
        """Remove what only earlier runs wrote, write audit.jsonl and audit.html, remove the progress file, and return the
        counts."""
        for output in sorted(self._earlier):
            self._remove(PurePosixPath(output))
        counts = self.tally.summary() | {"faces": dict(sorted(self._faces.items()))}
        facts = self._settings | {"series by face": counts["faces"]}
        marks = {"key": fingerprint(self._key), "source": source_mark(self._source, self._key)}
        audit.write_audit(self._target, self._sorted(), facts, self.tally, marks)
        (self._target / PROGRESS).unlink()
        return counts

    def _remove(self, output: PurePosixPath) -> None:
        if output.is_absolute() or ".." in output.parts:
            return
        (self._target / output).unlink(missing_ok=True)
        for folder in list(output.parents)[:-1]:
            place = self._target / folder
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()

    def _enter(self, line: str, *, progress: bool, at: int) -> None:
        content = json.loads(line)
        self.tally.add(content)
        self._earlier.discard(content.get("output", ""))
        self._index.append((content["file"], progress, at, len(line)))

    def _sorted(self) -> Iterator[str]:
        self._index.sort()
        for _, progress, at, size in self._index:
            file = self._file if progress else self._spool
            file.seek(at)
            yield file.read(size).decode()

    def _scan(self) -> None:
        """Find the whole records of an earlier run; what a kill left half written is cut off."""
        while True:
            start = self._file.tell()
            try:
                head = json.loads(self._file.readline())
                at = self._file.tell()
                lines = [self._file.readline() for _ in range(head["count"])]
                if not all(line.endswith(b"\n") for line in lines):
                    break
                self._before[head["job"]] = (at, head["count"], head["face"])
            except (ValueError, KeyError, TypeError):
                break
        self._file.truncate(start)


def _head(target: Path) -> tuple[str, str, str]:
    """Settings, source and key of the run that was interrupted in an output folder; empty where there was none."""
    try:
        with (target / PROGRESS).open(encoding="ascii", errors="replace") as stream:
            parts = stream.readline().split()
    except OSError:
        return "", "", ""
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


def _outputs(file: Path) -> Iterator[str]:
    """Files that the lines of an audit, or of a progress file, say were written, relative to the output folder."""
    try:
        stream = file.open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with stream:
        for line in stream:
            if '"outcome": "written"' in line:
                try:
                    yield str(json.loads(line)["output"])
                except (ValueError, KeyError):
                    continue


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, f"scanprior/job\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
