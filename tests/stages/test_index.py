"""Stage index: coarse tables under pseudonyms, the way back in private/ only, every problem at once."""

import json
import stat

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from scanprior.config import StudyConfig
from scanprior.errors import CohortError
from scanprior.scans.nifti import write_nifti
from scanprior.scans.volume import Volume
from scanprior.stages import index
from scanprior.study import Study
from tests.scans.synthetic import save, series, slice_at

PLANTED = ("MRN7", "Planted", "Wolkenheim", "Secretville", "SCANNER9")


def hospital(root, *, patients=6):
    """DICOM of five patients, NIfTI of one, and strays."""
    rng = np.random.default_rng(0)
    for n in range(patients - 1):
        noise = rng.integers(0, 50, (12, 10))
        facts = {"PatientBirthDate": "19200101", "StudyDate": f"2020010{n + 1}", "PatientSex": "F",
                 "Modality": "MR", "InstitutionName": "Secretville", "StationName": f"SCANNER9{n % 2}",
                 "Manufacturer": "ACME"}  # fmt: skip
        for k, dataset in enumerate(
            series(
                6, series=f"1.2.{n}", patient=f"MRN7{n}", value=lambda x, y, z, noise=noise: 500 + noise + z, **facts
            )
        ):
            save(dataset, root / f"Wolkenheim_{n}" / f"IM{k}")
    write_nifti(Volume(rng.integers(0, 99, (8, 8, 8)).astype(np.int16), np.eye(4)), root / "MRN7_loose.nii.gz")
    (root / "MRN7 letter.pdf").write_bytes(b"%PDF-1.4 Planted")
    save(slice_at((0, 0, 0), sop_class="1.2.840.10008.5.1.4.1.1.7", patient="MRN70", series="1.9"), root / "sc")
    broken = series(8, series="1.8", patient="MRN71")
    for k, dataset in enumerate(broken[:3] + broken[4:]):
        save(dataset, root / "broken" / str(k))
    (root / "labels.csv").write_text(
        "id;dx;centre\n" + "".join(f"MRN7{n};{'ill' if n % 2 else 'well'};Wolkenheim {n // 3}\n" for n in range(4))
    )
    return root


def study(tmp_path, *, house="house", **cohort) -> Study:
    (tmp_path / house).mkdir(exist_ok=True)
    config = StudyConfig.model_validate(
        {
            "study": "t",
            "cohort": {"scans": str(tmp_path / "raw"), "labels": "labels.csv",
                       "columns": {"patient": "id", "label": "dx", "site": "centre"}, **cohort},
            "task": {"kind": "patient", "positive": "ill"},
            "engine": {"shards": 2},
        }
    )  # fmt: skip
    return Study(config, tmp_path / house / "t.yaml", tmp_path / house)


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    return hospital(tmp_path / "raw")


def test_tables_are_coarse_and_nothing_private_is_outside_private(raw, tmp_path):
    made = study(tmp_path)
    index.run(made)
    patients = pd.read_parquet(made.folder("index") / "patients.parquet")
    scans = pd.read_parquet(made.folder("index") / "scans.parquet")
    assert list(patients.columns) == ["patient", "order", "labelled", "label", "site", "age", "sex", "split", "n_scans"]
    assert list(scans.columns) == [
        "scan",
        "patient",
        "order",
        "format",
        "modality",
        "scanner",
        "days",
        "period",
        "delivery",
        "matrix",
        "content",
        "has_map",
        "n_files",
        "shard",
    ]
    assert set(scans["period"].dropna()) | set(scans["delivery"]) <= {1, 2, 3}, "thirds, no date and no place"
    assert list(patients["order"]) == list(range(6))
    assert patients["labelled"].sum() == 4
    assert set(patients["age"].dropna()) == {90}
    assert set(patients["site"].dropna()) == {"A", "B"}
    assert set(scans["scanner"].dropna()) == {"A", "B"}
    assert set(scans["shard"]) == {0, 1}
    assert scans.groupby("patient")["shard"].nunique().max() == 1
    reasons = pd.read_parquet(made.folder("index") / "quarantine.parquet")["reason"]
    assert sorted(reasons) == ["missing-slice", "pdf", "secondary-capture"]
    for file in [*made.results.rglob("*"), *made.work.rglob("*")]:
        assert not any(word in file.name for word in PLANTED)
        if file.is_file():
            content = file.read_bytes()
            assert not any(word.encode() in content for word in PLANTED), file.name


