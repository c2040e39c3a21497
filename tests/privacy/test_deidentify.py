"""The folder command: what is written where, what is refused, and that nothing outside DST changes."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from planted import carrier, saved
from pydicom import dcmread

from scanprior.errors import ScanpriorError
from scanprior.privacy import series
from scanprior.privacy.pseudonyms import new_key, patient_pseudonym
from scanprior.stages.deidentify import command, deidentify_folder
from scanprior.stages.verify import command as verify_command

KEY = bytes(range(32))


def put(folder, name, dataset):
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(dataset if isinstance(dataset, bytes) else saved(dataset))


def patient(number, **changes):
    dataset = carrier()
    dataset.PatientID, dataset.PatientName = f"MRN{number:06d}", f"PERSON{number}^X"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_output_is_patient_study_series_instance(tmp_path):
    for number in range(3):
        put(tmp_path / "raw", f"MRN{number:06d}/a.dcm", patient(number))
        put(tmp_path / "raw", f"MRN{number:06d}/b.dcm", patient(number))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert done.files == {"written": 6} and done.patients == 3 and done.faces == {"no-head": 3}
    assert {file.relative_to(tmp_path / "out").parts[0] for file in files} == {
        patient_pseudonym(KEY, f"MRN{n:06d}") for n in range(3)
    }
    for file in files:
        made = dcmread(file)
        assert file.relative_to(tmp_path / "out").parts == (
            made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID, f"{made.SOPInstanceUID}.dcm")  # fmt: skip
        assert made.PatientName == made.PatientID


def test_two_images_under_one_uid_are_both_kept_and_copies_once(tmp_path):
    one, other = patient(1, SOPInstanceUID="1.2.3.9"), patient(1, SOPInstanceUID="1.2.3.9")
    other.PixelData = bytes(len(other.PixelData))
    for name, dataset in (("a", one), ("b", other), ("c", one)):
        put(tmp_path / "raw", name, dataset)
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 2, "duplicate": 1}
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2


def test_links_out_of_the_tree_are_not_followed_and_strays_not_copied(tmp_path):
    put(tmp_path / "elsewhere", "x.dcm", patient(9))
    put(tmp_path / "raw", "a.dcm", patient(1))
    put(tmp_path / "raw", "notes.txt", b"PERSON1 notes")
    (tmp_path / "raw/link.dcm").symlink_to(tmp_path / "elsewhere/x.dcm")
    (tmp_path / "raw/linked").symlink_to(tmp_path / "elsewhere")
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 1, "quarantined": 3} and done.reasons == {"not-an-image": 1, "link": 2}
    assert sorted(file.suffix for file in (tmp_path / "out").rglob("*") if file.is_file()) == [
        ".dcm",
        ".html",
        ".jsonl",
    ]


@pytest.mark.parametrize(("src", "dst"), [("raw", "raw/out"), ("raw/sub", "raw"), ("raw", "raw"), ("missing", "out")])
def test_nested_or_missing_folders_are_refused(tmp_path, src, dst):
    put(tmp_path / "raw/sub", "a.dcm", patient(1))
    with pytest.raises(ScanpriorError) as caught:
        deidentify_folder(tmp_path / src, tmp_path / dst, key=KEY)
    assert str(tmp_path) not in str(caught.value)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(series.Path, "write_bytes", full)
    with pytest.raises(OSError):
        series.write(tmp_path / "x" / "a.dcm", b"content")
    assert list((tmp_path / "x").iterdir()) == []


def test_the_input_is_never_written(tmp_path):
    put(tmp_path / "raw", "a.dcm", patient(1))
    (tmp_path / "raw/a.dcm").chmod(0o400)
    (tmp_path / "raw").chmod(0o500)
    before = (tmp_path / "raw/a.dcm").read_bytes()
    deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    (tmp_path / "raw").chmod(0o700)
    assert (tmp_path / "raw/a.dcm").read_bytes() == before and len(list((tmp_path / "raw").iterdir())) == 1


def test_a_head_sized_series_that_is_no_volume_is_quarantined(tmp_path):
    """Twelve slices at one place could hide a face from the registration, so none of them is written."""
    for number in range(12):
        put(tmp_path / "raw", f"{number}.dcm", patient(1, PixelSpacing=[2, 2], SliceThickness=2, InstanceNumber=number))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"quarantined": 12} and done.reasons == {"face-doubt": 12} and done.faces == {"quarantined": 1}
    done = deidentify_folder(tmp_path / "raw", tmp_path / "kept", key=KEY, faces="keep")
    assert done.files == {"written": 12}


def test_a_supine_head_in_dicom_loses_its_face(scanprior_data, tmp_path):
    pytest.importorskip("pydeface")
    source = next((scanprior_data / "heads").glob("dicom_*"))
    done = deidentify_folder(source, tmp_path / "out", key=KEY, profile="research")
    assert done.faces == {"removed": 1} and done.files == {"written": 35}
    made = [dcmread(file) for file in sorted((tmp_path / "out").rglob("*.dcm"))]
    assert all(one.RecognizableVisualFeatures == "NO" for one in made)
    assert all("113102" in {item.CodeValue for item in one.DeidentificationMethodCodeSequence} for one in made)
    originals = {one.InstanceNumber: one for one in map(dcmread, source.iterdir())}
    changed = sum(int((one.pixel_array != originals[one.InstanceNumber].pixel_array).sum()) for one in made)
    assert 0.02 < changed / sum(one.pixel_array.size for one in made) < 0.3


def test_nifti_in_a_folder(tmp_path):
    (tmp_path / "raw/sub-JOHNSMITH/anat").mkdir(parents=True)
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header["descrip"] = b"JOHN SMITH"
    nib.save(image, tmp_path / "raw/sub-JOHNSMITH/anat/sub-JOHNSMITH_T1w.nii.gz")
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"written": 1}
    (file,) = (tmp_path / "out").rglob("*.nii.gz")
    assert "SMITH" not in file.as_posix().removeprefix(tmp_path.as_posix())
    assert np.array_equal(np.asarray(nib.load(file).dataobj), np.asarray(image.dataobj))


def test_commands_print_counts_and_exit_codes(tmp_path, capsys):
    new_key(tmp_path / "key")
    put(tmp_path / "raw", "a.dcm", patient(1))
    put(tmp_path / "raw", "b.dcm", b"QZXSECRET")
    common = {"key": tmp_path / "key", "profile": "basic", "options": (), "faces": "auto", "text": "auto", "pseudonyms": "keyed",
              "workers": 1, "describe": False}  # fmt: skip
    assert command(tmp_path / "raw", tmp_path / "out", **common, as_json=True, strict=False) == 0
    assert json.loads(capsys.readouterr().out)["files"] == {"quarantined": 1, "written": 1}
    assert command(tmp_path / "raw", tmp_path / "out", **common, as_json=False, strict=True) == 1
    assert verify_command(tmp_path / "raw", tmp_path / "out", key=tmp_path / "key") == 0
    put(tmp_path / "out", "leak.txt", b"see MRN000001, PERSON1")
    assert verify_command(tmp_path / "raw", tmp_path / "out", key=tmp_path / "key") == 1
    assert "leak.txt: an original id is in its content" in capsys.readouterr().out
    with pytest.raises(ScanpriorError):
        command(tmp_path / "raw", tmp_path / "out", **{**common, "faces": "blur"}, as_json=False, strict=False)
