"""A tiny demo cohort: the same bytes every time, all kinds of files, readable, with faces, lesions and names."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import warnings
import zlib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


@pytest.fixture(scope="module")
def images(tiny: Path) -> list[tuple[Path, pydicom.Dataset]]:
    """Every DICOM file that holds an image."""
    found = []
    warnings.simplefilter("ignore")  # pydicom warns of the file that is cut
    for path in sorted(tiny.rglob("*")):
        if path.is_file() and path.name != "DICOMDIR" and path.read_bytes()[128:132] == b"DICM":
            found.append((path, pydicom.dcmread(path)))
    return found


def _scans(images: list[tuple[Path, pydicom.Dataset]]) -> dict[str, list[pydicom.Dataset]]:
    scans: dict[str, list[pydicom.Dataset]] = {}
    for _, data in images:
        if data.SOPClassUID == MRImageStorage and "T1" in data.SeriesDescription:
            scans.setdefault(str(data.PatientID), []).append(data)
    return scans


def test_the_same_bytes_every_run_and_an_old_cohort_is_replaced(recipe: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    first_items = recipe.build(folder, patients=4, spacing_mm=8.0)
    first = _digests(folder), _digests(recipe.truth_folder(folder))
    (folder / "left over").write_text("from before")
    assert recipe.build(folder, patients=4, spacing_mm=8.0) == first_items
    assert (_digests(folder), _digests(recipe.truth_folder(folder))) == first


def test_a_cohort_that_was_deleted_is_not_taken_for_built(recipe: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    recipe.build(folder, patients=4, spacing_mm=8.0)
    assert recipe.is_built(folder)
    shutil.rmtree(folder)
    assert not recipe.is_built(folder), "its truth alone is no cohort"
    folder.mkdir()
    assert not recipe.is_built(folder)


def test_a_folder_with_other_content_is_refused_and_left_alone(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(recipe.NotOursError, match="not made by this recipe"):
        recipe.build(tmp_path, patients=4, spacing_mm=8.0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_pydeface_one_sentence_says_what_to_do(recipe: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe.anatomy.importlib.metadata, "files", lambda name: [])
    with pytest.raises(recipe.TemplateMissingError, match=r"pydeface.*make env"):
        recipe.anatomy.load_template()


def test_progress_rises_to_the_number_of_patients(recipe: ModuleType, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    recipe.build(tmp_path / "raw", patients=4, spacing_mm=8.0, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 9) for done in range(10)]


def test_good_scans_are_complete_and_every_pixel_decodes(tiny: Path, images: list) -> None:
    good = {row["patient_id"] for row in _rows(tiny.with_name("raw-truth") / "truth.csv") if row["format"] == "dicom"}
    scans = _scans(images)
    assert good and good <= scans.keys()
    for patient in good:
        scan = sorted(scans[patient], key=lambda data: data.InstanceNumber)
        assert len(scan) == 44
        assert all(data.pixel_array.shape == (64, 64) for data in scan)
        places = np.array([data.ImagePositionPatient for data in scan], float)
        assert np.allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), 4.0, atol=1e-5)


def test_several_transfer_syntaxes_and_person_names_survive_their_character_set(
    recipe: ModuleType, images: list
) -> None:
    assert len({str(data.file_meta.TransferSyntaxUID) for _, data in images}) >= 3
    names = {p.person.patient_id: p.person.name for p in recipe.plan(8)}
    for _, data in images:
        if data.PatientID in names:
            assert str(data.PatientName) == names[data.PatientID]


def test_broken_ones_are_additional_patients(tiny: Path, images: list) -> None:
    good = {row["patient_id"] for row in _rows(tiny.with_name("raw-truth") / "truth.csv")}
    broken = {patient: scan for patient, scan in _scans(images).items() if patient not in good}
    sizes = sorted(len(scan) for scan in broken.values())
    assert sizes == [43, 44, 45]  # a slice missing, a file truncated, a slice twice
    assert sum(not _decodes(data) for _, data in images) == 1
    truncated = [file for file in tiny.rglob("*.nii*") if not _opens(file)]
    assert len(truncated) == 1


def _decodes(data: pydicom.Dataset) -> bool:
    try:
        return data.pixel_array.size > 0
    except (AttributeError, ValueError, RuntimeError):
        return False


def _opens(file: Path) -> bool:
    try:
        image: Any = nib.load(file)
        return bool(np.asarray(image.dataobj).size)
    except (EOFError, OSError, ValueError):
        return False


def test_screenshots_show_text_and_one_of_them_is_all_that_a_patient_has(tiny: Path, images: list) -> None:
    shots = [data for _, data in images if data.SOPClassUID == SecondaryCaptureImageStorage]
    assert len(shots) == 3
    for data in shots:
        assert (data.pixel_array[:90] == 255).sum() > 300  # white letters; tissue ends at 200
    alone = {str(data.PatientID) for data in shots} - _scans(images).keys()
    assert len(alone) == 1


def test_a_localizer_lies_beside_some_scans(images: list) -> None:
    localizers = [data for _, data in images if data.SeriesNumber == 1]
    assert localizers and len(localizers) % 3 == 0
    assert all("T1" not in data.SeriesDescription for data in localizers)


def test_nifti_holds_names_in_its_text_fields_and_subjects_csv_says_whose_it_is(tiny: Path) -> None:
    stems = {row["scan"]: row["patient_id"] for row in _rows(tiny / "subjects.csv")}
    files = [file for file in tiny.rglob("*.nii*") if _opens(file)]
    assert files
    for file in files:
        image: Any = nib.load(file)
        patient = stems[file.name.split(".")[0]]
        assert patient.encode() in bytes(image.header["aux_file"])
        assert patient in file.name and image.header.extensions


def test_labels_name_the_hospitals_ids_and_balance_the_classes(tiny: Path) -> None:
    rows = _rows(tiny / "labels.csv")
    assert list(rows[0]) == ["patient_id", "diagnosis", "centre", "age", "sex"]
    assert sorted(row["diagnosis"] for row in rows) == ["healthy"] * 2 + ["lesion"] * 2
    truth = {row["patient_id"]: row for row in _rows(tiny.with_name("raw-truth") / "truth.csv")}
    assert all((truth[row["patient_id"]]["lesion"] == "1") == (row["diagnosis"] == "lesion") for row in rows)


def test_every_planted_identifier_is_really_there(recipe: ModuleType, tiny: Path) -> None:
    content = bytearray()
    for path in sorted(tiny.rglob("*")):
        content += str(path.relative_to(tiny)).encode() + b"\n"
        if path.is_file():
            raw = path.read_bytes()
            if path.name.endswith(".gz"):  # as far as it goes: one of them is cut
                raw = raw[:200] + zlib.decompressobj(31).decompress(raw)
            content += raw
    items = json.loads((tiny.with_name("raw-truth") / "planted.json").read_text(encoding="utf-8"))
    assert len(items) > 150
    codes = ("utf-8", "latin-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-6", "gb18030", "iso2022_jp", "euc_kr")
    for item in items:
        if item["kind"] == "date":  # planted in every way of writing it, whichever the files hold
            continue
        assert any(_encoded(item["value"], code) in content for code in codes), item


def _encoded(text: str, code: str) -> bytes:
    try:
        coded = text.encode(code)
    except UnicodeEncodeError:
        return b"\xff never"
    return coded.replace(b"\x1b(B", b"")


def test_no_planted_identifier_lies_in_the_lesion_masks_but_their_names(tiny: Path) -> None:
    masks = sorted(tiny.with_name("raw-truth").glob("*.nii.gz"))
    assert len(masks) == 4
    for file in masks:
        image: Any = nib.load(file)
        assert bytes(image.header["descrip"]).strip(b"\x00") == b""
        assert set(np.unique(np.asarray(image.dataobj))) == {0, 1}


def test_a_lesion_is_brighter_than_the_brain_around_it_and_nothing_else_changes(recipe: ModuleType) -> None:
    template = recipe.anatomy.load_template()
    for number in range(4):
        ill = recipe.anatomy.grow(template, number, lesion=True, spacing_mm=4.0)
        well = recipe.anatomy.grow(template, number, lesion=False, spacing_mm=4.0)
        inside = ill.lesion == 1
        assert 0.5 < inside.sum() * 0.064 < 16.0  # millilitres
        assert well.tissue[inside].min() > 120.0  # brain, not air, bone or fluid
        assert ((ill.tissue - well.tissue)[inside] > 0.4 * recipe.anatomy.CONTRAST * 300).all()
        far = np.argwhere(ill.tissue - well.tissue > 1.0) - np.argwhere(inside).mean(0)
        assert np.abs(far).max() * 4.0 < 36.0


def test_faces_survive_the_bending(recipe: ModuleType) -> None:
    template = recipe.anatomy.load_template()
    for number in range(4):
        head = recipe.anatomy.grow(template, number, lesion=False, spacing_mm=4.0).tissue
        profile = (head.max(axis=0) > 40.0).T  # one row per height, from chin to crown
        front = [np.flatnonzero(row).max(initial=0) for row in profile]
        nose, forehead = max(front[10:26]), front[40]
        assert nose > forehead  # a defaced head has nothing in front of the forehead there
        assert (head[16:28, 46:, 10:26] > 40.0).mean() > 0.3


def test_scanners_differ_and_the_whole_cohort_stays_below_its_limit(recipe: ModuleType, tiny: Path) -> None:
    good = [path for path in tiny.rglob("*") if path.is_file()]
    voxels_per_patient = 88 * 128 * 128
    size = sum(path.stat().st_size for path in good)
    assert size < 13 * voxels_per_patient // 8 * 2 * 2.5  # at most 2.5 times the plain pixels, headers included
    template = recipe.anatomy.load_template()
    a, b = recipe.plan(8)[0].site, next(p.site for p in recipe.plan(8) if p.site != recipe.plan(8)[0].site)
    tissue = recipe.anatomy.grow(template, 3, lesion=False, spacing_mm=4.0).tissue
    acquire = import_module("demo_cohort.scanner").acquire
    means = [acquire(tissue, site, 3, spacing_mm=4.0).mean() for site in (a, b)]
    assert max(means) / min(means) > 1.5