def test_the_study_s_covariates_come_without_their_names_and_to_three_digits(raw, tmp_path):
    columns = {"patient": "id", "label": "dx", "site": "centre", "covariates": ["psa Dr Planted", "bmi"]}
    rows = [("ill", "4,251", "23"), ("well", "n/a", "1234567"), ("ill", "", "27.04"), ("well", "0.1", "19")]
    lines = [f"MRN7{n};{dx};x;{psa};{bmi}" for n, (dx, psa, bmi) in enumerate(rows)]
    (raw / "labels.csv").write_text("\n".join(["id;dx;centre;psa Dr Planted;bmi", *lines]) + "\n")
    made = study(tmp_path, columns=columns)
    index.run(made)
    patients = pd.read_parquet(made.folder("index") / "patients.parquet")
    assert list(patients.columns)[-2:] == ["covariate_1", "covariate_2"]
    assert sorted(patients["covariate_1"].dropna()) == [0.1, 4.25]
    assert sorted(patients["covariate_2"].dropna()) == [19, 23, 27, 1230000]
    (raw / "labels.csv").write_text((raw / "labels.csv").read_text().replace("19", "slim"))
    with pytest.raises(CohortError, match=r"covariates: number 2 of the list has 1 value that is no number") as error:
        index.run(study(tmp_path, house="other", columns=columns))
    assert "slim" not in str(error.value) and "bmi" not in str(error.value)
    with pytest.raises(CohortError, match=r"number 1 of the list is the column of the patient or of the label"):
        index.run(study(tmp_path, house="third", columns={**columns, "covariates": ["id"]}))


def test_private_holds_the_way_back_for_its_owner_only(raw, tmp_path):
    made = study(tmp_path)
    index.run(made)
    crosswalk = pd.read_parquet(made.private / "crosswalk.parquet")
    sources = pd.read_parquet(made.private / "sources.parquet")
    assert set(crosswalk["hospital_id"]) == {f"MRN7{n}" for n in range(5)} | {"MRN7_loose"}
    patients = pd.read_parquet(made.folder("index") / "patients.parquet")
    assert set(crosswalk["patient"]) == set(patients["patient"])
    for files in sources["files"]:
        assert all((raw / name).exists() for name in json.loads(files))
    lost = pd.read_parquet(made.private / "quarantine.parquet").set_index("reason")
    assert json.loads(lost.loc["pdf", "files"]) == [str(raw.resolve() / "MRN7 letter.pdf")]
    for file in made.private.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_key_changes_names_and_nothing_else(raw, tmp_path):
    one, two = study(tmp_path), study(tmp_path, house="other")
    index.run(one)
    index.run(two)
    first, second = (pd.read_parquet(made.folder("index") / "patients.parquet") for made in (one, two))
    assert not set(first["patient"]) & set(second["patient"])
    pd.testing.assert_frame_equal(first.drop(columns="patient"), second.drop(columns="patient"))


def test_two_runs_write_the_same_bytes(raw, tmp_path):
    made = study(tmp_path)
    index.run(made)
    names = ("patients.parquet", "scans.parquet", "quarantine.parquet")
    before = [(made.folder("index") / name).read_bytes() for name in names]
    index.run(made)
    assert before == [(made.folder("index") / name).read_bytes() for name in names]


