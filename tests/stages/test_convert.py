"""Stage convert: exact volumes on one grid, or a quarantine row; no torch."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from scanprior.config import StudyConfig
from scanprior.scans.nifti import read_nifti, write_nifti
from scanprior.scans.series import assemble
from scanprior.scans.volume import Volume
from scanprior.stages import convert
from scanprior.study import Study
from tests.scans.synthetic import save, series


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    monkeypatch.setattr(Study, "inputs", lambda self, stage, **job: [])
    config = StudyConfig.model_validate(
        {"study": "t", "cohort": {"scans": "raw", "labels": "l.csv"}, "task": {"kind": "patient"}}
    )
    made = Study(config, tmp_path / "t.yaml", tmp_path)
    source = made.folder("deidentify", "shard-1")
    volume = assemble(series(6)).volume
    rows = []
    for name, order, datasets in (("S-b", 2, series(6)[::-1]), ("S-a", 1, series(8)[:3] + series(8)[4:])):
        files = [
            save(d, source / "P-1" / name / f"{k}.dcm").relative_to(source).as_posix() for k, d in enumerate(datasets)
        ]
        rows.append(
            {"scan": name, "patient": "P-1", "order": order, "files": json.dumps(files), "label": None, "removed": None}
        )
    write_nifti(volume, source / "P-1" / "S-c.nii.gz")
    flip = Volume(
        (volume.array > 1000)[:, ::-1],
        volume.affine @ np.array([[1, 0, 0, 0], [0, -1, 0, 11], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    write_nifti(flip, source / "P-1" / "S-c.label.nii.gz")
    write_nifti(Volume(volume.array > 1050, volume.affine), source / "removed.nii.gz")
    rows.append({"scan": "S-c", "patient": "P-1", "order": 0, "files": '["P-1/S-c.nii.gz"]',
                 "label": "P-1/S-c.label.nii.gz", "removed": "removed.nii.gz"})  # fmt: skip
    rows.append({**rows[-1], "scan": "S-d", "order": 3, "label": "removed.nii.gz", "removed": "P-1/lost.nii.gz"})
    pd.DataFrame(rows).to_parquet(source / "series.parquet")
    return made


def test_series_become_volumes_on_one_grid_and_doubtful_ones_are_set_aside(study):
    convert.run(study, shard=1)
    folder = study.folder("convert", "shard-1")
    table = pd.read_parquet(folder / "scans.parquet")
    assert table.to_dict("list") == {"scan": ["S-c", "S-b"], "patient": ["P-1", "P-1"], "order": [0, 2]}
    lost = pd.read_parquet(folder / "quarantine.parquet").set_index("item")["reason"].to_dict()
    assert lost == {"S-a": "missing-slice", "S-d": "unreadable"}
    volume = assemble(series(6)).volume
    for name in ("S-b", "S-c"):
        read = read_nifti(folder / f"{name}.nii.gz")
        assert np.array_equal(read.array, volume.array)
        assert np.allclose(read.affine, volume.affine)
    assert np.array_equal(read_nifti(folder / "S-c.label.nii.gz").array, volume.array > 1000)
    assert np.array_equal(read_nifti(folder / "S-c.removed.nii.gz").array, volume.array > 1050)
    assert sorted(file.name for file in folder.glob("*.nii.gz")) == [
        "S-b.nii.gz", "S-c.label.nii.gz", "S-c.nii.gz", "S-c.removed.nii.gz"]  # fmt: skip


def test_the_same_bytes_again(study):
    convert.run(study, shard=1)
    folder = study.folder("convert", "shard-1")
    before = {file.name: file.read_bytes() for file in folder.glob("*.nii.gz")}
    convert.run(study, shard=1)
    assert before == {file.name: file.read_bytes() for file in folder.glob("*.nii.gz")}


def test_neither_index_nor_convert_imports_torch():
    code = "import scanprior.stages.index, scanprior.stages.convert, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
