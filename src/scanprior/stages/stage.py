"""The shell of every stage: a partial folder that is published whole, a record, progress, live metrics, a clear failure."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from scanprior.digest import file_digest, short_digest
from scanprior.errors import ScanpriorError, StageError, explain
from scanprior.pipeline import STEPS, job_name
from scanprior.stages.clock import Clock
from scanprior.stages.placing import put
from scanprior.study import Study

PACKAGES = ("scanprior", "torch", "pytorch-lightning", "snakemake", "mlflow", "numpy", "scipy", "scikit-learn", "pandas",
            "nibabel", "pydicom", "SimpleITK", "pydeface")  # fmt: skip
QUARANTINE = ["item", "patient", "reason", "sentence"]


class Stage:
    """What a stage may do while it runs; made by `open_stage`."""

    def __init__(self, study: Study, name: str, job: str, wildcards: dict[str, Any]) -> None:
        self.study, self.name, self.job = study, name, job
        self.target = study.folder(name, job)
        self.inputs = {
            _label(study, folder): _read_digests(study, folder) for folder in study.inputs(name, **wildcards)
        }
        self.state = study.state(name)
        self.digest = short_digest([self.state, self.inputs])
        base = study.work / name / job if job else study.work / name
        self.work = base / self.digest
        _remove_others(base, keep=self.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.folder = self.work / "outputs"
        self._former = self.work / "former"
        for leftover in (self.folder, self._former):
            shutil.rmtree(leftover, ignore_errors=True)
        self.folder.mkdir()
        self._rows: dict[tuple[str, int], float] = {}
        self._live = (self.work / "log.jsonl").open("a+", encoding="utf-8")
        self._recall()
        self._recalled, self._repeated = set(self._rows), set[tuple[str, int]]()
        self._quarantine: list[dict[str, str | None]] = []
        self._notes: dict[str, Any] = {}
        self._seeds: dict[str, int] = {}
        self._top: list[str] = []
        self._shown = 0.0
        self.resting = False  # done, and waiting for other jobs of this process
        self._clock = Clock()
        self.progress(0, 1)

    def seed(self, *names: str | int) -> int:
        """A 32-bit seed for what `names` say; the record lists every seed that was asked for."""
        value = self.study.seed(*names)
        self._seeds["/".join(map(str, names))] = value
        return value

    def log(self, values: dict[str, float], *, step: int = 0) -> None:
        """Keep metrics of one step: in metrics.parquet at the end, and in the live log that the MLflow recorder follows."""
        for key, value in values.items():
            if (key, step) in self._recalled:
                self._repeated.add((key, step))
            self._rows[key, step] = float(value)
        self._live.write(
            json.dumps({"step": step, "time": time.time(), **{k: float(v) for k, v in values.items()}}) + "\n"
        )
        self._live.flush()

    def progress(self, done: float, total: float) -> None:
        """Say how far the job is; `scanprior run` draws the bar."""
        now = time.monotonic()
        if now - self._shown < 0.3 and done < total:
            return
        self._shown = now
        file = self.study.work / "progress" / f"{self.name}@{self.job.replace('/', '@')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_json(file, {"stage": self.name, "job": self.job, "done": done, "total": total, "pid": os.getpid()})

    def quarantine(self, *, item: str, patient: str | None, reason: str, sentence: str) -> None:
        """Set an item aside with its reason; nothing is ever dropped in silence."""
        self._quarantine.append({"item": item, "patient": patient, "reason": reason, "sentence": sentence})

    def note(self, **facts: Any) -> None:
        """Put resolved facts (JSON-plain, nothing private) into the record."""
        self._notes.update(facts)

    def top(self, file: str) -> None:
        """Also copy `file` to the study's top folder when the stage is published."""
        self._top.append(file)

    def rest(self) -> None:
        """The work is done, and is published later: what the process does until then is not this job's."""
        self._clock.stop()
        self.resting = True

    def _recall(self) -> None:
        """Take over the metrics that an interrupted run of the same job had logged."""
        self._live.seek(0)
        for line in self._live:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the line that the kill cut short
                continue
            self._rows.update({(k, row["step"]): v for k, v in row.items() if k not in ("step", "time")})

    def publish(self) -> None:
        """Write metrics, quarantine, digests and record, and move the folder into place in one rename."""
        frame = pd.DataFrame([(k, s, v) for (k, s), v in sorted(self._rows.items())], columns=["key", "step", "value"])
        frame.to_parquet(self.folder / "metrics.parquet", index=False)
        rows = sorted(self._quarantine, key=lambda row: (str(row["patient"]), str(row["item"])))
        pd.DataFrame(rows, columns=QUARANTINE).astype("string").to_parquet(
            self.folder / "quarantine.parquet", index=False
        )
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        digests = {file.relative_to(self.folder).as_posix(): file_digest(file) for file in files}
        _write_json(self.folder / "digests.json", digests)
        self._clock.stop()
        _write_json(self.folder / "record.json", {
            "stage": self.name, "job": self.job, "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "wall_seconds": self._clock.wall, "cpu_seconds": self._clock.cpu, "gpu_seconds": self._clock.on_gpu,
            "startup_seconds": self._clock.startup, "peak_memory_mb": _peak_mb(), "output_mb": sum(f.stat().st_size for f in files) / 1e6,
            "versions": versions(), "machine": machine(), "seeds": self._seeds, **self.state,
            "parameters": _parameters(self.study, self.name), "inputs": {k: short_digest(v) for k, v in self.inputs.items()},
            "resumed": bool(self._recalled), "repeated": sorted(self._repeated), "notes": self._notes,
        })  # fmt: skip
        for file in self._top:
            shutil.copyfile(self.folder / file, self.study.results / f".{file}.part")
        put(self.folder, self.target, self._former)
        for file in self._top:
            (self.study.results / f".{file}.part").replace(self.study.results / file)
        self.progress(1, 1)
        self._live.close()
        shutil.rmtree(self.work, ignore_errors=True)