def test_problems_come_at_once_and_ids_stay_in_the_listing(raw, tmp_path):
    (raw / "labels.csv").write_text("id,dx,centre\nMRN70,ill,x\nMRN70,well,x\nMRN71,ill,x\n")
    first = next((raw / "Wolkenheim_0").iterdir())
    copy = raw / "copy"
    copy.mkdir()
    for file in first.parent.iterdir():
        content = (
            file.read_bytes()
            .replace(b"MRN70", b"MRN74")
            .replace(b"1.2.0\0", b"1.3.0\0")
            .replace(b"1.2.0.9\0", b"1.3.0.9\0")
        )
        (copy / file.name).write_bytes(content)
    made = study(tmp_path)
    with pytest.raises(CohortError) as caught:
        index.run(made)
    text = str(caught.value)
    assert "2 problems" in text or "3 problems" in text
    assert "one and the same image" in text
    assert "several rows" in text
    assert not any(word in text for word in PLANTED)
    assert "private/t/cohort-problems.txt" in text
    listing = (made.private / index.LISTING).read_text()
    assert "MRN70" in listing
    assert "MRN74" in listing
    assert not made.folder("index").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scans": "/nowhere/MRN7"}, "cohort.scans: nothing is there"),
        ({"labels": "none.csv"}, "cohort.labels: nothing is there"),
        ({"columns": {"patient": "id", "label": "dxx"}}, "no column 'dxx' among its 3; did you mean 'dx'?"),
        ({"select": {"serie": "T1"}}, "unknown key 'serie'; did you mean series?"),
    ],
)
def test_what_is_missing_is_told_before_any_scan_is_read(raw, tmp_path, change, words, monkeypatch):
    monkeypatch.setattr(index, "discover", None)
    with pytest.raises(CohortError) as caught:
        index.check(study(tmp_path, **change))
    assert words in str(caught.value)
    assert "MRN7" not in str(caught.value)


def test_check_reads_headers_only(raw, tmp_path):
    cohort = index.check(study(tmp_path))
    assert len(cohort.patients) == 6
    assert all(scan.source.digest is None for scan in cohort.scans)


