"""Stage deidentify and the command of the same name: pseudonyms, headers, pixels, faces; nothing that is in doubt
is written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset

from scanprior import __version__
from scanprior.errors import ScanpriorError, StageError
from scanprior.privacy import audit, quality, recognition, rules
from scanprior.privacy.audit import Line, Tally
from scanprior.privacy.book import refuse_foreign
from scanprior.privacy.crosswalk import Crosswalk, Keyed, crosswalk_beside
from scanprior.privacy.folder import deidentify_tree, quiet
from scanprior.privacy.header import Names
from scanprior.privacy.heads import Grid
from scanprior.privacy.instance import Choice
from scanprior.privacy.picture import before_and_after
from scanprior.privacy.pseudonyms import date_offset, read_key
from scanprior.privacy.series import Outcome, Settings, counts, deidentify_series, deidentify_volume, write
from scanprior.scans.nifti import write_nifti
from scanprior.scans.refused import Refused as NoVolume
from scanprior.scans.series import assemble
from scanprior.scans.volume import Volume
from scanprior.stages.stage import Stage, open_stage
from scanprior.stages.verify import originals_of, search
from scanprior.study import Study

# --- the pipeline's stage ---------------------------------------------------------------------------------------------


def run(study: Study, *, shard: int) -> None:
    """De-identify the scans of one shard, check every output byte against the original values, and publish.

    Raises:
        StageError: the independent second pass found an original value; nothing is published.
    """
    with open_stage(study, "deidentify", job=f"shard-{shard}", shard=shard) as stage:
        quiet()
        privacy = study.config.privacy
        if privacy.text == "remove":
            recognition.require()
        settings = Settings(study.key, rules.profile(privacy.profile), privacy.faces, privacy.text, _assemble)
        scans = pd.read_parquet(study.folder("index") / "scans.parquet")
        scans = scans.loc[scans["shard"] == shard].sort_values("order")
        sources = pd.read_parquet(study.private / "sources.parquet").set_index("scan")
        rows: list[dict[str, Any]] = []
        lines: list[Line] = []
        outcomes: list[Outcome] = []
        for done, scan in enumerate(scans.to_dict("records")):
            source = sources.loc[scan["scan"]]
            outcome, row = _scan(stage, scan, source, settings)
            lines += outcome.lines
            outcomes.append(outcome)
            rows += [row] if row else []
            stage.progress(done + 1, len(scans))
        frame = pd.DataFrame(rows, columns=["scan", "patient", "order", "files", "label", "removed"])
        frame.to_parquet(stage.folder / "series.parquet", index=False)
        (stage.folder / "audit.jsonl").write_text("".join(line.as_json() + "\n" for line in lines))
        summary = audit.summary(lines) | {"faces": counts(outcomes), "profile": privacy.profile}
        (stage.folder / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
        _second_pass(stage, scans["scan"].tolist(), sources)
        _write_page(study)
        stage.note(files=summary["files"], faces=summary["faces"], edition=rules.edition())


def _scan(stage: Stage, scan: dict[str, Any], source: Any, settings: Settings) -> tuple[Outcome, dict[str, Any] | None]:
    """De-identify one scan into stage.folder; the row of series.parquet, or None when it went to quarantine."""
    name, patient = str(scan["scan"]), str(scan["patient"])
    names = Names(patient, date_offset(settings.key, str(source["hospital_id"])), settings.key)
    files = [Path(file) for file in json.loads(source["files"])]
    # Relative names: the same delivery in another place gets the same pseudonyms of its files.
    root = stage.study.locate(stage.study.config.cohort.scans, "scans").resolve()
    folder = stage.folder / patient
    if scan["format"] == "dicom":
        outcome = deidentify_series(
            [(file, os.path.relpath(file, root)) for file in files], names=names, settings=settings, folder=folder
        )
    else:
        outcome = deidentify_volume(
            files[0],
            os.path.relpath(files[0], root),
            names=names,
            settings=settings,
            target=folder / f"{name}.nii.gz",
        )
    label: str | None = None
    if isinstance(source["label_map"], str):
        target = folder / f"{name}.label.nii.gz"
        mapped = deidentify_volume(Path(source["label_map"]), os.path.relpath(source["label_map"], root), names=names,
                                   settings=settings, target=target, label_map=True)  # fmt: skip
        outcome.lines += mapped.lines
        label = f"{patient}/{target.name}"
    refused = next((line for line in outcome.lines if line.outcome == "quarantined"), None)
    if refused is not None or not outcome.written:
        for file in [*outcome.written, *([Path(label).name] if label else [])]:
            (folder / file).unlink(missing_ok=True)
        outcome.lines = [line._replace(outcome="quarantined", reason=line.reason or "series", output="", sentence=line.sentence
                         or "another file of the scan was refused", actions={}, codes=()) for line in outcome.lines]  # fmt: skip
        if outcome.face == "removed":
            outcome.face = "quarantined"
        reason, sentence = (refused.reason, refused.sentence) if refused else ("no-images", "the scan holds no image")
        stage.quarantine(item=name, patient=patient, reason=reason, sentence=sentence)
        _keep_picture(stage, name, patient, outcome)
        outcome.grid = outcome.removed = None
        return outcome, None
    _keep_picture(stage, name, patient, outcome)
    removed = _keep_removed(stage, name, outcome)
    written = json.dumps([f"{patient}/{file}" for file in outcome.written])
    return outcome, {
        "scan": name,
        "patient": patient,
        "order": int(scan["order"]),
        "files": written,
        "label": label,
        "removed": removed,
    }


def _keep_removed(stage: Stage, name: str, outcome: Outcome) -> str | None:
    """Write the mask of removed voxels; free the voxels."""
    grid, mask = outcome.grid, outcome.removed
    outcome.grid = outcome.removed = None
    if grid is None or mask is None:
        return None
    target = stage.folder / "removed" / f"{name}.nii.gz"
    target.parent.mkdir(exist_ok=True)
    write_nifti(Volume(mask.astype(np.uint8), grid.affine), target)
    return f"removed/{target.name}"


def _keep_picture(stage: Stage, name: str, patient: str, outcome: Outcome) -> None:
    """Note a head for the private page, with its picture of before and after (of a quarantined one: before, twice)."""
    folder = stage.study.private / "faces"
    if outcome.grid is None or outcome.face in ("no-head", "kept", "not-looked-for"):
        quality.forget(folder, name)
        return
    grid, mask = outcome.grid, outcome.removed
    share = 0.0 if mask is None else float(mask.mean())
    gone = np.zeros(grid.array.shape, dtype=bool) if mask is None else mask
    folder.mkdir(exist_ok=True, mode=0o700)
    entry = quality.Entry(name, patient, outcome.face, round(outcome.information, 3), round(share, 4))
    quality.keep(folder, entry, before_and_after(grid.array, grid.affine, gone))


def _write_page(study: Study) -> None:
    """The private page of all shards so far; one writer at a time, so that the last one sees every head."""
    folder = study.private / "faces"
    if not folder.is_dir():
        return
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scans = pd.read_parquet(study.folder("index") / "scans.parquet")["scan"].tolist()
        write(study.private / "faces.html", quality.page(folder, scans).encode())
        (study.private / "faces.html").chmod(0o600)


def _second_pass(stage: Stage, scans: Sequence[str], sources: pd.DataFrame) -> None:
    """Search everything that is about to be published for every original value of its sources."""
    files = [Path(file) for scan in scans for file in json.loads(sources.loc[scan, "files"])]
    hospital = {str(sources.loc[scan, "hospital_id"]) for scan in scans}
    originals = originals_of(files, extra=hospital)
    if originals.unread:
        raise StageError(
            f"deidentify: {originals.unread} source files can no longer be read, so the second pass does not know what they say",
            hint="make them readable and run the same command again; nothing was published",
        )
    findings = list(search(stage.folder, originals, stage.study.key))
    if findings:
        kinds = ", ".join(sorted({finding.kind for finding in findings}))
        raise StageError(
            f"deidentify: the second pass found {len(findings)} original values in the output ({kinds}); nothing was published",
            hint="please report this; the files concerned are named by pseudonym in the log of the stage",
        )


# --- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """What deidentify did, as counts; nothing of it is private."""

    files: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    faces: dict[str, int] = field(default_factory=dict)
    patients: int = 0
    edition: str = ""


def deidentify_folder(src: Path, dst: Path, *, key: bytes, profile: str = "basic", options: tuple[str, ...] = (), faces: Choice = "auto",
                      text: Choice = "auto", pseudonyms: str = "keyed", crosswalk: Path | None = None, workers: int = 1,
                      progress: Callable[[int, int, Tally], None] | None = None) -> Summary:  # fmt: skip
    """De-identify everything below `src` into `dst`; what cannot be vouched for is named in dst/audit.jsonl and not
    written.

    `src` is only read. A rerun writes the same bytes, goes on where an interrupted one stopped, and removes what only earlier
    runs wrote. Random `pseudonyms` need the path of a `crosswalk`.

    Raises:
        ScanpriorError: src is no folder, dst lies inside src (or src inside dst), an option that is not offered, a crosswalk
            that cannot be used, a dst that was made with another key or from another src.
    """
    if text == "remove":
        recognition.require()
    if pseudonyms not in ("keyed", "random") or (pseudonyms == "random" and crosswalk is None):
        raise ScanpriorError(f"pseudonyms {pseudonyms!r} are not offered", hint="allowed: keyed, random")
    source, target = src.resolve(), dst.resolve()
    if not source.is_dir():
        raise ScanpriorError("SRC is no folder", hint="give the folder that holds the original files")
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise ScanpriorError("DST and SRC must not lie inside each other", hint="choose a DST beside SRC")
    if target.exists() and not target.is_dir():
        raise ScanpriorError("DST is a file", hint="choose a folder")
    refuse_foreign(target, source, key)
    settings = Settings(key, rules.profile(profile, options), faces, text, _assemble)
    facts = {"tool": f"scanprior {__version__}", "PS3.15": rules.edition(), "profile": profile, "options": settings.profile.options,
             "faces": faces, "text": text,
             "text recognition": recognition.statement(), "pseudonyms": pseudonyms}  # fmt: skip
    facts["config digest"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    naming = Crosswalk(crosswalk, key) if crosswalk is not None and pseudonyms == "random" else nullcontext(Keyed(key))
    with naming as named:
        found = deidentify_tree(
            source, target, settings=settings, naming=named, workers=workers, facts=facts, progress=progress
        )
    return Summary(**found)


def command(source: Path, destination: Path, *, key: Path, profile: str, options: tuple[str, ...], faces: str, text: str,
            pseudonyms: str, workers: int, describe: bool, as_json: bool, strict: bool) -> int:  # fmt: skip
    """Run `scanprior deidentify`; returns the exit code."""
    for name, value in (("faces", faces), ("text", text)):
        if value not in ("auto", "remove", "keep"):
            raise ScanpriorError(f"--{name} {value!r} is not known", hint="allowed: auto, remove, keep")
    if describe:
        for row in rules.describe(rules.profile(profile, options)):
            print(
                json.dumps(row)
                if as_json
                else f"({row['tag'][:4]},{row['tag'][4:]})  {row['action']:<34} {row['table']:<20} {row['options']}"
            )
        return 0
    with _bar(shown=not as_json and sys.stderr.isatty()) as progress:
        done = deidentify_folder(source, destination, key=read_key(key), profile=profile, options=options, faces=faces,  # type: ignore[arg-type]
                                 text=text, pseudonyms=pseudonyms, crosswalk=crosswalk_beside(key),  # type: ignore[arg-type]
                                 workers=workers, progress=progress)  # fmt: skip
    if as_json:
        print(json.dumps(asdict(done), sort_keys=True))
    else:
        print(f"{done.files.get('written', 0)} files written, {done.files.get('quarantined', 0)} quarantined, "
              f"{done.patients} patients; faces: {done.faces}; see audit.html in the output folder")  # fmt: skip
    return 1 if strict and done.files.get("quarantined") else 0


@contextmanager
def _bar(*, shown: bool) -> Generator[Callable[[int, int, Tally], None] | None]:
    """A progress bar on stderr with the counts so far; none where nobody watches."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files, {task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, tally: Tally) -> None:
            counts = ", ".join(f"{n} {name}" for name, n in sorted(tally.outcomes.items()))
            bar.update(task, completed=done, total=total, description=counts)

        yield show


def _assemble(datasets: Sequence[Dataset]) -> Grid | None:
    """The series as a volume, or None where the reader refuses."""
    try:
        stack = assemble(datasets)
    except NoVolume:
        return None
    return Grid(stack.volume.array, stack.volume.affine, stack.order)
