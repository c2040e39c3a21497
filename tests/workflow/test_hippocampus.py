"""The quick hippocampus study on real scans: both hidden kinds, dense prediction, Dice per patient, nothing private."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import tiny

pytestmark = pytest.mark.workflow
STUDY = "hippocampus-quick"
HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(scanprior_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hippocampus")
    (folder / "config").mkdir()
    shutil.copy(HOUSE / "config" / f"{STUDY}.yaml", folder / "config")
    tiny.scanprior(folder, "run", f"config/{STUDY}.yaml", "--cores", "2")
    return folder / "results" / STUDY


def test_it_ends_with_a_verdict_on_dice(finished: Path) -> None:
    verdict = json.loads((finished / "verdict.json").read_text())
    assert verdict["metric"] == "dice"
    assert verdict["verdict"] in ("helps", "harms", "equivalent", "inconclusive")
    assert "not for claims" in (finished / "report.html").read_text().lower()


def test_every_arm_segments_better_than_nothing_and_more_labels_help(finished: Path) -> None:
    scores = pd.read_parquet(finished / "evaluate/scores.parquet")
    mean = scores.groupby(["arm", "budget"])["score"].mean().unstack()
    assert (mean > 0.2).all().all(), mean
    assert mean[8].mean() > mean[2].mean()
    assert mean.loc["cnn", 8] > 0.5


def test_no_prior_saw_a_labelled_or_tested_patient(finished: Path) -> None:
    split = json.loads((finished / "split/split.json").read_text())
    for folder in ("prior", "prior-bernoulli"):
        seen = set(json.loads((finished / folder / "record.json").read_text())["notes"]["patients_seen"])
        assert len(seen) == 12
        assert not seen & (set(split["labelled"]) | set(split["test"]))


def test_both_sides_of_a_person_stay_together(finished: Path) -> None:
    scans = pd.read_parquet(finished / "index/scans.parquet")
    split = json.loads((finished / "split/split.json").read_text())
    side = {patient: name for name in ("pool", "labelled", "test") for patient in split[name]}
    assert scans.groupby("patient").size().max() == 2
    assert set(scans["patient"]) == set(side)


def test_the_name_of_a_scan_is_found_nowhere(finished: Path) -> None:
    for file in finished.rglob("*"):
        if file.is_file():
            assert "hippocampus_" not in tiny.searchable(file), file.relative_to(finished)
