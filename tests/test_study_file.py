"""The study file: every problem at once, with place, value, what is allowed and the nearest name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from scanprior.errors import ConfigError
from scanprior.study_file import load_config

HOUSE = Path(__file__).parent.parent

GOOD = """
study: tiny
cohort: {scans: raw, labels: labels.csv}
task: {kind: patient, positive: lesion}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    return str(caught.value)


def test_three_keys_are_enough(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.metric == "auc"
    assert config.prior.hidden == "rectified"
    assert config.prior.scope == "disjoint"


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = problems(
        tmp_path,
        """
study: Demo!
cohort: {scan: x, scans: "${NOPE}/x"}
task: {kind: voxel, classes: {1: a}, clases: {}}
arms: [dbn, scrath]
evaluation: {budgets: [4, 2], metirc: dice, margin: -1}
""",
    )
    assert "the environment variable NOPE is not set" in text
    assert "study: found 'Demo!'" in text
    assert "cohort.scan: unknown key; did you mean scans?" in text
    assert "task.clases: unknown key; did you mean classes?" in text
    assert "arms.1: found 'scrath'" in text
    assert "did you mean scratch?" in text
    assert "evaluation.metirc: unknown key; did you mean metric?" in text
    assert "evaluation.margin" in text


def test_value_of_a_private_key_is_not_repeated(tmp_path: Path) -> None:
    text = problems(tmp_path, GOOD.replace("scans: raw", "scans: [/data/SMITH]"))
    assert "cohort.scans" in text
    assert "SMITH" not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("task: {kind: voxel, classes: {1: a}}", "cohort.label_maps: a voxel task needs"),
        ("evaluation: {scheme: holdout}", "scheme holdout needs the number of test patients"),
        ("evaluation: {budgets: [1, 4]}", "each at least 2"),
        ("evaluation: {budgets: [8, 4]}", "must rise"),
        ("evaluation: {metric: dice}", "a patient task allows auc"),
        ("evaluation: {scheme: given}", "cohort.columns.split"),
        ("privacy: {key: public}", "simulated cohorts only"),
        ("prior: {objective: pcd1}", "run to infinity"),
        ("prior: {objective: pcd1, hidden: bernoulli}\narms: [scratch, dbn_rectified]", "run to infinity"),
        ("prior: {objective: pcd1}\narms: [scratch, shuffled_prior]", "run to infinity"),
        ("arms: [scratch, position_only]", "position_only is for voxel tasks; this is a patient task"),
        ("arms: [dbn, dbn]", "one arm is named twice"),
        ("patches: {size: [8, 9, 9]}", "odd number"),
        ("prior: {objective: cd}", "prior.objective: no objective is called 'cd'; allowed are cd1, cd2, …"),
        ("prior: {objective: pt1, hidden: bernoulli}", "no objective is called 'pt1'"),
        ("prior: {objective: pt10}", "pt10 swaps chains by their energies, which rectified units don't have"),
        ("prior: {objective: pt10, hidden: bernoulli}\narms: [cnn, conv_dbn]", "(arms: conv_dbn)"),
        ("prior: {sparsity: 0.1}", "prior.sparsity: only Bernoulli hidden units are on or off, these are rectified"),
        ("prior: {hidden: bernoulli, ways: [{sparsity: 0.1}]}\narms: [dbn, conv_dbn]", "(arms: conv_dbn)"),
        ("prior: {hidden: bernoulli, sparsity: 0.5}", "sparsity"),
        ("prior: {objective: langevin5}", "run to infinity"),
        ("prior: {objective: langevin5, hidden: bernoulli}", "only the first of 2 layers sees any"),
        (
            "prior: {ways: [{epochs: 3}, {objective: cd}]}",
            "prior.ways, number 2, objective: no objective is called 'cd'",
        ),
        ("prior: {ways: [{objective: pcd1}]}", "prior.ways, number 1, objective: pcd1 lets the chains"),
        ("prior: {ways: [{layers: [10]}]}", "layers"),
        ("evaluation: {budgets: [4], draws: nine}", "draws"),
    ],
)
def test_one_mistake_one_sentence(tmp_path: Path, change: str, sentence: str) -> None:
    keep = "\n".join(line for line in GOOD.splitlines() if not line.startswith(change.split(":")[0]))
    assert sentence in problems(tmp_path, keep + "\n" + change + "\n")


@pytest.mark.parametrize(
    "prior",
    [
        "{objective: cd5-sampled, centered: false}",
        "{objective: pcd2, hidden: bernoulli}",
        "{objective: pt10, hidden: bernoulli}",
        "{objective: langevin5, hidden: bernoulli, layers: [100]}",
    ],
)
def test_every_objective_that_its_units_allow_is_taken(tmp_path: Path, prior: str) -> None:
    config = load_config(
        write(tmp_path, f"{GOOD}\nprior: {prior}\narms: [dbn, scratch, shuffled_prior, autoencoder]\n")
    )
    assert config.prior.objective in prior and config.prior.centered == ("false" not in prior)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    text = problems(tmp_path, "study: tiny\n")
    assert "cohort: is missing" in text
    assert "task: is missing" in text


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    assert "line 3" in problems(tmp_path, "study: tiny\ncohort: {scans: raw\ntask: x]\n")


def test_a_slip_in_the_file_name(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=r"did you mean .*study\.yaml"):
        load_config(tmp_path / "stduy.yaml")


def test_public_form_names_no_path(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD.replace("raw", "/hospital/SMITH")))
    assert "SMITH" not in str(config.public())
    assert "labels.csv" not in str(config.public())


@pytest.mark.parametrize("file", sorted((HOUSE / "config").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_of_the_house_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANPRIOR_DATA", "/somewhere")
    assert load_config(file).study == file.stem


def test_generated_pages_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", HOUSE / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale = [file.name for file, text in module.pages().items() if file.read_text() != text]
    assert not stale, "run: make schema"
