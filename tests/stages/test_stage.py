"""The stage shell: whole or not at all, resumed metrics, failures in words."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from scanprior.errors import StageError
from scanprior.stages import placing
from scanprior.stages import stage as stage_module
from scanprior.stages.stage import open_stage, read_quarantine
from scanprior.study import Study

TEXT = """
study: tiny
cohort: {scans: raw, labels: labels.csv}
task: {kind: patient}
privacy: {key: public}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Study, "state", lambda self, stage: {"code": "c", "config": "k"})
    (tmp_path / "study.yaml").write_text(TEXT.replace("labels.csv}", "labels.csv, simulated: true}"))
    return Study.load("study.yaml")


def index(study: Study) -> None:
    with open_stage(study, "index") as stage:
        (stage.folder / "table.txt").write_text("x")
        stage.log({"loss": 0.5}, step=2)
        stage.quarantine(item="S-1", patient=None, reason="missing-slice", sentence="a slice is missing")
        stage.note(scans=3)


def test_outputs_appear_with_record_digests_metrics_and_quarantine(study: Study) -> None:
    index(study)
    folder = study.folder("index")
    record = json.loads((folder / "record.json").read_text())
    assert record["notes"] == {"scans": 3}
    assert record["wall_seconds"] >= 0 and record["peak_memory_mb"] > 0
    assert record["machine"]["instruction_set"]
    digests = json.loads((folder / "digests.json").read_text())
    assert set(digests) == {"table.txt", "metrics.parquet", "quarantine.parquet"}
    assert pd.read_parquet(folder / "metrics.parquet").values.tolist() == [["loss", 2, 0.5]]
    assert read_quarantine(study, "index")["reason"].tolist() == ["missing-slice"]
    assert not list(study.work.glob("index/*/log.jsonl"))


def test_a_kill_while_old_outputs_go_never_leaves_half_of_them(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    index(study)
    (study.folder("index") / "old.txt").write_text("of the run before")
    deleted: list[Path] = []
    remove = shutil.rmtree

    def watch(folder: Path, ignore_errors: bool = False) -> None:
        deleted.append(Path(folder))
        remove(folder, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", watch)
    index(study)
    assert study.folder("index") not in deleted  # moved aside by one rename, and deleted elsewhere
    assert not (study.folder("index") / "old.txt").exists()
    assert not list(study.work.rglob("old.txt"))


def elsewhere(tmp_path: Path) -> Path | None:
    """A folder for the results on another file system than `tmp_path`, where there is one."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        return None
    return Path(tempfile.mkdtemp(dir=shared))


def test_results_may_lie_on_another_file_system(study: Study, tmp_path: Path) -> None:
    place = elsewhere(tmp_path)
    if place is None:
        pytest.skip("no second file system at /dev/shm")
    try:
        (tmp_path / "results").symlink_to(place)
        index(study)
        (study.folder("index") / "old.txt").write_text("of the run before")
        (study.results / ".index.part").mkdir()
        (study.results / ".index.part" / "half.txt").write_text("of a copy that was killed")
        index(study)
        assert {file.name for file in study.folder("index").iterdir()} == {
            "table.txt", "metrics.parquet", "quarantine.parquet", "digests.json", "record.json",
        }  # fmt: skip
        assert [path.name for path in study.results.iterdir()] == ["index"]
    finally:
        shutil.rmtree(place)


def test_a_full_disk_during_the_copy_leaves_the_old_outputs(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    index(study)
    before = {f.name: f.read_bytes() for f in study.folder("index").iterdir()}

    def refuse(*_: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def fill(source: Path, copy: Path) -> None:
        copy.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(placing, "_exchange", refuse)
        broken.setattr(shutil, "copytree", fill)
        with pytest.raises(StageError, match="disk"):
            index(study)
    assert {f.name: f.read_bytes() for f in study.folder("index").iterdir()} == before
    assert [path.name for path in study.results.iterdir()] == ["index"]  # the disk has its room back


def test_a_failed_stage_leaves_the_old_outputs_and_nothing_half_written(study: Study) -> None:
    index(study)
    before = {f.name: f.read_bytes() for f in study.folder("index").iterdir()}
    with pytest.raises(StageError), open_stage(study, "index") as stage:
        (stage.folder / "table.txt").write_text("half")
        raise RuntimeError
    assert {f.name: f.read_bytes() for f in study.folder("index").iterdir()} == before


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "ran out of memory"),
        (RuntimeError("CUDA out of memory"), "ran out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (ValueError("patient SMITH in /data/SMITH"), "ValueError in stage.py"),
    ],
)
def test_causes_in_words_without_the_librarys_text(study: Study, error: Exception, words: str) -> None:
    with pytest.raises(StageError) as caught, open_stage(study, "index"):
        raise error
    assert words in str(caught.value)
    assert "SMITH" not in str(caught.value)
    assert "scanprior run study.yaml" in str(caught.value)
    written = (study.work / "failures" / "index@.json").read_text()
    assert words in written and "SMITH" not in written


def test_metrics_of_an_interrupted_run_are_taken_over(study: Study) -> None:
    with pytest.raises(StageError), open_stage(study, "index") as stage:
        stage.log({"loss": 1.0}, step=1)
        stage.log({"loss": 0.7}, step=2)
        (stage.work / "log.jsonl").open("a").write('{"step": 3, "lo')  # what a kill leaves
        raise RuntimeError
    with open_stage(study, "index") as stage:
        stage.log({"loss": 0.7}, step=2)
        stage.log({"loss": 0.4}, step=3)
    record = json.loads((study.folder("index") / "record.json").read_text())
    assert record["resumed"] and record["repeated"] == [["loss", 2]]
    assert pd.read_parquet(study.folder("index") / "metrics.parquet")["value"].tolist() == [1.0, 0.7, 0.4]


def test_checkpoints_of_other_inputs_are_not_taken_over(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError), open_stage(study, "index") as stage:
        (stage.work / "checkpoint").write_text("old")
        raise RuntimeError
    monkeypatch.setattr(Study, "state", lambda self, stage: {"code": "edited", "config": "k"})
    with open_stage(study, "index") as stage:
        assert not (stage.work / "checkpoint").exists()


def test_missing_inputs_are_named(study: Study) -> None:
    with pytest.raises(StageError, match="the results of index are missing"), open_stage(study, "split"):
        pass


@pytest.mark.parametrize("rests", [False, True])
def test_a_disk_that_fills_while_the_record_is_written_is_named(
    study: Study, monkeypatch: pytest.MonkeyPatch, rests: bool
) -> None:
    def full() -> dict[str, str]:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/SMITH")

    monkeypatch.setattr(stage_module, "versions", full)
    with pytest.raises(StageError, match="disk is full") as caught, open_stage(study, "index") as stage:
        if rests:
            stage.rest()
    assert "SMITH" not in str(caught.value)
    assert "disk is full" in json.loads((study.work / "failures" / "index@.json").read_text())["cause"]


def test_quarantine_of_jobs_that_are_no_more_is_not_told(study: Study) -> None:
    for shard in (0, 99):
        folder = study.folder("convert", f"shard-{shard}")
        folder.mkdir(parents=True)
        frame = pd.DataFrame({"item": ["S-1"], "patient": ["P-1"], "reason": [f"of shard {shard}"], "sentence": ["x"]})
        frame.to_parquet(folder / "quarantine.parquet")
    assert read_quarantine(study, "convert")["reason"].tolist() == ["of shard 0"]
