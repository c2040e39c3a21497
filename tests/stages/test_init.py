"""`scanprior init`: a drafted study file loads, and its cohort can be indexed."""

import zlib

import nibabel as nib
import numpy as np
import pytest

from scanprior.errors import CohortError, ConfigError
from scanprior.evidence.splits import Request, make_split
from scanprior.stages import index
from scanprior.stages.init import draft, plan, quoted
from scanprior.stages.split import read_patients
from scanprior.study import Study
from scanprior.study_file import load_config
from tests.scans.synthetic import save, series


def splits(made: Study) -> None:
    """Index the drafted study and draw its split: what a run does first."""
    cohort = index.survey(made)
    table = index.patient_table(made, cohort)
    patients, classes = read_patients(table, made.config, list(range(len(table))))
    e = made.config.evaluation
    make_split(patients, Request(e.scheme, classes, e.budgets, e.draws, e.folds, e.test or 0, e.pool), made.seed)


def drafted(tmp_path, folder, labels=None, name="drafted") -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(draft(folder, labels, name), encoding="utf-8")
    return Study(load_config(path), path, tmp_path)


def deliver(root, patients=14, *, t2=True):
    rng = np.random.default_rng(0)
    for n in range(patients):
        for name in ("T1 mprage", "T2 tse") if t2 else ("T1 mprage",):
            noise = rng.integers(0, 99, (12, 10))
            datasets = series(6, series=f"1.{n}.{len(name)}", patient=f"ID{n:02}", SeriesDescription=name,
                              PatientSex="F", value=lambda x, y, z, noise=noise: noise + z + 500)  # fmt: skip
            for k, dataset in enumerate(datasets):
                save(dataset, root / f"p{n}" / name / f"{k}")


def test_dicom_with_a_label_table(tmp_path):
    deliver(tmp_path / "raw")
    lines = ["Fallnr;Befund;Zentrum;Alter"] + [
        f"ID{n:02};{'krank' if n % 2 else 'control'};Haus {n % 3};{40 + n}" for n in range(12)
    ]
    (tmp_path / "tab.csv").write_text("\n".join(lines), encoding="cp1252")
    made = drafted(tmp_path, tmp_path / "raw", tmp_path / "tab.csv")
    columns = made.config.cohort.columns
    assert (columns.patient, columns.label, columns.site) == ("Fallnr", "Befund", "Zentrum")
    assert made.config.task.positive == "krank"
    assert made.config.cohort.select == {"series": "T1 mprage"}
    splits(made)


def test_images_beside_label_maps_are_a_voxel_task(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(9):
        for folder, high in (("imagesTr", 99), ("labelsTr", 3)):
            (tmp_path / "set" / folder).mkdir(exist_ok=True, parents=True)
            image = nib.Nifti1Image(rng.integers(0, high, (8, 9, 7)).astype(np.int16), np.diag([2.0, 2, 2, 1]))
            image.to_filename(tmp_path / "set" / folder / f"case{n}.nii.gz")
    for folder in ("set", "set/imagesTr"):
        made = drafted(tmp_path, tmp_path / folder)
        assert made.config.task.kind == "voxel"
        assert set(made.config.task.classes) == {1, 2}
        assert made.config.prepare.spacing == (2.0, 2.0, 2.0)
        splits(made)


def test_bids_of_four_subjects_is_drafted_and_says_that_they_are_too_few(tmp_path, scanprior_data):
    folder = scanprior_data / "study2" / "ds002748_bids"
    text = draft(folder, None, "bids")
    assert "TOO FEW" in text.splitlines()[0]
    made = drafted(tmp_path, folder)
    assert made.config.cohort.columns.label == "group"
    assert made.config.task.positive == "depr"
    index.run(made)


def test_nothing_to_learn_from_and_nothing_at_all(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        draft(tmp_path / "none", None, "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="no usable scan"):
        draft(tmp_path / "empty", None, "x")
    deliver(tmp_path / "raw", 4, t2=False)
    with pytest.raises(CohortError, match="neither a table"):
        draft(tmp_path / "raw", None, "x")
    with pytest.raises(ConfigError, match="label table is not there"):
        draft(tmp_path / "raw", tmp_path / "no.csv", "x")


@pytest.mark.parametrize("sizes", [[4, 4], [5, 9], [18, 18], [60, 200], [9], [170], [6, 7, 8], [30, 30, 4]])
@pytest.mark.parametrize("unlabelled", [0, 30])
def test_every_plan_of_enough_patients_can_be_drawn(sizes, unlabelled):
    from scanprior.evidence.splits import Patients

    chosen = plan(sizes, unlabelled)
    assert chosen.enough
    label = [kind for kind, size in enumerate(sizes) for _ in range(size)] + [-1] * unlabelled
    patients = Patients(tuple(label), tuple(range(len(label))), (None,) * len(label))
    request = Request(
        "cv", tuple(map(str, range(len(sizes)))), tuple(chosen.budgets), chosen.draws, chosen.folds, 0, chosen.pool
    )
    split = make_split(patients, request, lambda *names: zlib.crc32(repr(names).encode()))
    assert split.pool or chosen.scope == "inductive"


@pytest.mark.parametrize(
    "text", ["plain", "no", "a b", "a: b", "#x", "12", "ÄÖ", 'q"', "/a/b c", "x ", "True", "-", "a#b", "[x]", ""]
)
def test_quoted_text_comes_back(text):
    import yaml

    assert yaml.safe_load(f"{{key: {quoted(text)}}}")["key"] == text


@pytest.mark.parametrize("name", ["My Study", "study.v2", "", "Müller", "x" * 42])
def test_a_name_that_no_study_can_have_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(ConfigError, match="a study can't be called"):
        draft(tmp_path, None, name)


def test_a_name_of_digits_stays_a_name(tmp_path):
    deliver(tmp_path / "raw", t2=False)
    (tmp_path / "labels.csv").write_text(
        "id,dx\n" + "".join(f"ID{n:02},{'ill' if n % 2 else 'well'}\n" for n in range(14))
    )
    assert drafted(tmp_path, tmp_path / "raw", tmp_path / "labels.csv", name="2024").name == "2024"
