"""Stages before training are run by themselves when they are out of date, and only then."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scanprior.outdated import STAGES, goals
from scanprior.pipeline import job_name
from scanprior.stages.stage import open_stage
from scanprior.study import Study

TEXT = """
study: tiny
cohort: {scans: raw, labels: labels.csv, simulated: true}
task: {kind: patient}
privacy: {key: public}
engine: {shards: 2}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Study, "state", lambda self, stage: {"code": "c", "config": "k"})
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/scan.nii").write_text("voxels")
    (tmp_path / "labels.csv").write_text("id,label\n")
    (tmp_path / "study.yaml").write_text(TEXT)
    return Study.load("study.yaml")


def make(study: Study, stage: str, content: str = "x", *, shard: int | None = None) -> None:
    """Publish the jobs of a stage, or that of one shard, as the real one would."""
    for job in study.jobs(stage):
        if shard is None or job.get("shard") == shard:
            with open_stage(study, stage, job=job_name(**job), **job) as opened:
                (opened.folder / "table.txt").write_text(content)
                if stage == "index":
                    opened.note(listing=study.listing())


def made(study: Study) -> Study:
    for stage in (*STAGES, "pretrain"):
        make(study, stage)
    return study


def test_a_study_without_a_prior_is_planned_as_a_whole(study: Study) -> None:
    assert list(goals(study)) == []
    make(study, "index")
    assert list(goals(study)) == []


def test_nothing_is_out_of_date_in_a_finished_study(study: Study) -> None:
    assert list(goals(made(study))) == []


def test_copied_raw_files_let_all_that_follows_stand(study: Study) -> None:
    made(study)
    os.utime(study.house / "raw/scan.nii", (1, 1))
    found: list[str] = []
    for stage in goals(study):
        found.append(stage)
        make(study, stage)  # with the same outcome
    assert found == ["index"]


def test_another_outcome_is_followed_as_far_as_it_reaches(study: Study) -> None:
    made(study)
    (study.house / "raw/note.txt").write_text("no scan")
    found: list[str] = []
    for stage in goals(study):
        found.append(stage)
        make(study, stage, "y" if stage == "index" else "x")
    assert found == ["index", "split", "deidentify", "patches"]  # what reads the index; all came out the same


@pytest.mark.parametrize("name", ["code", "config"])
def test_other_code_or_settings(study: Study, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made(study)
    plain = {"code": "c", "config": "k"}
    monkeypatch.setattr(Study, "state", lambda self, stage: {**plain, **({name: "new"} if stage == "convert" else {})})
    assert next(goals(study)) == "convert"


def test_a_shard_that_is_missing_or_older_than_its_inputs(study: Study) -> None:
    made(study)
    make(study, "deidentify", "y", shard=1)
    assert list(goals(study)) == ["convert"]
    made(study)
    (study.folder("prepare", "shard-1") / "record.json").unlink()
    assert list(goals(study)) == ["prepare"]


def test_records_of_an_earlier_version_and_broken_ones_count_as_out_of_date(study: Study) -> None:
    made(study)
    file = study.folder("index") / "record.json"
    record = json.loads(file.read_text())
    del record["config"]
    file.write_text(json.dumps(record))
    assert next(goals(study)) == "index"
    file.write_text("{")
    assert next(goals(study)) == "index"
