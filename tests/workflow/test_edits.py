"""Editing code reruns exactly the stages that import it and what follows; editing words reruns nothing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import tiny

pytestmark = pytest.mark.workflow
AFTER_TRAIN = {"train", "train_0_to_1", "evaluate", "report"}


@pytest.fixture(scope="module")
def edited(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study beside a copy of the code that a test may edit."""
    folder = tmp_path_factory.mktemp("edited") / "house"
    shutil.copytree(house, folder, symlinks=True)
    tiny.copy_source(folder)
    return folder


def planned(house: Path) -> set[str]:
    """The rules that a dry run would run; `all`, which only names the goal, left out."""
    done = tiny.snakemake(house, "--configfile", "tiny.yaml", "-n")
    return set(re.findall(r"^(?:local)?rule (\w+):", done.stdout, flags=re.MULTILINE)) - {"all"}


def test_nothing_to_do_before_an_edit(edited: Path) -> None:
    assert planned(edited) == set()


def test_comments_and_docstrings_rerun_nothing(edited: Path) -> None:
    for file in (edited / "src/scanprior").rglob("*.py"):
        file.write_text(file.read_text() + "\n# a remark\n")
    tiny.edit(edited / "src/scanprior/evidence/verdict.py", '"""The verdict:', '"""Our verdict:')
    assert planned(edited) == set()


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("evidence/verdict.py", {"evaluate", "report"}),
        ("report/words.py", {"report"}),
        ("learning/dense.py", AFTER_TRAIN),
        ("energy/objectives.py", {"pretrain"} | AFTER_TRAIN),
        ("patches/sampling.py", {"patches", "pretrain"} | AFTER_TRAIN),
        ("stages/convert.py", {"convert", "prepare", "patches", "pretrain"} | AFTER_TRAIN),
    ],
)
def test_an_edit_reruns_what_imports_the_module_and_what_follows(edited: Path, module: str, stages: set[str]) -> None:
    file = edited / "src/scanprior" / module
    before = file.read_text()
    file.write_text(before + "\nEDITED = True\n")
    try:
        assert planned(edited) == stages
    finally:
        file.write_text(before)
    assert planned(edited) == set()


def test_an_edit_behind_a_relative_import_in_an_init(edited: Path) -> None:
    room = edited / "src/scanprior/evidence"
    room.joinpath("extra.py").write_text("VALUE = 1\n")
    with (room / "__init__.py").open("a") as init:
        init.write("\nfrom .extra import VALUE as VALUE\n")
    tiny.snakemake(edited, "--configfile", "tiny.yaml", "--touch")  # the study is up to date with this code
    assert planned(edited) == set()
    room.joinpath("extra.py").write_text("VALUE = 2\n")
    assert planned(edited) == {"prepare", "patches", "split", "pretrain"} | AFTER_TRAIN
    room.joinpath("extra.py").write_text("VALUE = 1\n")
    assert planned(edited) == set()


def test_the_colours_of_the_report_rerun_the_report_alone(edited: Path) -> None:
    style = edited / "src/scanprior/report/style.css"
    before = style.read_text()
    style.write_text(before + "\n/* another colour */\n")
    try:
        assert planned(edited) == {"report"}
    finally:
        style.write_text(before)


def test_a_setting_reruns_what_depends_on_it(edited: Path) -> None:
    study = edited / "tiny.yaml"
    before = study.read_text()
    study.write_text(before.replace("margin: 0.05", "margin: 0.06"))
    assert planned(edited) == {"evaluate", "report"}
    study.write_text(before.replace("epochs: 3", "epochs: 4"))
    assert planned(edited) == {"pretrain"} | AFTER_TRAIN - {"train"}  # canaries start from no prior
    study.write_text(before)
    assert planned(edited) == set()


def test_a_job_for_every_draw_trains_again_and_leaves_the_canaries(edited: Path) -> None:
    study = edited / "tiny.yaml"
    before = study.read_text()
    study.write_text(before.replace(", draws_per_job: 2", ""))
    try:
        assert planned(edited) == {"train", "evaluate", "report"}
        dry = tiny.snakemake(edited, "--configfile", "tiny.yaml", "-n").stdout
        assert dry.count("rule train:") == 3 * 2  # arms and draws
        assert "canary" not in "".join(re.findall(r"wildcards: arm=(\w+)", dry))
    finally:
        study.write_text(before)
    assert planned(edited) == set()


def test_new_raw_data_is_noticed(edited: Path) -> None:
    extra = edited / "hospital" / "note.txt"
    extra.write_text("x")
    assert "index" in planned(edited)
    extra.unlink()
    assert planned(edited) == set()


def test_raw_files_that_were_only_copied_train_nothing_again(edited: Path) -> None:
    prior = edited / "results/tiny/prior/record.json"
    before = prior.read_bytes()
    for file in (edited / "hospital").rglob("*"):
        os.utime(file)
    assert {"index", "pretrain", "report"} <= planned(edited)  # all that a bare engine would run
    tiny.scanprior(edited, "run", "tiny.yaml", "--cores", "2")
    log = (edited / "logs/tiny/snakemake.log").read_text()
    assert set(re.findall(r"^(?:local)?rule (\w+):", log, flags=re.MULTILINE)) == {"index"}
    assert prior.read_bytes() == before
    assert planned(edited) == set()
