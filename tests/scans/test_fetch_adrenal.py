"""The adrenal fetcher: official split, class shares kept, the same bytes, another file refused."""

import csv
import hashlib
import importlib.util

import numpy as np
import pytest

from scanprior.scans.nifti import read_nifti
from tests.conftest import HOUSE

spec = importlib.util.spec_from_file_location("fetch_adrenal", HOUSE / "data" / "fetch_adrenal.py")
assert spec is not None
assert spec.loader is not None
fetcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fetcher)


def test_a_part_has_the_classes_of_the_whole():
    labels = np.array([0] * 75 + [1] * 25)
    rows = fetcher.chosen(labels, 20)
    assert len(rows) == 20
    assert labels[rows].sum() == 5
    assert np.array_equal(fetcher.chosen(labels, None), np.arange(100))


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "study2").mkdir()
    (tmp_path / "study2" / "adrenalmnist3d_64.npz").write_bytes(b"other")
    monkeypatch.setenv("SCANPRIOR_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="expected 17721acc"):
        fetcher.fetch()


def test_what_is_written(scanprior_data, tmp_path):
    content = fetcher.fetch()
    digests = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert fetcher.write(folder, content, {"train": 12, "val": 3, "test": 5}) == 20
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    with (tmp_path / "a" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows].count("pool") == 6
    assert {row["official"] for row in rows} == {"train", "val", "test"}
    assert {row["label"] for row in rows} == {"normal", "hyperplasia"}
    for row in rows:
        assert read_nifti(tmp_path / "a" / "images" / f"{row['patient']}.nii.gz").shape == (64, 64, 64)
