"""A whole folder: planned into series, worked through by processes, resumable, and accounted for file by file.

Nothing but names of files relative to the source is held for the whole run; outcomes go to the book (book.py) as they come.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from scanprior.errors import ScanpriorError
from scanprior.privacy import instance as dicom
from scanprior.privacy.audit import Line, Tally
from scanprior.privacy.bids import Layout
from scanprior.privacy.bids_tree import finish
from scanprior.privacy.book import Book, Done, Job
from scanprior.privacy.crosswalk import Naming
from scanprior.privacy.heads import may_show_a_head
from scanprior.privacy.pseudonyms import clean, file_pseudonym
from scanprior.privacy.refused import Refused
from scanprior.privacy.series import Settings, deidentify_series, deidentify_volume
from scanprior.privacy.values import Names

PIECE = 64  # images: a series of more that is too small to show a face has voxels that no head is scanned with
_AHEAD = 3  # jobs that wait per process: enough to keep it busy, few enough not to hold a folder in memory


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

    Raises:
        ScanpriorError: two patients would get one pseudonym.
    """
    quiet()
    layout = Layout(source, settings.key, naming=naming)
    with Book(source, target, settings.key, facts) as book:
        jobs = _plan(source, layout, settings.key, book)
        total = sum(len(job.files) for job in jobs) + book.tally.files
        names = {job.identity: naming.names(job.identity) for job in jobs}
        if len({one.patient for one in names.values()}) < len(set(map(clean, names))):
            raise ScanpriorError(
                "two patients would get one pseudonym, by chance", hint="use another key, or --pseudonyms random"
            )
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

    def kind(path: Path) -> str:
        try:
            inside = not path.is_symlink() or path.resolve().is_relative_to(root)
            return "file" if inside and path.is_file() else "link"
        except (OSError, RuntimeError):  # no right to look, or links in a circle
            return "unreadable"

    for folder, folders, files in os.walk(source, onerror=lambda error: blocked.append(str(error.filename))):
        folders.sort()
        here = Path(folder).relative_to(source)
        for name in folders:
            if os.path.islink(Path(folder) / name):  # noqa: PTH114  unlike Path's, never an error
                yield (here / name).as_posix(), "link"
        for name in sorted(files):
            yield (here / name).as_posix(), kind(Path(folder) / name)
    for name in sorted(blocked):
        yield Path(name).relative_to(source).as_posix(), "unreadable"


def quiet() -> None:
    """Libraries quote values and paths in warnings and log lines; nothing of that may reach a terminal or a log file."""
    warnings.simplefilter("ignore")
    for name in ("pydicom", "nibabel"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _plan(source: Path, layout: Layout, key: bytes, book: Book) -> list[Job]:
    """Group the files into series, in an order that says nothing; what is no image is noted at once, and what
    accompanies images follows when these are written."""
    series: dict[tuple[str, str], list[str]] = {}
    heads: set[tuple[str, str]] = set()  # series that may be part of one
    jobs: list[Job] = []
    taken: dict[str, str] = {}
    for relative, sort in walk(source):
        if sort != "file":
            book.add(_line(key, relative, Refused(*_UNTOUCHED[sort])))
            continue
        place = layout.place(relative)
        if place is not None:
            if place.kind == "image":
                job = Job([relative], place.identity, f"{place.root}/{place.target}".lstrip("/"))
                if taken.setdefault(job.target, relative) == relative:
                    jobs.append(job)
                else:
                    book.add(_line(key, relative, Refused(*_SAME_NAME)))
            continue
        try:
            core = dicom.read(source / relative, only_core=True)
        except Refused as refused:
            book.add(_line(key, relative, refused))
            continue
        one = (
            dicom.identity(core),
            dicom.first(core, "SeriesInstanceUID") or f"no series {dicom.first(core, 'StudyInstanceUID') or relative}",
        )
        series.setdefault(one, []).append(relative)
        if one not in heads and may_show_a_head(dicom.first(core, "Modality"), dicom.first(core, "SOPClassUID")):
            heads.add(one)
    beside = _beside(source, {one: series[one] for one in series if one in heads and len(series[one]) <= PIECE})
    jobs += [Job(files, one[0], "", beside.get(one, 0)) for one, files in series.items()]
    return sorted(jobs, key=lambda job: file_pseudonym(key, "\0".join(job.files)))


def _beside(source: Path, pieces: Mapping[tuple[str, str], list[str]]) -> dict[tuple[str, str], int]:
    """For each series that is small enough to be a piece of a volume, how many images of other such series lie in its frame
    of reference, at other places than its own."""
    own: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one, files in pieces.items():
        found = (dicom.place(source / relative) for relative in files)
        own[one] = {(frame, position) for frame, position in found if frame}
    everywhere: dict[str, set[str]] = {}
    for places in own.values():
        for frame, position in places:
            everywhere.setdefault(frame, set()).add(position)
    return {
        one: sum(len(everywhere[frame]) for frame in {frame for frame, _ in places}) - len(places)
        for one, places in own.items()
    }


_SAME_NAME = ("same-name", "another file would get the same name in the output; give the two different names")
_UNTOUCHED = {
    "link": ("link", "a link that leaves the folder, or a file that is none, is not followed"),
    "unreadable": ("unreadable", "the folder or link cannot be opened"),
}


def _line(key: bytes, relative: str, refused: Refused) -> Line:
    return Line(file_pseudonym(key, relative), None, "quarantined", refused.code, refused.sentence, {}, (), "")


def _outcomes(
    jobs: list[Job], names: dict[str, Names], source: Path, target: Path, settings: Settings, workers: int, book: Book
) -> Iterator[tuple[str, Done]]:
    """Outcomes in the order of the jobs; with processes, a few jobs ahead of the one that is waited for."""
    if workers <= 1:
        for job in jobs:
            digest = book.digest(job)
            yield digest, book.remembered(digest) or work(job, names[job.identity], source, target, settings)
        return
    # Forked, because a spawned worker would read torch and pandas again; this process runs no threads here.
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("fork")) as pool:
        waiting: deque[tuple[str, Future[Done] | Done]] = deque()
        for job in jobs:
            digest = book.digest(job)
            result = book.remembered(digest) or pool.submit(work, job, names[job.identity], source, target, settings)
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
        inside = job.target.removesuffix(Path(job.target).name)
    else:
        files = [(source / relative, relative) for relative in job.files]
        folder = target / names.patient
        outcome = deidentify_series(files, names=names, settings=settings, folder=folder, beside=job.beside)
        inside = f"{names.patient}/"
    lines = (line._replace(output=inside + line.output) if line.output else line for line in outcome.lines)
    return Done([line.as_json() for line in lines], outcome.face)
