"""The stages prepare, patches and train on an invented study, from converted scans to predictions."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from easy import scan

from scanprior.errors import StageError
from scanprior.learning import experiment
from scanprior.stages import patches, prepare, train
from scanprior.study import Study

YAML = """
study: small
cohort: {scans: ., COHORT, simulated: true}
task: TASK
privacy: {key: public}
patches: {size: [5, 5, 5], per_scan: 30}
prior: {layers: [12, 6]}
arms: [scratch, pca_logistic]
evaluation: {scheme: holdout, test: 2, budgets: [2, 4], draws: 1, trials: 2}
engine: {shards: 2, accelerator: cpu}
"""
VOXEL = ("label_maps: .", "{kind: voxel, classes: {4: dark, 9: bright}, region_dilation: 1}")
PATIENT = ("labels: labels.csv", "{kind: patient, positive: ill}")
PATIENTS = [f"P-{number:010x}" for number in range(8)]


def make_study(house: Path, monkeypatch: pytest.MonkeyPatch, kind: tuple[str, str], names: list[str]) -> Study:
    """Eight converted scans in two shards: the last two are tested; `names` are the patients' pseudonyms."""
    house.mkdir()
    monkeypatch.chdir(house)
    (house / "small.yaml").write_text(YAML.replace("COHORT", kind[0]).replace("TASK", kind[1]))
    study = Study.load(house / "small.yaml")
    labels = [str(["well", "ill"][number % 2]) for number in range(8)]
    table = {"patient": names, "order": range(8), "labelled": True, "label": labels if kind is PATIENT else None}
    split = {
        "scheme": "holdout", "classes": ["well", "ill"] if kind is PATIENT else ["labelled"],
        "block": 2 if kind is PATIENT else 1, "pool": [], "labelled": names[:6], "test": names[6:], "withheld": [],
        "budgets": [2, 4, 6] if kind is VOXEL else [4, 6],
        "draws": [{"draw": 0, "fold": 0, "order": names[:6], "test": names[6:]}],
    }  # fmt: skip
    for name in ("index", "split", "convert/shard-0", "convert/shard-1", "deidentify/shard-0", "deidentify/shard-1"):
        folder = study.results / name
        folder.mkdir(parents=True)
        (folder / "digests.json").write_text("{}")
    pd.DataFrame(table).to_parquet(study.folder("index") / "patients.parquet")
    (study.folder("split") / "split.json").write_text(json.dumps(split))
    for shard in range(2):
        folder, rows = study.folder("convert", f"shard-{shard}"), []
        for number in range(shard, 8, 2):
            image, classes = scan(number)
            if kind is PATIENT and number % 2 == 0:
                image[classes == 2] = 0
            name = f"S-{names[number][2:]}"
            nibabel.Nifti1Image(image, np.diag([-1.0, -1, 1, 1])).to_filename(folder / f"{name}.nii.gz")
            if kind is VOXEL:
                values = np.array([0, 4, 9], np.uint8)[classes]
                nibabel.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])).to_filename(folder / f"{name}.label.nii.gz")
            rows.append({"scan": name, "patient": names[number], "order": number})
        pd.DataFrame(rows).to_parquet(folder / "scans.parquet")
    return study


def run_all(study: Study, *arms: str) -> None:
    for shard in range(2):
        prepare.run(study, shard=shard)
    patches.run(study)
    for arm in arms:
        train.run(study, arm=arm, draw=0)


def table(study: Study, *parts: str) -> pd.DataFrame:
    return pd.read_parquet(study.results.joinpath(*parts))


def test_voxel_study_from_converted_scans_to_dice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path / "a", monkeypatch, VOXEL, PATIENTS)
    run_all(study, "scratch", "pca_logistic")
    index, scans = table(study, "patches", "index.parquet"), table(study, "patches", "scans.parquet")
    assert scans["order"].tolist() == list(range(8))
    assert set(index.loc[index["use"] == "prior", "target"]) == {-1}
    task = index[index["use"] == "task"]
    assert task.groupby("scan_row")["target"].value_counts().unstack().eq(10).all(axis=None)
    for row in task.sample(20, random_state=0).itertuples():
        labels = np.load(str(study.results / scans["image"][row.scan_row]).replace(".image.", ".label."))
        assert [0, 4, 9][row.target] == labels[row.i, row.j, row.k]
    for arm in ("scratch", "pca_logistic"):
        found = table(study, "train", arm, "draw-0", "predictions.parquet")
        scores = ["dice_dark", "dice_bright", "dice"]
        assert list(found) == ["budget", "draw", "fold", "patient", "scan", *scores, "slice", "predicted"]
        assert found.groupby("budget")["patient"].apply(list).tolist() == [PATIENTS[6:]] * 3
    record = json.loads((study.folder("train", "scratch/draw-0") / "record.json").read_text())
    assert record["notes"]["cells"]["fold 0, budget 6"]["region_voxels"] > 0
    metrics = table(study, "train", "scratch", "draw-0", "metrics.parquet")
    assert "fold-0/budget-4/trial-1/valid_loss" in set(metrics["key"])


def test_patient_study_gives_probabilities_in_the_order_of_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path / "a", monkeypatch, PATIENT, PATIENTS)
    run_all(study, "pca_logistic")
    found = table(study, "train", "pca_logistic", "draw-0", "predictions.parquet")
    assert list(found) == ["budget", "draw", "fold", "patient", "p_well", "p_ill"]
    assert set(table(study, "patches", "index.parquet")["use"]) == {"prior"}


