"""The canaries of a small study of prepared volumes, through the stage train: calm when clean, loud at a planted leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scanprior.evidence.canary import Canary
from scanprior.evidence.tables import design_of
from scanprior.learning import canaries
from scanprior.stages import split, train
from scanprior.stages.canaries import read_canaries
from scanprior.study import Study

YAML = """
study: small
cohort: {scans: ., labels: labels.csv, simulated: true}
task: {kind: patient, positive: ill}
privacy: {key: public}
patches: {size: [5, 5, 5], per_scan: 12}
arms: [logistic]
evaluation: {scheme: cv, folds: 2, budgets: [4, 18], draws: 1, trials: 2}
engine: {shards: 1, accelerator: cpu}
"""
PATIENTS = [f"P-{number:010x}" for number in range(40)]
SIDE = 12
Change = Callable[[np.ndarray, int], None]


def make_study(house: Path, monkeypatch: pytest.MonkeyPatch, change: Change) -> Study:
    """Forty patients with a body of noise in air; `change` may write a patient's label into the volume."""
    monkeypatch.chdir(house)
    (house / "small.yaml").write_text(YAML)
    study = Study.load("small.yaml")
    rng = np.random.default_rng(3)
    allowed = np.zeros((SIDE,) * 3, bool)
    allowed[3:-3, 3:-3, 3:-3] = True
    scans, rows = [], []
    for name in ("index", "prepare/shard-0", "patches"):
        (study.results / name).mkdir(parents=True)
        (study.results / name / "digests.json").write_text("{}")
    for order, patient in enumerate(PATIENTS):
        image = rng.normal(0, 0.05, (SIDE,) * 3).astype(np.float32)
        image[allowed] += rng.normal(1, 0.3, allowed.sum())
        change(image, order % 2)
        stem = f"prepare/shard-0/S-{order}"
        np.save(study.results / f"{stem}.image.npy", image)
        np.save(study.results / f"{stem}.allowed.npy", allowed)
        scans.append({"scan": f"S-{order}", "patient": patient, "order": order, "image": f"{stem}.image.npy"})
        centres = rng.integers(4, SIDE - 4, (12, 3))
        rows += [{"scan_row": order, "i": i, "j": j, "k": k, "target": -1, "use": "prior"} for i, j, k in centres]
    pd.DataFrame(scans).to_parquet(study.folder("patches") / "scans.parquet")
    pd.DataFrame(rows).to_parquet(study.folder("patches") / "index.parquet")
    label = [["well", "ill"][order % 2] for order in range(40)]
    people = {"patient": PATIENTS, "order": range(40), "labelled": True, "label": label, "split": None, "site": None}
    pd.DataFrame(people).to_parquet(study.folder("index") / "patients.parquet")
    split.run(study)
    return study


def ring(study: Study) -> dict[str, Canary]:
    for job in study.jobs("train"):
        if str(job["arm"]).startswith("canary_"):
            train.run(study, **job)
    content = json.loads((study.folder("split") / "split.json").read_text())
    design = design_of(content, pd.read_parquet(study.folder("index") / "patients.parquet"), "auc")
    return {canary.name: canary for canary in read_canaries(study, design)}


def clean(_image: np.ndarray, _label: int) -> None:
    """Nothing is written anywhere."""


def corner(image: np.ndarray, label: int) -> None:
    """A mark in the corner of the ill."""
    image[-1, -1, -1] += 2.0 * label


def body(image: np.ndarray, label: int) -> None:
    """A real difference, inside the body."""
    image[4:6, 4:6, 4:6] += 3.0 * label


def failed(found: dict[str, Canary]) -> list[str]:
    return [name for name, canary in found.items() if not canary.passed]


@pytest.mark.parametrize(("change", "loud"), [(clean, []), (corner, ["border"]), (body, [])])
def test_only_a_label_in_the_air_makes_the_border_cry(change, loud, tmp_path, monkeypatch) -> None:
    found = ring(make_study(tmp_path, monkeypatch, change))
    assert failed(found) == loud, found
    assert found["planted"].observed > 0.95


def test_training_on_the_tested_makes_permuted_labels_cry(tmp_path, monkeypatch) -> None:
    study = make_study(tmp_path, monkeypatch, clean)
    file = study.folder("split") / "split.json"
    content = json.loads(file.read_text())
    for draw in content["draws"]:
        draw["order"] = draw["test"][:18]
    file.write_text(json.dumps(content))
    found = ring(study)
    assert failed(found) == ["permuted"] and "whom they are tested on" in found["permuted"].sentence


def test_a_lost_signal_is_not_found(tmp_path, monkeypatch) -> None:
    plant = canaries.plant_in_patient
    monkeypatch.setattr(canaries, "plant_in_patient", lambda image, label: plant(image, 0))
    assert failed(ring(make_study(tmp_path, monkeypatch, clean))) == ["planted"]


def test_a_canary_goes_on_after_a_kill_with_the_same_bytes(tmp_path, monkeypatch) -> None:
    study = make_study(tmp_path, monkeypatch, clean)
    file = study.folder("train", "canary_permuted/draw-0") / "predictions.parquet"
    train.run(study, arm="canary_permuted", draw=0)
    whole = file.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr("scanprior.learning.feature_arm.fit_head", _stop_at_third())
        with pytest.raises(KeyboardInterrupt):
            train.run(study, arm="canary_permuted", draw=0)
    train.run(study, arm="canary_permuted", draw=0)
    assert json.loads((file.parent / "record.json").read_text())["resumed"]
    assert file.read_bytes() == whole


def _stop_at_third() -> Callable[..., object]:
    from scanprior.learning.logistic_head import fit_head

    calls = []

    def stopping(*arguments) -> object:
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit_head(*arguments)

    return stopping
