"""The stages split and evaluate on tables of an invented study: no scan, no torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fake_study import make_study, publish, train_all, write_canary, write_index

from scanprior.errors import CohortError, StageError
from scanprior.privacy.pseudonyms import patient_pseudonym
from scanprior.stages import evaluate, split
from scanprior.stages.frozen import freeze

CV = "{scheme: cv, folds: 3, budgets: [4, 8, 12], draws: 3, metric: auc, margin: 0.02}"
HOLDOUT = "{scheme: holdout, test: 30, pool: 20, budgets: [2, 4, 8], draws: 3, margin: 0.01}"


def cohort(number=60, labelled=48, *, voxel=False, prefix="P-"):
    names = [f"{prefix}{i:010x}" for i in range(number)]
    label = [None if voxel or i >= labelled else ("ill" if i % 2 else "well") for i in range(number)]
    return pd.DataFrame(
        {"patient": names, "order": range(number), "labelled": [i < labelled for i in range(number)], "label": label}
    )


def read(study, stage, name):
    return json.loads((study.folder(stage) / name).read_text())


def test_split_is_the_contract_and_a_new_key_changes_names_only(tmp_path):
    found = []
    for folder, prefix in (("one", "P-"), ("two", "P-f")):
        (tmp_path / folder).mkdir()
        study = make_study(tmp_path / folder, arms="dbn, scratch", evaluation=CV)
        patients = cohort(prefix=prefix).sample(frac=1, random_state=len(folder + prefix))
        write_index(study, patients)
        split.run(study)
        content = read(study, "split", "split.json")
        rank = dict(zip(patients["patient"], patients["order"], strict=True))
        found.append((content["sha256"], [[rank[p] for p in draw["order"]] for draw in content["draws"]]))
    assert found[0] == found[1]
    assert content["classes"] == ["well", "ill"] and content["block"] == 2 and len(content["pool"]) == 12
    assert len(content["draws"]) == 9 and set(content["draws"][0]) == {"draw", "fold", "order", "test"}


def test_patients_named_together_fall_on_one_side_and_an_unknown_id_is_refused_unnamed(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=HOLDOUT, voxel=True, together="[[MRN-1, MRN-2]]")
    patients = cohort(80, 80, voxel=True)
    write_index(study, patients)
    with pytest.raises(CohortError, match="2 of the 2 patients of group 1") as caught:
        split.run(study)
    assert "MRN" not in str(caught.value)
    patients.loc[[3, 40], "patient"] = [patient_pseudonym(study.key, name) for name in ("MRN-1", "MRN-2")]
    write_index(study, patients)
    split.run(study)
    content = read(study, "split", "split.json")
    pair = set(patients.loc[[3, 40], "patient"])
    assert any(pair <= set(content[side]) for side in ("pool", "labelled", "test"))


def test_every_reason_against_the_cohort_comes_at_once(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation="{scheme: cv, budgets: [2, 60], draws: 2}")
    write_index(study, cohort())
    with pytest.raises(CohortError) as caught:
        split.run(study)
    assert "2 reasons" in str(caught.value) and "smallest is 2" in str(caught.value) and "is 60" in str(caught.value)


def test_the_positive_class_must_be_there(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=CV)
    write_index(study, cohort().replace({"label": {"ill": "sick"}}))
    with pytest.raises(CohortError, match=r"task\.positive"):
        split.run(study)


@pytest.fixture
def finished(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch, cnn, dbn_bernoulli, scratch_bernoulli", evaluation=CV)
    write_index(study, cohort())
    split.run(study)
    train_all(study, gain={"dbn": 0.8, "scratch": -0.6, "cnn": -0.2, "dbn_bernoulli": -0.4, "scratch_bernoulli": -0.4})
    return study


def test_a_control_is_never_the_claim_and_stands_beside_the_prior_and_the_random_start(tmp_path):
    study = make_study(tmp_path, arms="moments, covariates, scratch, dbn, shuffled_prior", evaluation=CV)
    write_index(study, cohort())
    split.run(study)
    train_all(study, gain={"moments": 0.9, "covariates": 0.5, "scratch": -0.6, "dbn": 0.8, "shuffled_prior": 0.0})
    evaluate.run(study)
    verdict = json.loads((study.results / "verdict.json").read_text())
    assert verdict["primary"]["comparison"] == "dbn − scratch"
    assert verdict["best_without_prior"] == "covariates"
    assert [(row["arm"], row["other"]) for row in verdict["secondary"]] == [
        ("dbn", "covariates"), ("moments", "scratch"), ("dbn", "moments"), ("shuffled_prior", "scratch"),
        ("dbn", "shuffled_prior"),
    ]  # fmt: skip


def test_controls_alone_make_no_claim(tmp_path):
    study = make_study(tmp_path, arms="moments, scratch", evaluation=CV)
    write_index(study, cohort())
    split.run(study)
    train_all(study, gain={"moments": 0.9, "scratch": -0.6})
    evaluate.run(study)
    verdict = json.loads((study.results / "verdict.json").read_text())
    assert verdict["primary"] is None and "no arm with a prior" in verdict["sentence"]


def test_a_clear_gain_ends_as_helps_with_every_field_of_the_design(finished):
    evaluate.run(finished)
    verdict = json.loads((finished.results / "verdict.json").read_text())
    assert verdict["verdict"] == "helps" and verdict["sentence"].startswith("Pretraining helps")
    assert {"metric", "comparison", "delta", "low", "high", "level", "margin"} <= set(verdict["primary"])
    assert {"estimate", "low", "high", "censored"} <= set(verdict["label_multiplier"])
    assert {"patients_needed", "arms", "budgets", "canaries", "leaks", "plan"} <= set(verdict)
    assert verdict["primary"]["comparison"] == "dbn − scratch" and verdict["best_without_prior"] == "cnn"
    assert [(row["arm"], row["other"]) for row in verdict["secondary"]] == [
        ("dbn", "cnn"), ("dbn_bernoulli", "scratch_bernoulli"), ("dbn_bernoulli", "cnn"),
    ]  # fmt: skip
    assert all(row["p_holm"] >= row["p"] for row in verdict["secondary"])
    scores = pd.read_parquet(finished.folder("evaluate") / "scores.parquet")
    assert len(scores) == 5 * 3 * 3 * 48 and {"arm", "budget", "draw", "patient", "score", "p_ill"} <= set(scores)
    curves = pd.read_parquet(finished.folder("evaluate") / "curves.parquet")
    assert list(curves) == ["arm", "budget", "mean", "low", "high"] and len(curves) == 15
    assert (
        (curves["low"] <= curves["mean"]).all()
        and (curves["mean"] <= curves["high"]).all()
        and curves["high"].max() <= 1
    )


def test_tables_beyond_one_number_are_written_and_a_shortcut_is_shown(finished):
    file = finished.folder("index") / "scans.parquet"
    scans = pd.read_parquet(file)
    scans["scanner"] = np.where(cohort()["label"] == "ill", "A", "B")
    scans.to_parquet(file)
    evaluate.run(finished)
    tables = {name: pd.read_parquet(finished.folder("evaluate") / f"{name}.parquet") for name in
              ("calibration", "reliability", "net_benefit", "roc", "shortcuts")}  # fmt: skip
    assert len(tables["calibration"]) == 5 and set(tables["roc"]) == {"arm", "fpr", "tpr", "low", "high"}
    assert tables["shortcuts"].set_index("name").loc["scanner", "suspect"]
    told = json.loads((finished.results / "verdict.json").read_text())["shortcuts"]
    assert {row["name"]: row["suspect"] for row in told}["scanner"] is True and told[0]["accuracy"] >= 0.9
    verdict = json.loads((finished.results / "verdict.json").read_text())
    assert [(leak["check"], leak["proof"]) for leak in verdict["leaks"]] == [("shortcut", False)]
    assert "scanner alone tells the label" in verdict["leaks"][0]["sentence"] and verdict["verdict"] == "helps"


def test_two_runs_give_the_same_bytes(finished):
    found = []
    for _ in range(2):
        evaluate.run(finished)
        folder = finished.folder("evaluate")
        found.append(
            [
                (folder / name).read_bytes()
                for name in ("scores.parquet", "curves.parquet", "summary.json", "verdict.json")
            ]
        )
    assert found[0] == found[1]


def test_quarantined_patients_and_missing_budgets_are_counted(finished):
    folder = finished.folder("train", "dbn/draw-0")
    table = pd.read_parquet(folder / "predictions.parquet")
    gone = table["patient"].iloc[0]
    publish(folder, {"predictions.parquet": table[(table["budget"] != 12)]})
    for file in finished.results.glob("train/*/*/predictions.parquet"):
        table = pd.read_parquet(file)
        table[table["patient"] != gone].to_parquet(file)
    evaluate.run(finished)
    summary = read(finished, "evaluate", "summary.json")
    assert summary["without_scores"] == [gone] and summary["test_patients"] == 48
    assert summary["arms"]["scratch"] == {"planned": 432, "got": 423} and summary["arms"]["dbn"]["got"] == 423 - 47
    assert "some draws lack a budget" in json.loads((finished.results / "verdict.json").read_text())["primary"]["note"]


def test_a_prediction_for_a_training_patient_stops_the_study(finished):
    file = finished.folder("train", "cnn/draw-1") / "predictions.parquet"
    table = pd.read_parquet(file)
    table.loc[0, "fold"] = (table.loc[0, "fold"] + 1) % 3
    table.to_parquet(file)
    with pytest.raises(StageError, match="arm cnn has 1 predictions"):
        evaluate.run(finished)
    assert not (finished.results / "verdict.json").exists()


def test_a_prior_that_saw_a_test_patient_stops_the_study(finished):
    tested = read(finished, "split", "split.json")["draws"][0]["test"][0]
    folder = finished.folder("pretrain", "rectified/all")
    (folder / "record.json").write_text(json.dumps({"notes": {"patients_seen": [tested]}}))
    with pytest.raises(StageError, match="the prior has seen the scans of 1 test patients"):
        evaluate.run(finished)


def test_the_same_volume_under_two_patients_stops_the_study(finished):
    scans = pd.DataFrame({"scan": ["S-1", "S-2", "S-3"], "patient": cohort()["patient"][:3], "order": range(3)})
    publish(finished.folder("prepare", "shard-0"), {"scans.parquet": scans})
    digests = {"S-1.image.npy": "a", "S-2.image.npy": "b", "S-3.image.npy": "b"}
    (finished.folder("prepare", "shard-0") / "digests.json").write_text(json.dumps(digests))
    with pytest.raises(StageError, match="exactly the same voxels"):
        evaluate.run(finished)


def prepared(study, volumes, step=float("nan")):
    """Prepared scans of the first patients, as the stage prepare leaves them."""
    names = cohort()["patient"][: len(volumes)]
    scans = pd.DataFrame({"scan": names.str.replace("P", "S"), "patient": names, "order": range(len(names))})
    folder = study.folder("prepare", "shard-0")
    publish(folder, {"scans.parquet": scans.assign(step=step, brightness=1.0)})
    for scan, volume in zip(scans["scan"], volumes, strict=True):
        np.save(folder / f"{scan}.image.npy", volume)
    digests = {f"{scan}.image.npy": scan for scan in scans["scan"]}
    (folder / "digests.json").write_text(json.dumps(digests))


def test_a_mirrored_copy_under_another_patient_stops_the_study(finished):
    volume = np.random.default_rng(0).normal(size=(12, 10, 9)).astype(np.float32)
    other = np.random.default_rng(1).normal(size=(12, 10, 9)).astype(np.float32)
    prepared(finished, [volume, other, volume[::-1]])
    with pytest.raises(StageError, match=r"have the same voxels .mirrored along i"):
        evaluate.run(finished)


def test_a_doubt_is_shown_and_stops_nothing(finished):
    rng = np.random.default_rng(0)
    prepared(finished, [rng.normal(size=(9, 9, 9)).astype(np.float32) for _ in range(3)], step=[2.25, 0.5, 2.25])
    evaluate.run(finished)
    leaks = json.loads((finished.results / "verdict.json").read_text())["leaks"]
    assert [(leak["check"], leak["proof"], len(leak["patients"])) for leak in leaks] == [("suspect", False, 2)]


def test_no_prior_beside_its_twin_is_said(tmp_path):
    study = make_study(tmp_path, arms="cnn, mlp", evaluation=HOLDOUT, voxel=True)
    write_index(study, cohort(80, 70, voxel=True))
    split.run(study)
    train_all(study, gain={"cnn": 0.3, "mlp": 0.1})
    evaluate.run(study)
    verdict = json.loads((study.results / "verdict.json").read_text())
    assert (
        verdict["verdict"] == "inconclusive"
        and verdict["primary"] is None
        and "no arm with a prior" in verdict["sentence"]
    )
    assert "dice_front" in pd.read_parquet(study.folder("evaluate") / "scores.parquet")


def test_constant_predictions_are_inconclusive(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=CV)
    write_index(study, cohort())
    split.run(study)
    train_all(study, gain={"dbn": 0.0, "scratch": 0.0})
    for file in study.results.glob("train/[ds]*/*/predictions.parquet"):
        pd.read_parquet(file).assign(p_ill=0.5, p_well=0.5).to_parquet(file)
    evaluate.run(study)
    verdict = json.loads((study.results / "verdict.json").read_text())
    assert (
        verdict["verdict"] == "inconclusive" and verdict["primary"]["delta"] == 0 and verdict["primary"]["low"] is None
    )
    assert np.isclose(verdict["arms"][0]["mean"], 0.5)


SITES = "{scheme: sites, budgets: [4, 8, 12], draws: 3, metric: log_loss, margin: 0.02}"


@pytest.mark.parametrize("evaluation", [CV, SITES])
def test_each_site_and_the_worst_stand_beside_the_primary(tmp_path, evaluation):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=evaluation)
    patients = cohort()
    patients["site"] = [None if label is None else "ABC"[i // 2 % 3] for i, label in enumerate(patients["label"])]
    write_index(study, patients)
    split.run(study)
    train_all(study, gain={"dbn": 0.8, "scratch": -0.6})
    evaluate.run(study)
    verdict = json.loads((study.results / "verdict.json").read_text())
    sites = verdict["sites"]
    assert sites["held_out"] == (evaluation == SITES) and [row["site"] for row in sites["rows"]] == ["A", "B", "C"]
    assert sum(row["patients"] for row in sites["rows"]) == 48 and sites["worst"]["sites"] == 3
    assert sites["worst"]["delta"] == pytest.approx(min(row["delta"] for row in sites["rows"]))
    worst = next(row for row in sites["rows"] if row["site"] == sites["worst"]["site"])
    assert sites["worst"]["low"] < worst["low"], "picking the worst of three costs width"
    assert len(pd.read_parquet(study.folder("evaluate") / "sites.parquet")) == 3
    if evaluation == SITES:
        where = patients.set_index("patient")["site"]
        for draw in read(study, "split", "split.json")["draws"]:
            assert not set(where[draw["test"]]) & set(where[draw["order"]])
    assert verdict["power"]["sentence"].startswith("With 48 test patients and 3 draws") and verdict["schema"] == 2


def test_a_canary_that_cries_leaves_no_verdict_and_says_what_it_means(finished):
    evaluate.run(finished)
    calm = json.loads((finished.results / "verdict.json").read_text())
    assert [canary["name"] for canary in calm["canaries"]] == ["permuted", "planted", "border"]
    assert all(
        canary["passed"] and canary["low"] <= canary["observed"] <= canary["high"] for canary in calm["canaries"]
    )
    write_canary(finished, "permuted", quality=9.0)
    evaluate.run(finished)
    verdict = json.loads((finished.results / "verdict.json").read_text())
    assert verdict["verdict"] == "stopped" and not verdict["canaries"][0]["passed"]
    assert verdict["sentence"].startswith("No verdict: Canary permuted: AUC 1.000 where 0.500 is chance")
    assert "one person under two ids" in verdict["sentence"]
    assert verdict["primary"] == calm["primary"], "the figures stay, to find the cause"


def test_a_canary_that_did_not_run_is_asked_for(finished):
    (finished.folder("train", "canary_border/draw-0") / "predictions.parquet").unlink()
    with pytest.raises(
        StageError, match=r"the canary border has left no predictions[\s\S]*--arm canary_border --draw 0"
    ):
        evaluate.run(finished)


def test_a_frozen_plan_is_hashed_and_deviations_are_listed(tmp_path):
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=CV)
    digest = freeze(study)
    other = make_study(tmp_path, arms="dbn, scratch", evaluation=CV.replace("margin: 0.02", "margin: 0.05"))
    write_index(other, cohort())
    split.run(other)
    train_all(other, gain={"dbn": 0.1, "scratch": 0.0})
    evaluate.run(other)
    plan = json.loads((other.results / "verdict.json").read_text())["plan"]
    assert plan == {"sha256": digest, "frozen": True, "deviations": ["evaluation.margin was 0.02 and is 0.05"]}
    with pytest.raises(StageError, match="can't be frozen any more"):
        freeze(other)


def test_neither_stage_imports_torch():
    code = "import sys, scanprior.stages.split, scanprior.stages.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
