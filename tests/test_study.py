"""Seeds by name, jobs, inputs, and what Snakemake gets to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanprior.errors import ConfigError
from scanprior.pipeline import job_name
from scanprior.study import Study

TEXT = """
study: tiny
cohort: {scans: /hospital/SMITH, labels: labels.csv}
task: {kind: patient}
arms: [dbn, scratch, dbn_bernoulli]
prior: {scope: SCOPE}
evaluation: {draws: 2, folds: 3}
engine: {shards: 2}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return make(tmp_path, monkeypatch, "disjoint")


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, scope: str) -> Study:
    monkeypatch.chdir(folder)
    (folder / "study.yaml").write_text(TEXT.replace("SCOPE", scope))
    return Study.load("study.yaml")


def test_a_link_to_a_disk_that_is_not_there_is_told(study: Study) -> None:
    (study.house / "elsewhere").mkdir()
    (study.house / "work").symlink_to(study.house / "elsewhere")
    assert Study.load("study.yaml").name == "tiny"
    (study.house / "elsewhere").rmdir()
    with pytest.raises(ConfigError, match=r"^work/ in the working folder: a link to a place that is not there"):
        Study.load("study.yaml")


def test_seeds_depend_on_the_name_alone(study: Study) -> None:
    assert study.seed("draw", 7) == study.seed("draw", 7)
    assert len({study.seed("draw", n) for n in range(100)} | {study.seed("fold", n) for n in range(100)}) == 200
    assert 0 <= study.seed("draw", 7) < 2**32


def test_one_prior_per_hidden_kind(study: Study) -> None:
    assert study.jobs("pretrain") == [
        {"kind": "bernoulli", "context": "all", "way": 0},
        {"kind": "rectified", "context": "all", "way": 0},
    ]
    assert study.prior_name("rectified", "all") == "prior"
    assert study.prior_name("bernoulli", "all") == "prior-bernoulli"


def test_a_prior_per_way_and_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ways = "ways: [{epochs: 3}, {objective: cd2}, {epochs: 3, batch_size: 100}]"  # the third is the first again
    text = TEXT.replace("scope: SCOPE", ways).replace("dbn_bernoulli", "autoencoder")
    (tmp_path / "study.yaml").write_text(text)
    study = Study.load("study.yaml")
    found = {
        (job["kind"], job["way"]): study.folder("pretrain", job_name(**job)).name for job in study.jobs("pretrain")
    }
    assert found == {  # contrastive divergence is none of an autoencoder's business
        ("autoencoder", 0): "prior-autoencoder", ("autoencoder", 1): "prior-autoencoder-way1",
        ("rectified", 0): "prior", ("rectified", 1): "prior-rectified-way1", ("rectified", 2): "prior-rectified-way2",
    }  # fmt: skip
    read = {folder.name for folder in study.inputs("train", arm="dbn", draw=0) if folder.name.startswith("prior")}
    assert read == {"prior", "prior-rectified-way1", "prior-rectified-way2"}
    works = [job_name(**job) for job in study.jobs("pretrain")]  # none inside another: each clears its own
    assert not any(one != other and other.startswith(f"{one}/") for one in works for other in works)
    assert (study.config.prior.way(2).objective, study.config.prior.way(2).epochs) == ("cd2", 15)


def test_sparsity_is_a_way_of_machines_and_none_of_an_autoencoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prior = "hidden: bernoulli, ways: [{sparsity: 0.1}, {sparsity: 0.2}]"
    arms = "arms: [dbn, scratch, autoencoder]"
    (tmp_path / "study.yaml").write_text(
        TEXT.replace("scope: SCOPE", prior).replace("arms: [dbn, scratch, dbn_bernoulli]", arms)
    )
    config = Study.load("study.yaml").config
    assert (config.ways_of("bernoulli"), config.ways_of("autoencoder")) == ([0, 1, 2], [0])
    assert [config.prior.way(number).sparsity for number in range(3)] == [None, 0.1, 0.2]


def test_inductive_priors_are_trained_per_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(tmp_path, monkeypatch, "inductive")
    assert len(study.jobs("pretrain")) == 2 * 2 * 3
    names = {folder.name for folder in study.inputs("train", arm="dbn", draw=1) if folder.name.startswith("prior")}
    assert names == {"prior-rectified-d1-f0", "prior-rectified-d1-f1", "prior-rectified-d1-f2"}


def test_an_arm_reads_its_own_prior_and_no_other(study: Study) -> None:
    def priors(arm: str) -> set[str]:
        return {folder.name for folder in study.inputs("train", arm=arm, draw=0) if folder.name.startswith("prior")}

    assert priors("dbn") == {"prior"}
    assert priors("dbn_bernoulli") == {"prior-bernoulli"}
    assert priors("scratch") == set()


def test_a_shard_reads_its_own_shard(study: Study) -> None:
    assert [folder.name for folder in study.inputs("convert", shard=1)] == ["shard-1"]


def test_state_is_keyed(study: Study, tmp_path: Path) -> None:
    before = study.state("index")["config"]
    (study.private / "key").write_text("ab" * 32)
    (study.private / "key").chmod(0o600)
    assert Study.load("study.yaml").state("index")["config"] != before


def test_private_folder_is_closed_to_others(study: Study) -> None:
    assert study.private.stat().st_mode & 0o077 == 0
    assert study.key and (study.private / "key").stat().st_mode & 0o077 == 0


def test_settings_of_one_stage_leave_the_others_alone(study: Study, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(TEXT.replace("SCOPE", "disjoint").replace("draws: 2", "draws: 2, trials: 9"))
    other = Study.load("study.yaml")
    assert other.state("train") != study.state("train")
    for stage in ("index", "split", "deidentify", "convert", "prepare", "patches", "pretrain"):
        assert other.state(stage) == study.state(stage)


def test_two_files_that_fit_one_path_are_not_chosen_between_in_silence(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    monkeypatch.setattr(f"{__name__}.TEXT", TEXT.replace("/hospital/SMITH", str(tmp_path / "raw")))
    study = make(tmp_path, monkeypatch, "disjoint")
    (tmp_path / "raw/labels.csv").write_text("a")
    assert study.locate("labels.csv", "labels").read_text() == "a"
    (tmp_path / "labels.csv").write_text("b")
    with pytest.raises(ConfigError, match="2 different files or folders fit"):
        study.locate("labels.csv", "labels")
    assert study.locate(str(tmp_path / "labels.csv"), "labels").read_text() == "b"
