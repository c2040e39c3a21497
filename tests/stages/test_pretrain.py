"""The stage pretrain on a small invented study: who is seen, what is written, and the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import scanprior
from scanprior.errors import StageError
from scanprior.pipeline import STEPS
from scanprior.stages.pretrain import prior_patients, run
from scanprior.study import Study

PATIENTS = [f"P-{n:010x}" for n in range(30)]
POOL, LABELLED, TEST = PATIENTS[:22], PATIENTS[22:26], PATIENTS[26:]
SPLIT = {
    "scheme": "holdout", "pool": POOL, "labelled": LABELLED, "test": TEST, "withheld": [], "budgets": [2],
    "draws": [{"draw": 0, "fold": 0, "order": LABELLED, "test": TEST}],
}  # fmt: skip
CV = {
    "scheme": "cv", "pool": POOL, "labelled": PATIENTS[22:], "test": [], "withheld": [], "budgets": [2],
    "draws": [
        {"draw": 0, "fold": 0, "order": PATIENTS[22:26], "test": PATIENTS[26:]},
        {"draw": 0, "fold": 1, "order": PATIENTS[26:], "test": PATIENTS[22:26]},
    ],
}  # fmt: skip
YAML = """
study: small
cohort: {scans: ., label_maps: ., simulated: true}
task: {kind: voxel, classes: {1: front}}
privacy: {key: public}
patches: {size: [5, 5, 5], per_scan: 8}
prior: {layers: [20, 10], epochs: 2, scope: SCOPE}
evaluation: {scheme: holdout, test: 4, pool: 22, budgets: [2], draws: 1}
engine: {shards: 1, accelerator: cpu}
"""


def make_study(house: Path, monkeypatch: pytest.MonkeyPatch, scope: str) -> Study:
    house.mkdir(parents=True)
    monkeypatch.chdir(house)
    (house / "small.yaml").write_text(YAML.replace("SCOPE", scope))
    study = Study.load(house / "small.yaml")
    rng = np.random.default_rng(1)
    prepared = study.folder("prepare", "shard-0")
    for folder in study.inputs("pretrain", kind="rectified", context="all"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "digests.json").write_text("{}")
    scans = []
    for order, patient in enumerate(PATIENTS):
        np.save(prepared / f"S-{order}.image.npy", rng.normal(size=(9, 10, 11)).cumsum(0).astype(np.float32))
        image = (prepared / f"S-{order}.image.npy").relative_to(study.results).as_posix()
        scans.append({"scan": f"S-{order}", "patient": patient, "order": order, "image": image})
    pd.DataFrame(scans).to_parquet(study.folder("patches") / "scans.parquet")
    rows = [
        {"scan_row": row, "i": i, "j": i, "k": i, "target": -1, "use": use}
        for row in range(len(PATIENTS)) for i in range(8) for use in ("prior", "task")
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(study.folder("patches") / "index.parquet")
    (study.folder("split") / "split.json").write_text(json.dumps(SPLIT))
    return study


def test_disjoint_prior_sees_the_pool_only_and_writes_what_the_contract_lists(tmp_path, monkeypatch):
    study = make_study(tmp_path / "house", monkeypatch, "disjoint")
    run(study, kind="rectified", context="all")
    folder = study.results / "prior"
    record = json.loads((folder / "record.json").read_text())
    assert json.dumps(POOL) in json.dumps(record)
    assert not any(patient in json.dumps(record) for patient in LABELLED + TEST)
    card = json.loads((folder / "card.json").read_text())
    assert (card["patients"], card["scans"], card["patches"]) == (22, 22, 22 * 8)
    assert card["training"]["patches_held_out"] == 8
    assert "unlabelled" not in card["scope"] and "simulated" in (folder / "model_card.md").read_text()
    assert np.load(folder / "filters.npy").shape == (20, 5, 5, 5)
    assert np.load(folder / "reconstructions.npy").shape == (2, 8, 5, 5, 5)
    assert np.load(folder / "samples.npy").shape == (2, 8, 5, 5, 5)
    assert np.isfinite(np.load(folder / "samples.npy")).all()
    prior = scanprior.load_prior(folder)
    assert prior.sizes == (125, 20, 10) and prior.patch_size == (5, 5, 5)
    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert {"layer1/reconstruction", "layer2/activation", "layer1/unseen_reconstruction"} <= set(metrics["key"])
    assert set(STEPS["pretrain"].reads) == {"split", "prepare", "patches"}


def test_same_study_gives_the_same_bytes(tmp_path, monkeypatch):
    bits = []
    for house in ("one", "two"):
        study = make_study(tmp_path / house, monkeypatch, "inductive")
        run(study, kind="bernoulli", context="all")
        folder = study.results / "prior-bernoulli"
        bits.append(
            [(folder / name).read_bytes() for name in ("prior.safetensors", "card.json", "filters.npy", "samples.npy")]
        )
    assert bits[0] == bits[1]


def test_the_sparsity_of_a_way_reaches_its_machines(tmp_path, monkeypatch):
    ways = "hidden: bernoulli, ways: [{epochs: 60}, {epochs: 60, sparsity: 0.05}], "
    monkeypatch.setattr(f"{__name__}.YAML", YAML.replace("prior: {", f"prior: {{{ways}"))
    study, shares = make_study(tmp_path / "house", monkeypatch, "disjoint"), []
    for way in (1, 2):
        run(study, kind="bernoulli", context="all", way=way)
        card = json.loads((study.results / study.prior_name("bernoulli", "all", way) / "card.json").read_text())
        shares.append(card["measured"]["layer1/activation"])
    assert card["training"]["sparsity"] == 0.05
    assert shares[0] > 0.35
    assert shares[1] < 0.2


def test_patches_beyond_the_edge_have_no_place_and_a_refusal_comes_without_advice_on_rates(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.YAML", YAML + "prepare: {spacing: [1, 2, 3]}\n")
    study = make_study(tmp_path / "house", monkeypatch, "disjoint")

    def train(gather, rows, *, places, **options):
        told = places(torch.arange(rows)).reshape(len(POOL), 8, 3)
        voxels = torch.arange(8.0)[:, None] - (torch.tensor([9.0, 10.0, 11.0]) - 1) / 2
        expected = voxels * torch.tensor([1.0, 2.0, 3.0])
        expected[[0, 1, 7]] = torch.nan  # patches of 5 voxels a side around the voxels (i, i, i) of 9 x 10 x 11
        assert torch.allclose(told, expected.expand(len(POOL), 8, 3), equal_nan=True)
        raise ValueError("seen enough")

    monkeypatch.setattr("scanprior.stages.pretrain.pretrainer", lambda kind: train)
    with pytest.raises(StageError, match="seen enough") as caught:
        run(study, kind="conv_placed", context="all")
    assert "learning rate" not in str(caught.value)


def test_scopes_choose_patients_in_the_order_of_the_voxels():
    backwards = PATIENTS[::-1]
    assert prior_patients(SPLIT, "disjoint", "all", backwards) == POOL[::-1]
    assert prior_patients(SPLIT, "inductive", "all", PATIENTS) == POOL + LABELLED
    assert prior_patients(SPLIT, "transductive", "all", PATIENTS) == PATIENTS
    assert prior_patients(CV, "disjoint", "all", PATIENTS) == POOL
    assert prior_patients(CV, "inductive", "d0-f1", PATIENTS) == POOL + PATIENTS[26:]


def test_a_test_patient_in_the_pool_stops_the_stage():
    leaky = {**SPLIT, "pool": [*POOL, TEST[0]]}
    for scope in ("disjoint", "inductive"):
        with pytest.raises(StageError, match=TEST[0]):
            prior_patients(leaky, scope, "all", PATIENTS)
    with pytest.raises(StageError, match="both sides"):  # one prior for all folds would have seen every test patient
        prior_patients(CV, "inductive", "all", PATIENTS)
    with pytest.raises(StageError, match=LABELLED[0]):
        prior_patients({**SPLIT, "pool": [*POOL, LABELLED[0]]}, "disjoint", "all", PATIENTS)


def test_an_unknown_context_is_refused():
    with pytest.raises(StageError, match="d3-f1"):
        prior_patients(CV, "inductive", "d3-f1", PATIENTS)


def test_an_empty_pool_is_refused_with_what_to_do(tmp_path, monkeypatch):
    study = make_study(tmp_path / "house", monkeypatch, "disjoint")
    (study.folder("split") / "split.json").write_text(json.dumps({**SPLIT, "pool": []}))
    with pytest.raises(StageError, match=r"0 patients.*\n.*evaluation\.pool"):
        run(study, kind="rectified", context="all")
