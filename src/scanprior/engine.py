"""Around Snakemake: one run per study at a time, the MLflow recorder, progress bars, failures in words."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scanprior import outdated
from scanprior.errors import ScanpriorError, StageError
from scanprior.pipeline import STEPS
from scanprior.study import Study

OWN_GOALS = ("-U", "--until", "-O", "--omit", "-f", "-F", "--force", "-R", "-t", "--touch")  # of Snakemake's arguments

_held: dict[str, Any] = {}  # of this process: the lock's file and the recorder


def begin(study: Study) -> None:
    """Called by the Snakefile when work starts: lock the study, clear old failures, start the recorder.

    The lock is the kernel's, so a run that was killed leaves none behind.
    """
    lock = _lock(study)
    for file in (study.work / "failures").glob("*.json"):
        file.unlink()
    if "SCANPRIOR_RUN" in os.environ:  # started by `scanprior run`: a killed command must not leave its engine behind
        end_with_parent()
    os.environ["SCANPRIOR_ENGINE"] = str(os.getpid())
    _held["lock"] = lock
    _held["recorder"] = subprocess.Popen(
        [sys.executable, "-m", "scanprior.cli", "track", "--follow", str(study.path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _lock(study: Study) -> IO[str]:
    study.work.mkdir(parents=True, exist_ok=True)
    lock = (study.work / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StageError(
            f"the study {study.name} is being run already", hint="wait for it, or stop that run, then try again"
        ) from None
    return lock


def end() -> None:
    """Called by the Snakefile when work has ended: let the recorder write its last lines, free the lock."""
    recorder: subprocess.Popen[bytes] | None = _held.pop("recorder", None)
    if recorder is not None and recorder.stdin is not None:
        recorder.stdin.close()  # the recorder stops at the end of its input
        try:
            recorder.wait(timeout=120)
        except subprocess.TimeoutExpired:
            recorder.kill()
    lock = _held.pop("lock", None)
    if lock is not None:
        lock.close()


def gpus(study: Study) -> int:
    """Whether training jobs ask Snakemake for a GPU: where the study says so, or the machine has one."""
    if study.config.engine.accelerator == "auto":
        return int(Path("/dev/nvidia0").exists())
    return int(study.config.engine.accelerator == "gpu")


def end_with_parent() -> None:
    """Make this process end when its parent does: a stage whose engine was killed must not go on writing."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


def failures(study: Study) -> list[str]:
    """One sentence for each job that failed."""
    sentences: list[str] = []
    for file in sorted((study.work / "failures").glob("*.json")):
        row = json.loads(file.read_text())
        job = f" ({row['job']})" if row["job"] else ""
        sentences.append(f"{row['stage']}{job}: {row['cause']}")
    return sentences


def print_failures(study: Study) -> None:
    """Say what failed and what to do next."""
    console = Console(stderr=True, soft_wrap=True)
    found = failures(study)
    for sentence in found:
        console.print(f"[red]failed[/red] {sentence}", highlight=False)
    if not found:
        console.print(
            "a job was ended from outside: most often the system did so because memory ran out", highlight=False
        )
    console.print(
        f"logs: logs/{study.name}/; the same command goes on from here: scanprior run {study.path}", highlight=False
    )


def run(study: Study, *, cores: int, profile: str | None, dry: bool, arguments: list[str]) -> None:
    """Run the pipeline with a progress bar per stage; raises ScanpriorError when a job failed."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile(study.house)), "--configfile", str(study.path),
               "--cores", str(cores), *(["--profile", str(profile_folder(study.house, profile))] if profile else [])]  # fmt: skip
    if dry:
        if subprocess.run([*command, "-n", *arguments], check=False, cwd=study.house).returncode:
            raise ScanpriorError(f"the plan of {study.name} can't be made", hint="the engine's own words are above")
        return
    _lock(study).close()  # told here in one sentence rather than in the engine's log
    study.logs.mkdir(parents=True, exist_ok=True)
    for file in (study.work / "progress").glob("*.json"):
        file.unlink()
    log = study.logs / "snakemake.log"
    first = () if any(argument.startswith(OWN_GOALS) for argument in arguments) else outdated.goals(study)
    told, returned = set[str](), 0
    with log.open("wb") as stream:
        for goal in chain((["--until", stage] for stage in first), [[]]):
            returned = _engine(study, [*command, *arguments, *goal], stream, told)
            if returned:
                break
    if returned:
        found = failures(study)
        if not found and "WorkflowError" not in log.read_text(errors="replace") and returned > 0:
            found = _last_words(log)
        reasons = "\n".join(f"  {sentence}" for sentence in found) or "  the engine stopped before any job; see its log"
        raise ScanpriorError(
            f"the study {study.name} stopped:\n{reasons}",
            hint=f"logs: {log.relative_to(study.house)} and beside it; the same command goes on: scanprior run {study.path}",
        )


def _engine(study: Study, command: list[str], log: IO[bytes], told: set[str]) -> int:
    """Run Snakemake once, with bars; returns its exit code."""
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, cwd=study.house, env={**os.environ, "SCANPRIOR_RUN": "1"}
    )
    try:
        _show(study, process, told)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    return process.returncode


def _last_words(log: Path) -> list[str]:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return (
        ["a job ended without a word, most often because memory ran out"]
        if any("Error in rule" in x for x in lines)
        else lines[-3:]
    )


def _show(study: Study, process: subprocess.Popen[bytes], told: set[str]) -> None:
    """Bars while the engine runs; without a terminal, a line whenever a stage is done that wasn't `told` before."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {
            stage: progress.add_task(stage, total=len(study.jobs(stage)), start=False, visible=False) for stage in STEPS
        }
        while process.poll() is None:
            for stage, done in _advance(study).items():
                task = bars[stage]
                progress.start_task(task)
                progress.update(task, completed=done, visible=True)
                if not console.is_terminal and done >= len(study.jobs(stage)) and stage not in told:
                    told.add(stage)
                    console.print(f"{stage} done", highlight=False)
            time.sleep(0.3)
        for stage, done in _advance(study).items():
            progress.update(bars[stage], completed=done, visible=True)


def _advance(study: Study) -> dict[str, float]:
    """Finished jobs of each stage, parts of running ones included."""
    done: dict[str, float] = {}
    for file in sorted((study.work / "progress").glob("*.json")):
        try:
            row = json.loads(file.read_text())
        except (json.JSONDecodeError, FileNotFoundError):
            continue
        done[row["stage"]] = done.get(row["stage"], 0.0) + row["done"] / max(row["total"], 1)
    return {stage: round(value, 2) for stage, value in done.items()}


def snakefile(house: Path) -> Path:
    """The Snakefile of the working folder, else of the source tree that this package was installed from."""
    for place in (house / "Snakefile", source_tree() / "Snakefile"):
        if place.is_file():
            return place
    raise ScanpriorError(
        "there is no Snakefile here",
        hint="run scanprior in the project's folder: the one that holds Snakefile and config/",
    )


def profile_folder(house: Path, profile: str) -> Path:
    """A profile by name (profiles/slurm) or by folder."""
    for place in (Path(profile), house / "profiles" / profile, source_tree() / "profiles" / profile):
        if (place / "config.yaml").is_file():
            return place
    known = ", ".join(sorted(p.name for p in (source_tree() / "profiles").glob("*")))
    raise ScanpriorError(
        f"there is no profile {profile}", hint=f"known here: {known}; or name a folder with a config.yaml"
    )


def source_tree() -> Path:
    """The project's folder: two above the package."""
    return Path(__file__).parents[2]