def test_new_key_changes_names_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[list[list[object]]] = []
    for folder, names in (("a", PATIENTS), ("b", [f"P-{hash_:010x}" for hash_ in (99, 5, 63, 1, 80, 2, 41, 7)])):
        study = make_study(tmp_path / folder, monkeypatch, VOXEL, names)
        run_all(study, "scratch")
        frames = [table(study, "patches", "index.parquet")] + [
            table(study, "train", "scratch", "draw-0", f"{name}.parquet")
            for name in ("predictions", "validation", "history")
        ]
        numbers.append(
            [frame.drop(columns=["patient", "scan"], errors="ignore").to_numpy().tolist() for frame in frames]
        )
    assert numbers[0] == numbers[1]


def test_broken_scans_are_quarantined_and_the_others_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path / "a", monkeypatch, VOXEL, PATIENTS)
    folder = study.folder("convert", "shard-0")
    constant, mismatch = (f"S-{PATIENTS[number][2:]}" for number in (0, 2))
    nibabel.Nifti1Image(np.full((9, 9, 9), 3, np.float32), np.eye(4)).to_filename(folder / f"{constant}.nii.gz")
    nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)).to_filename(folder / f"{mismatch}.label.nii.gz")
    prepare.run(study, shard=0)
    refused = table(study, "prepare", "shard-0", "quarantine.parquet")
    assert dict(zip(refused["item"], refused["reason"], strict=True)) == {
        constant: "constant-volume",
        mismatch: "shape-mismatch",
    }
    assert len(table(study, "prepare", "shard-0", "scans.parquet")) == 2


def test_no_patch_touches_a_removed_voxel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path / "a", monkeypatch, VOXEL, PATIENTS)
    folder, name = study.folder("convert", "shard-0"), f"S-{PATIENTS[0][2:]}"
    removed = np.zeros((18, 20, 16), np.uint8)
    removed[:, 15:] = 1
    nibabel.Nifti1Image(removed, np.diag([-1.0, -1, 1, 1])).to_filename(folder / f"{name}.removed.nii.gz")
    for shard in range(2):
        prepare.run(study, shard=shard)
    patches.run(study)
    index = table(study, "patches", "index.parquet")
    # Along j the scan was flipped into RAS, so planes 0 … 4 are removed, and a patch of 5 may start at centre 7.
    assert index.loc[index["scan_row"] == 0, "j"].min() == 7
    assert index.loc[index["scan_row"] == 1, "j"].min() < 5


def test_unknown_draw_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = {"draws": [{"draw": 0, "fold": 0, "order": ["a", "b"], "test": ["c"]}], "budgets": [2, 4], "block": 1}
    assert [cell.budget for cell in train.cells_of(split, 0)] == [2]
    with pytest.raises(StageError, match="no draw 3"):
        train.cells_of(split, 3)


def two_draws(house: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study prepared for training, with a second draw in another order."""
    study = make_study(house, monkeypatch, PATIENT, PATIENTS)
    (house / "small.yaml").write_text((house / "small.yaml").read_text().replace("draws: 1", "draws: 2"))
    file = study.folder("split") / "split.json"
    split = json.loads(file.read_text())
    split["draws"].append({"draw": 1, "fold": 0, "order": PATIENTS[5::-1], "test": PATIENTS[6:]})
    file.write_text(json.dumps(split))
    run_all(study)
    return Study.load(house / "small.yaml")


def test_draws_in_one_job_give_the_bytes_of_draws_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = two_draws(tmp_path / "a", monkeypatch)
    train.run(together, arm="scratch", draw=[0, 1])
    alone = two_draws(tmp_path / "b", monkeypatch)
    for draw in (0, 1):
        train.run(alone, arm="scratch", draw=draw)
    folders = [[study.folder("train", f"scratch/draw-{draw}") for draw in (0, 1)] for study in (together, alone)]
    for one, other in zip(*folders, strict=True):
        assert (one / "digests.json").read_bytes() == (other / "digests.json").read_bytes()
    records = [json.loads((folder / "record.json").read_text()) for folder in folders[0]]
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    assert 0 < sum(record["cpu_seconds"] + record["startup_seconds"] for record in records) <= spent


def test_a_failure_in_the_second_draw_loses_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, fits = two_draws(tmp_path / "a", monkeypatch), list[int]()
    whole, trial = train.run_arm, experiment._run_trial
    monkeypatch.setattr(experiment, "_run_trial", lambda *args: fits.append(1) or trial(*args))
    with monkeypatch.context() as patch:
        patch.setattr(
            train, "run_arm", lambda *args, draw, **rest: 1 / 0 if draw == 1 else whole(*args, draw=draw, **rest)
        )
        with pytest.raises(StageError, match="draw-1"):
            train.run(study, arm="pca_logistic", draw=[0, 1])
    assert not study.folder("train", "pca_logistic/draw-0").exists()
    assert [file.name for file in (study.work / "failures").iterdir()] == ["train@pca_logistic@draw-1.json"]
    once = len(fits)
    train.run(study, arm="pca_logistic", draw=[0, 1])
    assert len(fits) == 2 * once > 0
    assert all(study.folder("train", f"pca_logistic/draw-{draw}").exists() for draw in (0, 1))
