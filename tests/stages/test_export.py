"""What is exported for a journal, from files that stages leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_study import make_study

from scanprior.errors import ScanpriorError
from scanprior.stages.export import export

EVALUATION = "{scheme: holdout, test: 4, pool: 4, budgets: [2], draws: 1, margin: 0.01}"


def test_report_scores_and_checklists_go_with_the_prior(tmp_path: Path) -> None:
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=EVALUATION, voxel=True)
    with pytest.raises(ScanpriorError, match="no prior yet"):
        export(study, tmp_path / "out")
    split = {"scheme": "holdout", "draws": [{"draw": 0, "fold": 0, "order": ["P-1", "P-2"], "test": ["P-3"]}],
             "labelled": ["P-1", "P-2"], "test": ["P-3"], "pool": [], "budgets": [2], "block": 1}  # fmt: skip
    for name in ("prior/prior.safetensors", "prior/card.json", "prior/model_card.md", "report.html", "verdict.json",
                 "evaluate/scores.csv", "report/methods.md", "report/tripod_ai.csv", "report/claim.csv"):  # fmt: skip
        file = study.results / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (study.results / "split").mkdir()
    (study.results / "split/split.json").write_text(json.dumps(split))
    written = export(study, tmp_path / "out")
    exported = {file.name: file.read_text() for file in (tmp_path / "out/journal").iterdir()}
    assert exported == {
        name.rpartition("/")[2]: name
        for name in ("report.html", "verdict.json", "evaluate/scores.csv", "report/methods.md", "report/claim.csv",
                     "report/tripod_ai.csv")
    }  # fmt: skip
    assert sum("journal" in line for line in written) == 6


def test_a_prior_that_the_study_no_longer_has_is_not_exported(tmp_path: Path) -> None:
    study = make_study(tmp_path, arms="dbn, scratch", evaluation=EVALUATION, voxel=True)
    split = {"scheme": "holdout", "draws": [{"draw": 0, "fold": 0, "order": ["P-1", "P-2"], "test": ["P-3"]}],
             "labelled": ["P-1", "P-2"], "test": ["P-3"], "pool": [], "budgets": [2], "block": 1}  # fmt: skip
    for folder in ("prior", "prior-denoising"):
        for name in ("prior.safetensors", "card.json", "model_card.md"):
            (study.results / folder).mkdir(parents=True, exist_ok=True)
            (study.results / folder / name).write_text(name)
    (study.results / "split").mkdir()
    (study.results / "split/split.json").write_text(json.dumps(split))
    export(study, tmp_path / "out")
    assert sorted(folder.name for folder in (tmp_path / "out").iterdir()) == ["prior", "splits_final.json"]
