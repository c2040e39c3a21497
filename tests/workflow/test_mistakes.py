"""Mistakes of the cohort: one clear sentence, before any long work, with nothing private in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

pytestmark = pytest.mark.workflow


def run(house: Path) -> subprocess.CompletedProcess[str]:
    done = tiny.scanprior(house, "run", "tiny.yaml", check=False)
    assert not (house / "results/tiny/deidentify").exists(), "long work began"
    for word in tiny.planted():
        assert word not in done.stderr + done.stdout
    return done


def rewrite(old: str, new: str, name: str = "hospital/labels.csv") -> Callable[[Path], None]:
    def change(house: Path) -> None:
        file = house / name
        file.write_text(file.read_text().replace(old, new))

    return change


def empty(house: Path) -> None:
    for file in (house / "hospital").rglob("*"):
        if file.is_file() and file.name != "labels.csv":
            file.unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rewrite("scans: hospital,", "scans: hopsital,", "tiny.yaml"), "cohort.scans"),
        (empty, "no usable scan"),
        (rewrite("MRN", "XYZ"), "label"),
        (rewrite("normal", "lesion"), "class"),
        (rewrite("id;diagnosis", "ident;diagnosis"), "id"),
        (rewrite("budgets: [4, 6]", "budgets: [4, 60]", "tiny.yaml"), "60"),
    ],
    ids=["folder", "empty", "no-match", "one-class", "column", "budget"],
)
def test_one_sentence_each(tmp_path: Path, change: Callable[[Path], None], words: str) -> None:
    tiny.build(tmp_path)
    change(tmp_path)
    done = run(tmp_path)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "->" in done.stderr


def test_two_people_with_one_id(tmp_path: Path) -> None:
    tiny.build(tmp_path)
    volume, _ = tiny.volume(99, lesion=True)
    tiny.write_dicom(tmp_path / "hospital" / "other", 0, volume)
    for file in (tmp_path / "hospital" / "other").iterdir():
        import pydicom

        data = pydicom.dcmread(file)
        data.PatientBirthDate, data.PatientSex = "19900101", "M"
        data.SeriesInstanceUID += ".77"
        data.SOPInstanceUID += ".77"
        data.save_as(file)
    done = run(tmp_path)
    assert done.returncode == 2
    assert "persons" in done.stderr or "people" in done.stderr


def test_check_says_what_a_run_would_need_and_does_no_work(tmp_path: Path) -> None:
    tiny.build(tmp_path)
    done = tiny.scanprior(tmp_path, "check", "tiny.yaml")
    assert "18 scans of 18 patients, 12 labelled (6 lesion, 6 normal)" in done.stdout
    assert "of disk" in done.stdout and "four of five such studies" in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_drafted_study_of_a_bids_folder_runs(tmp_path: Path) -> None:
    tiny.build_bids(tmp_path)
    tiny.scanprior(tmp_path, "init", "bids", "--name", "drafted", "--output", "drafted.yaml")
    with (tmp_path / "drafted.yaml").open("a") as study:
        study.write("arms: [logistic, pca_logistic]\n")  # the same study with the quick arms
    done = tiny.scanprior(tmp_path, "run", "drafted.yaml", "--cores", "2")
    assert "verdict: inconclusive" in done.stdout
    again = tiny.scanprior(tmp_path, "init", "bids", "--name", "drafted", "--output", "drafted.yaml", check=False)
    assert again.returncode == 2 and "exists already" in again.stderr
