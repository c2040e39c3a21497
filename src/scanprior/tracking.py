"""MLflow, a view of the files: one recorder process reads records and live logs and writes the store.

No stage imports MLflow (1.5 s a process) and sqlite sees one writer. Deleting the store loses nothing: `scanprior track`
writes it anew from the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from scanprior.study import Study

BATCH = 1000  # MLflow's limit for one log_batch
ARTIFACTS = "mlflow-artifacts"
PERIOD = 5.0  # seconds between two looks at the files


class Recorder:
    """Brings MLflow's store up to date with a study's files, as often as `sync` is called."""

    def __init__(self, study: Study) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["DO_NOT_TRACK"] = "true"
        from mlflow import MlflowClient  # 1.5 s, and only this process pays it
        from mlflow.exceptions import MlflowException

        self.study = study
        study.results.mkdir(parents=True, exist_ok=True)
        self.client = MlflowClient(study.tracking_uri)
        self.experiment = self._experiment(MlflowException)
        self.runs = {run.data.tags["scanprior.job"]: run for run in self._all() if "scanprior.job" in run.data.tags}
        self.parent = self._open("study", None)
        self.live: dict[str, tuple[int, set[tuple[str, int]]]] = {}  # job -> bytes read, metrics already sent

    def _experiment(self, exists: type[Exception]) -> str:
        """The experiment of the study, made when there is none; its artifacts lie beside the results."""
        place = (self.study.results / ARTIFACTS).as_uri() if self.study.tracking_uri.startswith("sqlite") else None
        while (found := self.client.get_experiment_by_name(self.study.name)) is None:
            with suppress(exists):  # another recorder was quicker
                self.client.create_experiment(self.study.name, artifact_location=place)
        return str(found.experiment_id)

    def _all(self) -> list[Any]:
        runs, token = [], None
        while True:
            page = self.client.search_runs([self.experiment], max_results=500, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _open(self, job: str, parent: str | None) -> str:
        """The run of a job, made when there is none. The client's own create_run writes neither user nor script path."""
        if job in self.runs:
            return self.runs[job].info.run_id
        tags = {"scanprior.job": job, "mlflow.runName": job} | ({"mlflow.parentRunId": parent} if parent else {})
        run = self.client.create_run(self.experiment, tags=tags)
        self.runs[job] = run
        return run.info.run_id

    def sync(self) -> None:
        """Write whatever is new: lines of live logs, finished jobs, the verdict."""
        for file in _files(self.study.work, "log.jsonl"):
            self._sync_live(file)
        for file in _files(self.study.results, "record.json"):
            if ARTIFACTS not in file.parts:  # a copy that was logged
                with suppress(FileNotFoundError):  # replaced in between; the next look finds the new one
                    self._sync_record(file)
        self._sync_verdict()

    def _sync_live(self, file: Path) -> None:
        job = self.study.folder(*_job(self.study, file)).relative_to(self.study.results).as_posix()
        position, sent = self.live.get(job, (0, set()))
        try:
            with file.open("rb") as stream:
                stream.seek(position)
                text = stream.read()
        except FileNotFoundError:  # published in between
            return
        whole = text[: text.rfind(b"\n") + 1]
        rows = [row for line in whole.splitlines() if (row := _row(line)) is not None]
        values = [
            (k, v, row["step"], int(row["time"] * 1000))
            for row in rows
            for k, v in row.items()
            if k not in ("step", "time")
        ]
        fresh = [value for value in values if (value[0], value[2]) not in sent]
        if fresh:
            self._metrics(self._open(job, self.parent), fresh)
        self.live[job] = (position + len(whole), sent | {(value[0], value[2]) for value in fresh})

    def _sync_record(self, file: Path) -> None:
        job = file.parent.relative_to(self.study.results).as_posix()
        text = file.read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        old = self.runs.get(job)
        if old is not None and old.data.tags.get("scanprior.record") == digest:
            return
        if old is not None and "scanprior.record" in old.data.tags:  # an earlier run of the job, now replaced
            self.client.delete_run(old.info.run_id)
            del self.runs[job]
        run = self._open(job, self.parent)
        record = json.loads(text)
        _, sent = self.live.get(job, (0, set()))
        table = pd.read_parquet(file.parent / "metrics.parquet")
        time = int(datetime.fromisoformat(record["finished"]).timestamp() * 1000)
        self._metrics(
            run, [(k, float(v), int(s), time) for k, s, v in table.itertuples(index=False) if (k, s) not in sent]
        )
        costs = ("wall_seconds", "cpu_seconds", "gpu_seconds", "peak_memory_mb")
        self._metrics(run, [(key, float(record[key]), 0, time) for key in costs])
        self._params(run, record["parameters"])
        for name in ("record.json", "verdict.json", "report.html", "model_card.md"):
            if (file.parent / name).is_file():
                self.client.log_artifact(run, str(file.parent / name))
        self.client.set_tag(run, "scanprior.stage", record["stage"])
        self.client.set_tag(run, "scanprior.code", record["code"])
        self.client.set_tag(run, "scanprior.record", digest)
        self.client.set_terminated(run, "FINISHED")
        self.runs[job] = self.client.get_run(run)

    def _sync_verdict(self) -> None:
        file = self.study.results / "verdict.json"
        if not file.is_file():
            return
        verdict = json.loads(file.read_text())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if self.runs["study"].data.tags.get("scanprior.record") == digest:
            return
        primary = verdict.get("primary") or {}
        values = [
            (key, float(primary[key]), 0, 0)
            for key in ("delta", "low", "high", "margin")
            if primary.get(key) is not None
        ]
        self._metrics(self.parent, values)
        self.client.set_tag(self.parent, "scanprior.verdict", str(verdict.get("verdict")))
        self.client.set_tag(self.parent, "scanprior.record", digest)
        self.client.set_terminated(self.parent, "FINISHED")
        self.runs["study"] = self.client.get_run(self.parent)

    def _metrics(self, run: str, values: list[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        for start in range(0, len(values), BATCH):
            batch = [Metric(k.replace("=", "-"), v, t, s) for k, v, s, t in values[start : start + BATCH]]
            self.client.log_batch(run, metrics=batch)

    def _params(self, run: str, parameters: dict[str, Any]) -> None:
        from mlflow.entities import Param

        flat: dict[str, str] = {}

        def walk(prefix: str, value: Any) -> None:
            if isinstance(value, dict) and value:
                for key, inner in value.items():
                    walk(f"{prefix}.{key}" if prefix else str(key), inner)
            else:
                flat[prefix] = str(value)[:500]

        walk("", parameters)
        have = self.client.get_run(run).data.params
        self.client.log_batch(run, params=[Param(k, v) for k, v in sorted(flat.items()) if k and k not in have])


def _files(folder: Path, name: str) -> list[Path]:
    """All files of a name; folders that vanish while they are walked are passed over."""
    return sorted(Path(place) / name for place, _, files in os.walk(folder) if name in files)


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of a live log; None for one that a full disk has torn."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _job(study: Study, file: Path) -> tuple[str, str]:
    """Stage and job of a live log at work/<study>/<stage>/<job…>/<digest>/log.jsonl."""
    parts = file.relative_to(study.work).parts[:-2]
    return parts[0], "/".join(parts[1:])


def rebuild(study: Study) -> int:
    """Write the store anew from the files alone; returns the number of runs.

    A sqlite store of this study is deleted first; a remote store is only brought up to date.
    """
    if study.tracking_uri.startswith("sqlite:///") and "MLFLOW_TRACKING_URI" not in os.environ:
        Path(study.tracking_uri.removeprefix("sqlite:///")).unlink(missing_ok=True)
    recorder = Recorder(study)
    recorder.sync()
    return len(recorder.runs)


def follow(study: Study) -> None:
    """Keep the store up to date until the engine closes this process's standard input."""
    recorder = Recorder(study)
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], PERIOD)
        recorder.sync()
        if ready:
            return
