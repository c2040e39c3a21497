"""The tiny study end to end: report and verdict, a no-op second time, nothing private outside, the store rebuilt."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tiny

pytestmark = pytest.mark.workflow


def test_a_report_and_a_verdict(house: Path) -> None:
    page = (house / "results/tiny/report.html").read_text()
    verdict = json.loads((house / "results/tiny/verdict.json").read_text())
    assert verdict["verdict"] in ("helps", "harms", "equivalent", "inconclusive")
    assert verdict["primary"]["low"] <= verdict["primary"]["delta"] <= verdict["primary"]["high"]
    assert "simulated" in page.lower()


def test_every_patient_is_used_or_in_quarantine(house: Path) -> None:
    patients = pd.read_parquet(house / "results/tiny/index/patients.parquet")
    assert len(patients) == len(tiny.SURNAMES)
    assert patients["labelled"].sum() == tiny.LABELLED
    scores = pd.read_parquet(house / "results/tiny/evaluate/scores.parquet")
    counts = scores.groupby(["arm", "budget", "draw"])["patient"].nunique()
    assert (counts == tiny.LABELLED).all()
    assert len(counts) == 3 * 2 * 2


def test_the_way_of_pretraining_is_a_setting_of_the_trials(house: Path) -> None:
    results = house / "results/tiny"
    assert {folder.name for folder in results.glob("prior*")} == {"prior", "prior-rectified-way1"}
    tried = pd.read_parquet(results / "train/dbn/draw-0/validation.parquet")["params"].map(json.loads)
    assert {one["prior_way"] for one in tried} <= {0, 1} and tried[0]["prior_way"] == 0
    other = pd.read_parquet(results / "train/scratch/draw-0/validation.parquet")["params"].map(json.loads)
    assert len(other) == len(tried) and not any("prior_way" in one for one in other)
    cards = [json.loads((folder / "card.json").read_text()) for folder in sorted(results.glob("prior*"))]
    assert [(card["way"], card["training"]["objective"]) for card in cards] == [(0, "cd1"), (1, "cd2")]
    page = (results / "report.html").read_text()
    assert "pretraining, way 1" in page and "Which way of pretraining an arm starts from is one of them" in page


def test_a_finished_study_is_a_no_op(house: Path) -> None:
    before = (house / "results/tiny/report.html").stat().st_mtime_ns
    done = tiny.scanprior(house, "run", "tiny.yaml", "--cores", "2")
    assert "verdict:" in done.stdout
    assert (house / "results/tiny/report.html").stat().st_mtime_ns == before
    planned = tiny.snakemake(house, "--configfile", "tiny.yaml", "-n")
    assert "Nothing to be done" in planned.stdout + planned.stderr


def test_a_dry_run_lists_the_plan(tmp_path: Path) -> None:
    tiny.build(tmp_path)
    text = tiny.snakemake(tmp_path, "--configfile", "tiny.yaml", "-n").stdout
    for rule in (
        "index",
        "split",
        "deidentify",
        "convert",
        "prepare",
        "patches",
        "pretrain",
        "train_0_to_1",  # two draws of an arm
        "train",  # canaries
        "evaluate",
        "report",
    ):
        assert f"rule {rule}:" in text
    assert not (tmp_path / "results").exists()


def test_one_more_arm_adds_only_its_own_jobs(house: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(house, copy)
    study = copy / "tiny.yaml"
    study.write_text(study.read_text().replace("logistic]", "logistic, pca_logistic]"))
    text = tiny.snakemake(copy, "--configfile", "tiny.yaml", "-n").stdout
    assert text.count("rule train_0_to_1:") == text.count("wildcards: arm=pca_logistic") == 1
    assert "rule train:" not in text
    for rule in ("index", "split", "deidentify", "convert", "prepare", "patches", "pretrain"):
        assert f"rule {rule}:" not in text


def test_no_identifier_outside_private(house: Path) -> None:
    everything = [file for file in house.rglob("*") if file.is_file()]
    public = [f for f in everything if f.relative_to(house).parts[0] not in ("hospital", "private")]
    assert any(f.name == "mlflow.db" for f in public)
    assert any(".snakemake" in f.parts for f in public)
    for file in public:
        text = tiny.searchable(file) + file.relative_to(house).as_posix()
        for word in tiny.planted():
            assert word.lower() not in text.lower(), f"{word} in {file.relative_to(house)}"
    crosswalk = pd.read_parquet(next((house / "private").rglob("crosswalk.parquet")))
    assert tiny.hospital_id(3) in crosswalk.to_string()


def test_the_store_holds_a_run_for_every_job_and_is_rebuilt_from_files(house: Path) -> None:
    def runs() -> dict[str, dict[str, float]]:
        script = (
            "import json; from mlflow import MlflowClient; c = MlflowClient('sqlite:///results/tiny/mlflow.db');"
            "e = c.get_experiment_by_name('tiny').experiment_id;"
            "print(json.dumps({r.data.tags['scanprior.job']: dict(r.data.metrics) for r in c.search_runs([e], max_results=500)}))"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=house, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    before = runs()
    records = {f.parent.relative_to(house / "results/tiny").as_posix() for f in (house / "results/tiny").rglob("record.json")
               if "mlflow-artifacts" not in f.parts}  # fmt: skip
    assert set(before) == records | {"study"}
    (house / "results/tiny/mlflow.db").unlink()
    tiny.scanprior(house, "track", "tiny.yaml")
    assert runs() == before


def test_export_and_load_in_a_fresh_process(house: Path, tmp_path: Path) -> None:
    tiny.scanprior(house, "export", "tiny.yaml", str(tmp_path / "out"))
    script = (
        "import sys, scanprior, torch; prior = scanprior.load_prior(sys.argv[1]);"
        "print(tuple(prior.encode(torch.zeros(4, 125)).shape));"
        "assert not {'pytorch_lightning', 'snakemake', 'mlflow'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out" / "prior")], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(4, 8)", done.stderr
    assert "# Prior of the study tiny" in (tmp_path / "out/prior/model_card.md").read_text()
    assert {file.name for file in (tmp_path / "out/journal").iterdir()} == {
        "report.html", "verdict.json", "scores.csv", "methods.md", "tripod_ai.csv", "claim.csv", "stard_ai.csv"}  # fmt: skip
    folds = json.loads((tmp_path / "out/splits_final.json").read_text())
    assert all(set(fold) == {"train", "val"} and not set(fold["train"]) & set(fold["val"]) for fold in folds)


def test_two_runs_from_scratch_are_byte_identical(house: Path, tmp_path: Path) -> None:
    tiny.build(tmp_path)
    (tmp_path / "private/tiny").mkdir(parents=True)
    shutil.copy(house / "private/tiny/key", tmp_path / "private/tiny/key")
    tiny.scanprior(tmp_path, "run", "tiny.yaml", "--cores", "2")
    assert tiny.outcome(tmp_path) == tiny.outcome(house)