@contextmanager
def open_stage(study: Study, name: str, *, job: str = "", **wildcards: Any) -> Generator[Stage]:
    """Run a stage's body with its shell around it; outputs appear whole or not at all.

    `wildcards` are those of the job (shard=…, arm=…, draw=…, kind=…, context=…) and choose the inputs.

    Raises:
        StageError: names the stage, the job, the cause and the next command; running out of memory or disk is named so.
    """
    failure = study.work / "failures" / f"{name}@{job.replace('/', '@')}.json"
    failure.unlink(missing_ok=True)
    stage: Stage | None = None
    try:
        study.results.mkdir(parents=True, exist_ok=True)
        stage = Stage(study, name, job, wildcards)
        yield stage
        stage.resting = False  # a failure from here on is its own
        stage.publish()
    except BaseException as error:
        if stage is not None and stage.resting:  # another job of this process failed; this one's work is kept for it
            raise
        cause = explain(error)
        failure.parent.mkdir(parents=True, exist_ok=True)
        _write_json(failure, {"stage": name, "job": job, "cause": cause})
        if isinstance(error, ScanpriorError | KeyboardInterrupt):
            raise
        where = f"{name} ({job})" if job else name
        raise StageError(
            f"{where} stopped: {cause}",
            hint=f"after mending the cause the same command goes on from here: scanprior run {study.path}",
        ) from error


@cache
def versions() -> dict[str, str]:
    """Installed versions of what makes the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def machine() -> dict[str, Any]:
    """What made the numbers, without host or user name: byte equality is promised only within one instruction set."""
    flags: set[str] = set()
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split())
            elif line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    except OSError:
        pass
    known = [name for name in ("avx512f", "avx2", "avx", "sse4_2") if name in flags]
    return {"system": platform.system(), "machine": platform.machine(), "processor": model, "cores": os.cpu_count(),
            "instruction_set": known[0] if known else platform.machine()}  # fmt: skip


def read_quarantine(study: Study, *stages: str) -> pd.DataFrame:
    """The quarantine tables of the study's jobs, as far as they are finished, as one frame with a `stage` column."""
    frames: list[pd.DataFrame] = []
    for stage in stages:
        for job in study.jobs(stage):  # not what lies there: folders of an earlier number of shards may
            file = study.folder(stage, job_name(**job)) / "quarantine.parquet"
            if file.is_file():
                frames.append(pd.read_parquet(file).assign(stage=stage))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*QUARANTINE, "stage"])


def _parameters(study: Study, name: str) -> dict[str, Any]:
    public = study.config.public()
    return {section: public.get(section) for section in sorted({s.split(".")[0] for s in STEPS[name].sections})}


def _label(study: Study, folder: Path) -> str:
    return folder.relative_to(study.results).as_posix()


def _read_digests(study: Study, folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / "digests.json").read_text())
    except FileNotFoundError:
        raise StageError(
            f"the results of {_label(study, folder)} are missing",
            hint=f"run the stages before it: scanprior run {study.path}",
        ) from None


def _remove_others(base: Path, *, keep: Path) -> None:
    """Checkpoints of other code, settings or inputs are of no use any more."""
    for other in base.glob("*"):
        if other != keep and other.is_dir() and (other / "log.jsonl").exists():
            shutil.rmtree(other, ignore_errors=True)


def _write_json(file: Path, value: Any) -> None:
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(file)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
