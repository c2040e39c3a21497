"""Cohort, curves of training, costs and machines, read from tables and records."""

from __future__ import annotations

import pandas as pd

from scanprior.report import cohort, effort


def test_cohort_shows_age_only_as_quartiles_of_enough_patients() -> None:
    patients = pd.DataFrame(
        {
            "age": [40.0, 50.0, 60.0, 70.0, 90.0, None],
            "sex": ["F", "M", "F", None, "F", "M"],
            "labelled": [True] * 4 + [False] * 2,
            "site": ["A", "A", "B", "B", "B", "A"],
            "label": ["x", "y", "y", "y", None, None],
        }
    )
    scans = pd.DataFrame({"format": ["dicom"] * 6, "modality": ["MR"] * 6, "scanner": ["A"] * 4 + [None] * 2})
    table = dict(cohort.cohort_table(patients, scans))
    assert table["age in years"] == "median 60, quartiles 50 to 70 (known of 5)"
    assert table["sex"] == "F (3), M (2)"
    assert table["of them labelled"] == "4"
    assert table["scanners"] == "A (4)"
    assert cohort.label_table(patients) == (("x", "1 patient"), ("y", "3 patients"))
    few = dict(cohort.cohort_table(patients.head(3), scans))
    assert few["age in years"] == "not known", "the ages of a handful are the ages of persons"


def test_deidentification_adds_the_shards_up() -> None:
    shard = {
        "files": {"written": 20, "quarantined": 1},
        "actions": {"removed": 280, "odd-thing": 1},
        "edition": "2026c",
        "codes": {"113100": 20},
        "faces": {"removed": 2, "no-head": 1},
    }
    series = pd.DataFrame({"scan": ["S-1", "S-2", "S-3"], "removed": ["a", "b", None]})
    facts = cohort.deidentification([shard, shard], series, profile="basic", faces="auto", text="keep")
    assert facts is not None
    rows = dict(facts.rows)
    assert rows["files written"] == "40"
    assert rows["files in quarantine"] == "2"
    assert rows["scans with the face removed"] == "4"
    assert rows["attributes removed"] == "560"
    assert rows["odd thing"] == "2"
    assert rows["methods declared in the files (DICOM CID 7050)"] == "113100"
    assert (facts.faces_removed, facts.faces_kept) == (2, 1)
    assert cohort.deidentification([], series, profile="basic", faces="auto", text="keep") is None


def test_quarantine_keeps_pseudonyms_and_missing_patients() -> None:
    table = pd.DataFrame(
        {"item": ["F-1"], "patient": [None], "reason": ["not-an-image"], "sentence": ["a PDF"], "stage": ["index"]}
    )
    (row,) = cohort.quarantined(table)
    assert (row.patient, row.stage, row.item) == (None, "index", "F-1")


def test_the_last_histogram_of_every_layer_is_read_and_is_no_curve() -> None:
    rows = [("layer1/reconstruction", 9, 0.5)]
    for step, low in ((5, 0.9), (10, 0.6)):
        for layer in (1, 2):
            shares = {"00": low, "01": 1 - low, "top": 2.0 * layer}
            rows += [(f"layer{layer}/hidden_activations/{name}", step, value) for name, value in shares.items()]
    table = pd.DataFrame(rows, columns=["key", "step", "value"]).iloc[::-1]
    found = effort.activation_histograms(table)
    assert [(one.layer, one.top, one.shares) for one in found] == [
        ("layer 1", 2.0, (0.6, 0.4)),
        ("layer 2", 4.0, (0.6, 0.4)),
    ]
    assert [curve.panel for curve in effort.pretraining_curves({"prior": table})] == [
        "reconstruction error, trained patches"
    ]
    assert (
        effort.activation_histograms(None)
        == effort.activation_histograms(table[table["key"] == "layer1/reconstruction"])
        == ()
    )


def test_what_chains_remember_is_a_curve_by_sweeps() -> None:
    rows = [
        (f"layer{layer}/chain_autocorrelation/{lag:02d}", 90, 0.5**lag) for layer in (2, 1) for lag in (11, 0, 2, 1)
    ]
    table = pd.DataFrame([*rows, ("layer1/activation", 90, 0.3)], columns=["key", "step", "value"])
    curves = effort.chain_curves({"prior": table})
    assert [(curve.label, curve.steps, curve.values) for curve in curves] == [
        (f"layer {layer}", (0.0, 1.0, 2.0, 3.0), (1.0, 0.5, 0.25, 0.5**11)) for layer in (1, 2)
    ]
    assert [curve.panel for curve in effort.pretraining_curves({"prior": table})] == ["mean activity of hidden units"]
    assert effort.chain_curves({"prior": table.iloc[-1:]}) == ()
    assert effort.chain_curves({"a": table, "b": table})[-1].label == "b, layer 2"


