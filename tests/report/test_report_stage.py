"""The stage on tables of an invented study, split and judged by the real stages: no scan, no torch."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evidence"))
from fake_study import make_study, publish, train_all, write_index

from scanprior.errors import ScanpriorError
from scanprior.learning.slices import pack
from scanprior.stages import evaluate, report, split
from scanprior.study import Study

HOLDOUT = "{scheme: holdout, test: 12, pool: 10, budgets: [2, 4, 8], draws: 3, margin: 0.01}"
SIZE = (13, 13, 13)


def voxel_study(house: Path) -> Study:
    """Everything that the stages before the report leave for a voxel study, small."""
    study = make_study(house, arms="dbn, scratch", evaluation=HOLDOUT, voxel=True)
    names = [f"P-{number:010x}" for number in range(36)]
    order = range(36)
    write_index(study, pd.DataFrame({"patient": names, "order": order, "labelled": True, "label": None, "site": "A"}))
    scans = pd.DataFrame(
        {
            "scan": [name.replace("P", "S") for name in names],
            "patient": names,
            "order": order,
            "format": "nifti",
            "modality": "MR",
            "scanner": "A",
            "days": None,
            "has_map": True,
            "n_files": 1,
            "shard": 0,
        }
    )
    publish(
        study.folder("index"),
        {"scans.parquet": scans, "patients.parquet": pd.read_parquet(study.folder("index") / "patients.parquet")},
    )
    split.run(study)
    rng = np.random.default_rng(0)
    publish(study.folder("prepare", "shard-0"), {})
    for scan in scans["scan"]:
        np.save(
            study.folder("prepare", "shard-0") / f"{scan}.image.npy", rng.normal(size=(20, 18, 16)).astype(np.float32)
        )
    aside = pd.DataFrame(
        {"item": ["S-0000000099"], "patient": [None], "reason": ["missing-slice"], "sentence": ["slice 3 is missing"]}
    )
    publish(study.folder("convert", "shard-0"), {"quarantine.parquet": aside})
    series = pd.DataFrame({"scan": scans["scan"], "removed": None})
    publish(study.folder("deidentify", "shard-0"), {"series.parquet": series})
    summary = {"files": {"written": 36}, "actions": {"text-fields": 36}, "faces": {"no-head": 36}, "edition": "2026c"}
    (study.folder("deidentify", "shard-0") / "summary.json").write_text(json.dumps(summary))
    index = pd.DataFrame(
        {"scan_row": np.repeat(np.arange(36), 3), "i": 0, "j": 9, "k": 8, "target": [0, 1, 2] * 36, "use": "task"}
    )
    images = scans.assign(image=[f"prepare/shard-0/{scan}.image.npy" for scan in scans["scan"]])
    publish(
        study.folder("patches"),
        {"index.parquet": index, "scans.parquet": images[["scan", "patient", "order", "image"]]},
    )
    content = json.loads((study.folder("split") / "split.json").read_text())
    prior = study.results / "prior"
    metrics = pd.DataFrame({"key": "layer1/reconstruction", "step": [1, 2], "value": [0.9, 0.8]})
    publish(prior, {"metrics.parquet": metrics})
    np.save(prior / "filters.npy", rng.normal(size=(20, *SIZE)).astype(np.float32))
    np.save(prior / "reconstructions.npy", rng.normal(size=(2, 8, *SIZE)).astype(np.float32))
    card = {"context": "all", "patients": 10, "scans": 10, "patches": 4000, "training": {"hidden": "rectified"}}
    (prior / "card.json").write_text(json.dumps(card))
    notes = {"patients_seen": content["pool"]}
    (prior / "record.json").write_text(json.dumps({"stage": "pretrain", "wall_seconds": 3.0, "notes": notes}))
    train_all(study, gain={"dbn": 0.6, "scratch": 0.0})
    for job in study.jobs("train"):
        folder = study.folder("train", f"{job['arm']}/draw-{job['draw']}")
        (folder / "record.json").write_text(
            json.dumps({"stage": "train", "job": f"{job['arm']}/draw-{job['draw']}", "wall_seconds": 2.0})
        )
    evaluate.run(study)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    found = voxel_study(tmp_path_factory.mktemp("house"))
    report.run(found)
    return found


def test_the_report_is_at_the_top_and_holds_every_part(study: Study) -> None:
    page = (study.results / "report.html").read_text()
    assert page == (study.folder("report") / "report.html").read_text()
    assert (study.folder("report") / "record.json").exists()
    for needle in (
        "Simulated cohort",
        "Pretraining helps",
        "dbn − scratch",
        "Dice per class",
        "front",
        "missing-slice",
        "S-0000000099",
        "First-layer filters of the prior",
        "Reconstructions",
        "reconstruction error, trained patches",
        "scans without a head",
        "text fields of NIfTI headers emptied",
        "12",
        "two sides",
        "Patches of de-identified scans: background, 16 images",
    ):
        assert needle in page, needle
    for missing in ("There is no table of patients", "left no filters", "No paired difference", "no patches to show"):
        assert missing not in page, missing


def test_sentence_and_numbers_agree_with_the_files(study: Study) -> None:
    """Every number of the first sentence is one of verdict.json, and every score of the table one of curves.parquet."""
    verdict = json.loads((study.results / "verdict.json").read_text())
    page, primary = (study.results / "report.html").read_text(), verdict["primary"]
    facts = page[page.index('<span class="facts">') : page.index("</h1>")].replace("\u202f", "")
    signs = [float(text.replace("−", "-")) for text in re.findall(r"[+−]\d\.\d+", facts)]
    assert signs == [round(primary[key], 3) for key in ("low", "high", "delta")]
    for part in (f"declared margin {primary['margin']:.3f}", f"{primary['patients']} patients tested",
                 f"{primary['draws']} draws", "95% interval", "budgets of 2 to 8 labelled patients"):  # fmt: skip
        assert part in facts, part
    for value in signs:
        assert f"{value:+.3f}".replace("-", "−") in verdict["sentence"]
    assert verdict["verdict"] == "helps"
    table = page[page.index('<table class="scores">') :]
    curves = pd.read_parquet(study.folder("evaluate") / "curves.parquet")
    shown = re.findall(r"<td>(\d\.\d{3})<small>(\d\.\d{3}) to (\d\.\d{3})</small></td>", table)
    wanted = curves.set_index(["arm", "budget"]).loc[["dbn", "scratch"], ["mean", "low", "high"]].to_numpy()
    assert [tuple(map(float, row)) for row in shown] == [tuple(row) for row in wanted.round(3)]


def test_methods_and_checklists_lie_beside_the_page(study: Study) -> None:
    folder, page = study.folder("report"), (study.results / "report.html").read_text()
    paragraph = (folder / "methods.md").read_text().strip()
    assert html.escape(paragraph[:60]) in page
    assert "0.010" in paragraph
    for stem, rows in (("tripod_ai", 53), ("claim", 45), ("stard_ai", 49)):
        assert len((folder / f"{stem}.csv").read_text().splitlines()) == rows


def test_the_prior_s_patients_are_counted_against_the_tested_ones(study: Study) -> None:
    (prior,) = report.gather(study).priors
    assert (prior.patients, prior.test_overlap) == (10, 0)
    record = study.results / "prior" / "record.json"
    kept = record.read_text()
    tested = json.loads((study.folder("split") / "split.json").read_text())["test"]
    try:
        record.write_text(json.dumps({"notes": {"patients_seen": tested[:3]}}))
        assert report.gather(study).priors[0].test_overlap == 3
    finally:
        record.write_text(kept)


def test_patches_lie_as_in_the_scan_and_repeat_the_edge_outside(study: Study) -> None:
    montage = report.gather(study).patches
    assert montage is not None
    assert [label for label, _ in montage.rows] == ["background", "front", "back"]
    image = np.load(study.results / "prepare/shard-0/S-0000000000.image.npy")
    shown = montage.rows[0][1][0]
    assert shown.shape == (13, 13)
    # Rows run from anterior to posterior, columns from the patient's right: image[6 - column, 15 - row].
    assert shown[6, 0] == image[6, 9, 8]
    assert shown[6, 6] == image[0, 9, 8]
    assert shown[6, 12] == image[0, 9, 8]
    assert shown[0, 6] == image[0, 15, 8]


def keep_slices(study: Study) -> None:
    """Label maps of a bar in front and one behind it, and predictions that find the first and put the second elsewhere."""
    truth = np.zeros((20, 18, 16), np.uint8)
    truth[8:12, 3:5, 5], truth[8:12, 10:12, 5] = 2, 1
    wrong = np.zeros((20, 18), np.uint8)
    wrong[8:12, 3:5], wrong[14:16, 10:12] = 2, 1
    for scan in pd.read_parquet(study.folder("patches") / "scans.parquet")["scan"]:
        np.save(study.folder("prepare", "shard-0") / f"{scan}.label.npy", truth)
    for job in study.jobs("train"):
        file = study.folder("train", f"{job['arm']}/draw-{job['draw']}") / "predictions.parquet"
        pd.read_parquet(file).assign(slice=5, predicted=pack(wrong)).to_parquet(file)


def test_the_worst_scans_are_shown_with_truth_and_predictions(study: Study) -> None:
    assert report.gather(study).failures == (), "older predictions have no slice to show"
    keep_slices(study)
    content = report.gather(study)
    assert content.worst is not None
    assert [one.patient for one in content.failures] == [row[0] for row in content.worst.rows[:6]]
    first = content.failures[0]
    assert [name for name, _ in first.maps] == ["truth", "dbn", "scratch"]
    # The slice is 20 × 18 and the bars reach to its edge less the rim, so that the cut keeps all rows and leaves out none.
    assert first.image.shape == first.maps[0][1].shape == (18, 20)
    image = np.load(study.results / f"prepare/shard-0/{first.patient.replace('P', 'S')}.image.npy")
    assert first.image[0, 0] == image[19, 17, 5], "anterior up, the patient's right on the left"
    truth, dbn = first.maps[0][1], first.maps[1][1]
    assert (truth[17 - 10, 19 - 8], truth[17 - 3, 19 - 8]) == (1, 2)
    assert (dbn[17 - 10, 19 - 8], dbn[17 - 3, 19 - 8], dbn[17 - 10, 19 - 14]) == (0, 2, 1)
    assert f"dbn {content.worst.rows[0][content.worst.columns.index('dbn')]:.3f}" in first.caption


def test_a_second_report_has_the_same_bytes(study: Study) -> None:
    report.run(study)
    first = (study.results / "report.html").read_bytes()
    assert b"What was predicted there" in first
    report.run(study)
    assert (study.results / "report.html").read_bytes() == first


def test_without_pictures_and_records_there_is_still_a_report(study: Study) -> None:
    for file in ("filters.npy", "reconstructions.npy", "metrics.parquet", "card.json"):
        (study.results / "prior" / file).unlink()
    (study.folder("patches") / "index.parquet").unlink()
    (study.folder("deidentify", "shard-0") / "summary.json").unlink()
    report.run(study)
    page = (study.results / "report.html").read_text()
    for needle in ("left no filters", "no patches to show", "No curves of pretraining", "left no summary"):
        assert needle in page, needle


def test_a_patient_study_of_tables_alone(tmp_path: Path) -> None:
    evaluation = "{scheme: cv, folds: 2, budgets: [4, 8], draws: 2, metric: auc, margin: 0.02}"
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=evaluation)
    names = [f"P-{number:010x}" for number in range(40)]
    label = ["ill" if number % 2 else "well" for number in range(40)]
    patients = pd.DataFrame(
        {"patient": names, "order": range(40), "labelled": True, "label": label, "age": 50.0, "sex": "F"}
    )
    write_index(study, patients)
    split.run(study)
    train_all(study, gain={"dbn": 0.6, "scratch": 0.3})
    evaluate.run(study)
    for stage, job in (("deidentify", "shard-0"), ("convert", "shard-0"), ("prepare", "shard-0"), ("patches", "")):
        publish(study.folder(stage, job), {})
    publish(study.results / "prior", {})
    report.run(study)
    page = (study.results / "report.html").read_text()
    for needle in (
        "AUC",
        "a label per patient: well and ill",
        "ROC curve",
        "Precision and recall",
        "Reliability",
        "probability given to the true class",
        "20 patients",
        "left no filters",
        "left no summary",
        "no patches to show",
        "median 50",
    ):
        assert needle in page, needle


def test_without_a_verdict_there_is_no_report(tmp_path: Path) -> None:
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=HOLDOUT, voxel=True)
    with pytest.raises(ScanpriorError):
        report.gather(study)


def test_the_stage_needs_no_torch() -> None:
    code = "import sys, scanprior.stages.report; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
