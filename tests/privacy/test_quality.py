"""The private page of faces: one file, doubtful heads first, names by pseudonym only."""

from __future__ import annotations

import re
import stat
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scanprior.privacy.heads import Grid
from scanprior.privacy.picture import before_and_after
from scanprior.privacy.quality import Entry, keep, page
from scanprior.privacy.series import Outcome
from scanprior.stages.deidentify import _keep_picture, _write_page


def picture():
    head = np.zeros((20, 24, 22))
    head[4:16, 4:20, 3:19] = 1
    gone = np.zeros(head.shape, dtype=bool)
    gone[:, 14:, :10] = True
    return before_and_after(head, np.eye(4), gone)


def test_the_page_is_one_file_and_shows_what_is_in_doubt_first(tmp_path):
    keep(tmp_path, Entry("S-1", "P-1", "removed", 0.9, 0.1), picture())
    keep(tmp_path, Entry("S-2", "P-1", "removed", 0.5, 0.1), picture())
    keep(tmp_path, Entry("S-3", "P-2", "quarantined", 0.0, 0.0), picture())
    keep(tmp_path, Entry("S-4", "P-3", "stripped", 0.0, 0.0), None)
    keep(tmp_path, Entry("S-5", "P-3", "removed", 0.1, 0.1), picture())  # of an earlier cohort
    made = page(tmp_path, ["S-1", "S-2", "S-3", "S-4"])
    assert re.findall(r"<figcaption>(S-\d)", made) == ["S-3", "S-4", "S-2", "S-1"]
    assert made.count("data:image/png;base64,") == 3 and "no picture" in made and "fit 0.50" in made
    assert "http" not in made and "Private" in made


def test_a_later_look_replaces_an_earlier_one(tmp_path):
    keep(tmp_path, Entry("S-1", "P-1", "removed", 0.9, 0.1), picture())
    keep(tmp_path, Entry("S-1", "P-1", "quarantined", 0.0, 0.0), None)
    made = page(tmp_path, ["S-1", "S-2", "S-3", "S-4"])
    assert made.count("<figure>") == 1 and "quarantined" in made and "base64" not in made


def test_a_name_in_an_entry_is_text_and_no_markup(tmp_path):
    keep(tmp_path, Entry("S-1", "<b>", "removed", 0.9, 0.1), None)
    assert "<b>" not in page(tmp_path, ["S-1", "S-2", "S-3", "S-4"]) and "&lt;b&gt;" in page(
        tmp_path, ["S-1", "S-2", "S-3", "S-4"]
    )


@pytest.mark.parametrize(
    ("face", "shown"), [("removed", True), ("quarantined", True), ("no-head", False), ("kept", False)]
)
def test_the_stage_notes_heads_and_writes_the_page_for_its_owner_alone(tmp_path, face, shown):
    private = tmp_path / "private"
    private.mkdir()
    (tmp_path / "index").mkdir()
    pd.DataFrame({"scan": ["S-1"]}).to_parquet(tmp_path / "index/scans.parquet")
    study = SimpleNamespace(private=private, folder=lambda name: tmp_path / name)
    head = np.zeros((20, 24, 22), dtype=np.float32)
    head[4:16, 4:20, 3:19] = 1
    removed = head > 2 if face != "removed" else head > 0
    outcome = Outcome(face=face, information=0.7, grid=Grid(head, np.eye(4), ()), removed=removed)
    _keep_picture(SimpleNamespace(study=study), "S-1", "P-1", outcome)
    _write_page(study)
    assert (private / "faces.html").exists() == shown
    if shown:
        made = private / "faces.html"
        assert "S-1 (P-1)" in made.read_text() and stat.S_IMODE(made.stat().st_mode) == 0o600
        assert sorted(file.name for file in (private / "faces").iterdir()) == [".lock", "S-1.json", "S-1.png"]


def test_a_head_that_is_no_longer_looked_at_leaves_the_page(tmp_path):
    private = tmp_path / "private"
    stage = SimpleNamespace(study=SimpleNamespace(private=private))
    (private / "faces").mkdir(parents=True)
    keep(private / "faces", Entry("S-1", "P-1", "removed", 0.9, 0.1), picture())
    _keep_picture(stage, "S-1", "P-1", Outcome(face="kept"))
    assert list((private / "faces").iterdir()) == []