def test_voxel_task_pairs_maps_by_stem(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(4):
        for folder, high in (("raw", 90), ("maps", 3)):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = nib.Nifti1Image(rng.integers(0, high, (6, 6, 6)).astype(np.int16), np.eye(4))
            image.to_filename(tmp_path / folder / f"p{n}.nii.gz")
    (tmp_path / "maps" / "p3.nii.gz").unlink()
    config = StudyConfig.model_validate(
        {"study": "v", "cohort": {"scans": str(tmp_path / "raw"), "label_maps": str(tmp_path / "maps")},
         "task": {"kind": "voxel", "classes": {1: "a", 2: "b"}}}
    )  # fmt: skip
    made = Study(config, tmp_path / "v.yaml", tmp_path)
    index.run(made)
    scans = pd.read_parquet(made.folder("index") / "scans.parquet")
    patients = pd.read_parquet(made.folder("index") / "patients.parquet")
    assert scans["has_map"].sum() == patients["labelled"].sum() == 3
    maps = pd.read_parquet(made.private / "sources.parquet")["label_map"].dropna()
    assert len(maps) == 3


def test_names_that_are_no_text_are_taken_as_they_are(raw, tmp_path):
    """Old CDs name files in Latin-1: bytes that are no UTF-8."""
    rng = np.random.default_rng(5)
    name = b"M\xfcller.nii.gz".decode("utf-8", "surrogateescape")
    write_nifti(Volume(rng.integers(0, 99, (8, 8, 8)).astype(np.int16), np.eye(4)), raw / name)
    (raw / name.replace(".nii.gz", ".pdf")).write_bytes(b"%PDF")
    made = study(tmp_path)
    index.run(made)
    assert len(pd.read_parquet(made.private / "crosswalk.parquet")) == 7
    files = [name for text in pd.read_parquet(made.private / "sources.parquet")["files"] for name in json.loads(text)]
    assert str(raw.resolve() / name) in files


def test_a_mended_label_map_or_header_is_seen_by_what_reads_the_index(tmp_path):
    """Of a map the tables hold no voxel, and the voxels' digest leaves out place and spacing."""
    rng = np.random.default_rng(0)
    for folder, high in (("raw", 90), ("maps", 3)):
        (tmp_path / folder).mkdir()
        for n in range(3):
            write_nifti(
                Volume(rng.integers(0, high, (6, 6, 6)).astype(np.int16), np.eye(4)), tmp_path / folder / f"p{n}.nii.gz"
            )
    config = StudyConfig.model_validate(
        {"study": "v", "cohort": {"scans": str(tmp_path / "raw"), "label_maps": str(tmp_path / "maps")},
         "task": {"kind": "voxel", "classes": {1: "a", 2: "b"}}}
    )  # fmt: skip
    made = Study(config, tmp_path / "v.yaml", tmp_path)

    def digests():
        index.run(made)
        table = pd.read_parquet(made.folder("index") / "scans.parquet")
        return table["content"].tolist(), table.drop(columns="content")

    before, rest = digests()
    again, _ = digests()
    assert again == before and len(set(before)) == 3
    write_nifti(Volume(rng.integers(0, 3, (6, 6, 6)).astype(np.int16), np.eye(4)), tmp_path / "maps/p1.nii.gz")
    mended, unseen = digests()
    assert sum(one != other for one, other in zip(mended, before, strict=True)) == 1
    pd.testing.assert_frame_equal(unseen, rest)
    image = nib.load(tmp_path / "raw/p2.nii.gz")
    moved = nib.Nifti1Image(np.asarray(image.dataobj), np.diag([1, 1, 1.5, 1]))
    nib.save(moved, tmp_path / "raw/p2.nii.gz")
    nib.save(
        nib.Nifti1Image(np.asarray(nib.load(tmp_path / "maps/p2.nii.gz").dataobj), moved.affine),
        tmp_path / "maps/p2.nii.gz",
    )
    assert sum(one != other for one, other in zip(digests()[0], mended, strict=True)) == 1


def test_a_renamed_file_is_seen_by_what_makes_its_pseudonym(raw, tmp_path):
    made = study(tmp_path)
    tables = []
    for rename in (False, False, True):
        if rename:
            (raw / "Wolkenheim_1" / "IM3").rename(raw / "Wolkenheim_1" / "IM03")
        index.run(made)
        tables.append(pd.read_parquet(made.folder("index") / "scans.parquet"))
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert json.loads((made.folder("index") / "record.json").read_text())["notes"]["listing"] == made.listing()
    assert (tables[2]["content"] != tables[0]["content"]).sum() == 1
    pd.testing.assert_frame_equal(tables[2].drop(columns="content"), tables[0].drop(columns="content"))


def test_shards_of_an_earlier_number_are_removed(raw, tmp_path):
    made = study(tmp_path)
    for stage in ("deidentify", "convert", "prepare"):
        for shard in range(4):
            (made.folder(stage, f"shard-{shard}")).mkdir(parents=True)
            (made.folder(stage, f"shard-{shard}") / "kept.txt").write_text("x")
    index.run(made)
    for stage in ("deidentify", "convert", "prepare"):
        assert sorted(folder.name for folder in made.folder(stage).iterdir()) == ["shard-0", "shard-1"]


def test_a_table_without_a_header_line_does_not_have_its_first_patient_told(raw, tmp_path):
    (raw / "labels.csv").write_text("MRN70123;Planted^Anna;ill\nMRN71123;Planted^Berta;well\n")
    with pytest.raises(CohortError) as caught:
        index.check(study(tmp_path))
    said = str(caught.value)
    assert "no column 'id' among its 3; does its first line hold the names of the columns?" in said
    assert not any(secret in said for secret in PLANTED)
