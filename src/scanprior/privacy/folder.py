"""A whole folder: planned into series, worked through by processes, resumable, and accounted for file by file.

Nothing but names of files relative to the source is held for the whole run; outcomes go to a progress file in the output
folder as they come, under pseudonyms, and become audit.jsonl at the end, sorted by pseudonym.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import tempfile
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from scanprior import __version__
from scanprior.privacy import audit, rules
from scanprior.privacy import instance as dicom
from scanprior.privacy.audit import Line, Tally
from scanprior.privacy.bids import Layout
from scanprior.privacy.bids_tree import finish
from scanprior.privacy.crosswalk import Naming
from scanprior.privacy.pseudonyms import file_pseudonym, fingerprint
from scanprior.privacy.refused import Refused
from scanprior.privacy.series import Settings, deidentify_series, deidentify_volume
from scanprior.privacy.values import Names

PROGRESS = ".scanprior-progress"
_AHEAD = 3  # jobs that wait per process: enough to keep it busy, few enough not to hold a folder in memory


class Job(NamedTuple):
    """One series, or one NIfTI file with its place in the output: names relative to the source, and whose it is."""

    files: list[str]
    identity: str
    target: str = ""


class Done(NamedTuple):
    """What became of a job: audit lines as JSON, and what the face stage saw."""

    lines: list[str]
    face: str


def deidentify_tree(
    source: Path,
    target: Path,
    *,
    settings: Settings,
    naming: Naming,
    workers: int,
    facts: dict[str, Any],
    progress: Callable[[int, int, Tally], None] | None = None,
) -> dict[str, Any]:
    """De-identify everything below `source` into `target`, write the audit, and return its counts.

    A run that was interrupted goes on after the last series whose outcome it had noted. `progress` is called with files
    done, files in all, and the counts so far.
    """
    quiet()
    layout = Layout(source, settings.key, naming=naming)
    with _Book(target, settings, facts) as book:
        jobs = _plan(source, layout, settings.key, book)
        total = sum(len(job.files) for job in jobs) + book.tally.files
        names = {job.identity: naming.names(job.identity) for job in jobs}
        save = getattr(naming, "save", None)
        if save is not None:
            save()  # before anything is written under a new name
        for digest, done in _outcomes(jobs, names, source, target, settings, workers, book):
            book.note(digest, done)
            if progress is not None:
                progress(book.tally.files, total, book.tally)
        relatives = (relative for relative, sort in walk(source) if sort == "file")
        for line in finish(source, relatives, target, layout=layout, key=settings.key, profile=settings.profile):
            book.add(line)
        return book.close()


def walk(source: Path) -> Iterator[tuple[str, str]]:
    """Everything below `source` in a fixed order: (name relative to it, "file", "link" or "unreadable").

    Links to files inside the tree are files; links that leave it, and folders that cannot be opened, are told and not
    followed.
    """
    blocked: list[str] = []
    root = source.resolve()
    for folder, folders, files in os.walk(source, onerror=lambda error: blocked.append(str(error.filename))):
        folders.sort()
        here = Path(folder).relative_to(source)
        for name in folders:
            if (Path(folder) / name).is_symlink():
                yield (here / name).as_posix(), "link"
        for name in sorted(files):
            path = Path(folder) / name
            inside = not path.is_symlink() or path.resolve().is_relative_to(root)
            yield (here / name).as_posix(), "file" if inside and path.is_file() else "link"
    for name in sorted(blocked):
        yield Path(name).relative_to(source).as_posix(), "unreadable"


def quiet() -> None:
    """Libraries quote values and paths in warnings and log lines; nothing of that may reach a terminal or a log file."""
    warnings.simplefilter("ignore")
    for name in ("pydicom", "nibabel"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _plan(source: Path, layout: Layout, key: bytes, book: _Book) -> list[Job]:
    """Group the files into series, in an order that says nothing; what is no image is noted at once, and what
    accompanies images follows when these are written."""
    series: dict[tuple[str, str], list[str]] = {}
    jobs: list[Job] = []
    for relative, sort in walk(source):
        if sort != "file":
            book.add(_line(key, relative, Refused(*_UNTOUCHED[sort])))
            continue
        place = layout.place(relative)
        if place is not None:
            if place.kind == "image":
                jobs.append(Job([relative], place.identity, f"{place.root}/{place.target}".lstrip("/")))
            continue
        try:
            core = dicom.read(source / relative, only_core=True)
        except Refused as refused:
            book.add(_line(key, relative, refused))
            continue
        uid = dicom.first(core, "SeriesInstanceUID") or relative
        series.setdefault((dicom.identity(core), uid), []).append(relative)
    jobs += [Job(files, identity) for (identity, _), files in series.items()]
    return sorted(jobs, key=lambda job: file_pseudonym(key, "\0".join(job.files)))


_UNTOUCHED = {
    "link": ("link", "a link that leaves the folder, or a file that is none, is not followed"),
    "unreadable": ("unreadable", "the folder cannot be opened"),
}


def _line(key: bytes, relative: str, refused: Refused) -> Line:
    return Line(file_pseudonym(key, relative), None, "quarantined", refused.code, refused.sentence, {}, (), "")


def _outcomes(
    jobs: list[Job], names: dict[str, Names], source: Path, target: Path, settings: Settings, workers: int, book: _Book
) -> Iterator[tuple[str, Done]]:
    """Outcomes in the order of the jobs; with processes, a few jobs ahead of the one that is waited for."""
    if workers <= 1:
        for job in jobs:
            digest = book.digest(source, job)
            yield digest, book.remembered(digest, job) or work(job, names[job.identity], source, target, settings)
        return
    # Forked, because a spawned worker would read torch and pandas again; this process runs no threads here.
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("fork")) as pool:
        waiting: deque[tuple[str, Future[Done] | Done]] = deque()
        for job in jobs:
            digest = book.digest(source, job)
            result = book.remembered(digest, job) or pool.submit(
                work, job, names[job.identity], source, target, settings
            )
            waiting.append((digest, result))
            if len(waiting) > _AHEAD * workers:
                yield _waited(waiting.popleft())
        while waiting:
            yield _waited(waiting.popleft())


def _waited(entry: tuple[str, Future[Done] | Done]) -> tuple[str, Done]:
    digest, result = entry
    return digest, result if isinstance(result, Done) else result.result()


def work(job: Job, names: Names, source: Path, target: Path, settings: Settings) -> Done:
    """Do one job; what is written appears whole or not at all."""
    quiet()
    if job.target:
        path = source / job.files[0]
        outcome = deidentify_volume(path, job.files[0], names=names, settings=settings, target=target / job.target)
    else:
        files = [(source / relative, relative) for relative in job.files]
        outcome = deidentify_series(files, names=names, settings=settings, folder=target / names.patient)
    return Done([line.as_json() for line in outcome.lines], outcome.face)


class _Book:
    """Outcomes as they come: those of jobs in the progress file, where the next run finds them after an interruption; all
    others in a file without a name. Together they become the audit."""

    def __init__(self, target: Path, settings: Settings, facts: dict[str, Any]) -> None:
        self._target, self._key, self._facts = target, settings.key, facts
        self._before: dict[str, tuple[int, int, str]] = {}  # digest of a job: where its lines begin, how many, its face
        self._index: list[
            tuple[str, bool, int, int]
        ] = []  # pseudonym of the file, in which of the two, where, how long
        self._faces: Counter[str] = Counter()
        self.tally = Tally()

    def __enter__(self) -> _Book:
        self._file = (self._target / PROGRESS).open("a+b")
        self._spool = tempfile.TemporaryFile(dir=self._target)
        # Other settings, another version or another key: nothing of the earlier run counts.
        run = json.dumps([__version__, rules.edition(), fingerprint(self._key), *map(str, self._facts.values())])
        head = self._sign(run).encode() + b"\n"
        self._file.seek(0)
        if self._file.readline() != head:
            self._file.truncate(0)
            self._file.write(head)
        self._scan()
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()
        self._file.close()

    def digest(self, source: Path, job: Job) -> str:
        """What tells whether a job is the same as before: names, sizes and times of its files, under the key."""
        stats = [os.stat(source / relative) for relative in job.files]  # noqa: PTH116  a Path per file is slow
        return self._sign(json.dumps([*job, *((one.st_size, one.st_mtime_ns) for one in stats)]))

    def remembered(self, digest: str, job: Job) -> Done | None:
        """The outcome of a job that an interrupted run had finished, when all it wrote is still there."""
        if digest not in self._before:
            return None
        at, count, face = self._before[digest]
        self._file.seek(at)
        lines = [self._file.readline().decode().rstrip("\n") for _ in range(count)]
        written = [line for line in map(json.loads, lines) if line["outcome"] == "written"]
        places = (Path(job.target or f"{line['patient']}/{line['output']}") for line in written)
        if not all((self._target / place).is_file() for place in places):
            return None
        return Done(lines, face)

    def note(self, digest: str, done: Done) -> None:
        """Put down the outcome of a job."""
        if digest not in self._before:
            head = json.dumps({"job": digest, "count": len(done.lines), "face": done.face}) + "\n"
            self._file.seek(0, os.SEEK_END)
            at = self._file.tell() + len(head)
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
        """Write audit.jsonl and audit.html, remove the progress file, and return the counts."""
        counts = self.tally.summary() | {"faces": dict(sorted(self._faces.items()))}
        facts = self._facts | {"series by face": counts["faces"]}
        audit.write_audit(self._target, self._sorted(), facts, self.tally, fingerprint(self._key))
        (self._target / PROGRESS).unlink()
        return counts

    def _enter(self, line: str, *, progress: bool, at: int) -> None:
        content = json.loads(line)
        self.tally.add(content)
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
            head = self._file.readline()
            if not head.endswith(b"\n"):
                break
            record = json.loads(head)
            at = self._file.tell()
            lines = [self._file.readline() for _ in range(record["count"])]
            if lines and not lines[-1].endswith(b"\n"):
                break
            self._before[record["job"]] = (at, record["count"], record["face"])
        self._file.truncate(start)

    def _sign(self, text: str) -> str:
        return hmac.new(
            self._key, f"scanprior/job\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256
        ).hexdigest()