def test_pretraining_curves_are_thinned_but_keep_their_ends() -> None:
    steps = range(1, 1001)
    table = pd.DataFrame({"key": "layer1/reconstruction", "step": steps, "value": [1 / step for step in steps]})
    odd = pd.DataFrame(
        {"key": ["layer2/odd_measure", "layer2/activation"], "step": [1, 1], "value": [float("nan"), 0.3]}
    )
    curves = effort.pretraining_curves({"prior": pd.concat([table, odd])})
    assert [(curve.panel, curve.label) for curve in curves] == [
        ("reconstruction error, trained patches", "layer 1"),
        ("mean activity of hidden units", "layer 2"),
    ]
    assert len(curves[0].steps) == effort.POINTS
    assert (curves[0].steps[0], curves[0].steps[-1]) == (1, 1000)
    two = effort.pretraining_curves({"prior": table, "prior-bernoulli": table})
    assert [curve.label for curve in two] == ["prior, layer 1", "prior-bernoulli, layer 1"]


def test_training_curves_average_the_chosen_trial_over_draws() -> None:
    history = pd.DataFrame(
        [
            (draw, 2, 0, trial, epoch, 10 * trial + epoch + draw)
            for draw in (0, 1)
            for trial in (0, 1)
            for epoch in (0, 1)
        ],
        columns=["draw", "budget", "fold", "trial", "epoch", "valid_loss"],
    )
    chosen = pd.DataFrame({"draw": [0, 1], "budget": 2, "fold": 0, "trial": [1, 1], "chosen": True})
    (curve,) = effort.training_curves({"dbn": history, "logistic": pd.DataFrame()}, {"dbn": chosen})
    assert (curve.panel, curve.label) == ("dbn", "2 patients")
    assert curve.values == (10.5, 11.5)


RECORDS = [
    {
        "stage": "train",
        "wall_seconds": 10,
        "cpu_seconds": 9,
        "gpu_seconds": 0,
        "peak_memory_mb": 500,
        "output_mb": 1,
        "startup_seconds": 3,
        "versions": {"numpy": "2.4.6"},
        "machine": {"processor": "X", "cores": 2, "instruction_set": "avx2"},
    },
    {
        "stage": "train",
        "wall_seconds": 30,
        "cpu_seconds": 29,
        "gpu_seconds": 4,
        "peak_memory_mb": 700,
        "output_mb": 2,
        "versions": {"numpy": "2.4.7", "torch": "2.13.0"},
        "machine": {"processor": "X", "cores": 2, "instruction_set": "avx2"},
    },
    {"stage": "index", "wall_seconds": 1},
]


def test_costs_add_up_but_memory_is_the_largest() -> None:
    index, train = effort.costs(RECORDS, ["index", "convert", "train"])
    assert (index.stage, index.jobs, index.wall_seconds) == ("index", 1, 1)
    assert (train.jobs, train.wall_seconds, train.cpu_seconds, train.gpu_seconds) == (2, 40, 38, 4)
    assert (train.peak_memory_mb, train.output_mb, train.startup_seconds) == (700, 3, 3)


def test_two_versions_of_one_package_stand_side_by_side() -> None:
    assert effort.versions(RECORDS) == (("numpy", "2.4.6 and 2.4.7"), ("torch", "2.13.0"))
    (machine,) = effort.machines(RECORDS)
    assert "instruction set avx2" in machine


def test_tested_patients_among_those_a_prior_saw() -> None:
    draws = [{"draw": 0, "fold": 0, "test": ["a"]}, {"draw": 0, "fold": 1, "test": ["b"]}]
    split = {"test": ["c"], "draws": draws}
    assert effort.seen_of_tested(["a", "c", "z"], split, "all") == 2
    assert effort.seen_of_tested(["a", "b"], split, "d0-f1") == 1
    assert effort.seen_of_tested(["a"], split, "d0-f1") == 0
