"""Discovery: one source per series or volume, its facts, its digest, or its problem."""

import nibabel as nib
import numpy as np
import pytest

from scanprior.scans.discover import discover
from scanprior.scans.headers import age_in_years
from scanprior.scans.nifti import write_nifti
from scanprior.scans.series import assemble
from scanprior.scans.volume import Volume
from tests.scans.synthetic import save, series, slice_at


def write(root, datasets, folder="s"):
    return [save(dataset, root / folder / f"IM{k:03}") for k, dataset in enumerate(datasets)]


def only(found):
    assert len(found.sources) == 1
    return found.sources[0]


def problem(found):
    source = only(found)
    assert source.digest is None
    assert source.problem is not None
    return source.problem.reason


def test_the_facts_of_a_series(tmp_path):
    facts = {"PatientSex": "F", "PatientAge": "045Y", "StudyDate": "20200131", "SeriesDescription": "T1 ax",
             "Modality": "MR", "Manufacturer": "ACME", "ManufacturerModelName": "X1", "StationName": "R2"}  # fmt: skip
    write(tmp_path, series(6, patient="MRN1", **facts))
    source = only(discover(tmp_path))
    assert (source.kind, source.patient_id, source.sex, source.age) == ("dicom", "MRN1", "F", 45)
    assert (source.study_date, source.description, source.modality, source.scanner) == (
        "20200131",
        "T1 ax",
        "MR",
        "ACME\\X1\\R2",
    )
    assert source.shape == (10, 12, 6)
    assert source.names == ("1.2.3", "s", "MRN1")
    assert source.problem is None
    assert "MRN1" not in repr(source)


def test_series_of_one_folder_are_told_apart_and_of_many_folders_joined(tmp_path):
    one, two = series(6, series="1.1"), series(6, series="1.2")
    for k, dataset in enumerate([*one, *two]):
        save(dataset, tmp_path / f"f{k % 3}" / f"x{k}")
    assert [len(source.files) for source in discover(tmp_path).sources] == [6, 6]


def test_the_digest_is_that_of_the_image_not_of_the_file(tmp_path):
    write(tmp_path / "a", series(6))
    plain = only(discover(tmp_path / "a")).digest
    packed = series(6)
    for dataset in packed:
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    write(tmp_path / "b", packed[::-1])
    assert only(discover(tmp_path / "b")).digest == plain
    volume = assemble(series(6)).volume
    flipped = Volume(
        volume.array[:, ::-1], volume.affine @ np.array([[1, 0, 0, 0], [0, -1, 0, 11], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    )
    (tmp_path / "c").mkdir()
    write_nifti(flipped, tmp_path / "c" / "a.nii.gz")
    assert only(discover(tmp_path / "c")).digest == plain


def test_cut_files_wherever_they_are_cut(tmp_path):
    files = write(tmp_path, series(6))
    content = files[2].read_bytes()
    for size in (len(content) - 10, len(content) // 2, 400):
        files[2].write_bytes(content[:size])
        found = discover(tmp_path)
        reasons = {item.reason for item in found.rejected} | {s.problem.reason for s in found.sources if s.problem}
        assert reasons <= {"truncated", "missing-slice"}
        assert reasons
    packed = series(6)
    for dataset in packed:
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    files = write(tmp_path / "rle", packed)
    files[3].write_bytes(files[3].read_bytes()[:-60])
    assert problem(discover(tmp_path / "rle")) == "truncated"


def test_missing_slices_secondary_captures_scouts_and_constant_series_have_their_reason(tmp_path):
    clean = series(8)
    write(tmp_path / "a", clean[:3] + clean[4:])
    assert problem(discover(tmp_path / "a")) == "missing-slice"
    write(tmp_path / "b", [slice_at((0, 0, 0), sop_class="1.2.840.10008.5.1.4.1.1.7")])
    assert problem(discover(tmp_path / "b")) == "secondary-capture"
    write(tmp_path / "c", series(1))
    assert problem(discover(tmp_path / "c")) == "too-few-slices"
    write(tmp_path / "d", series(6, value=lambda x, y, z: x * 0 + 7))
    assert problem(discover(tmp_path / "d")) == "constant"


def test_files_sent_twice_are_dropped_once(tmp_path):
    datasets = series(6)
    write(tmp_path, datasets, "first")
    write(tmp_path, datasets, "second")
    found = discover(tmp_path)
    assert only(found).problem is None
    assert [item.reason for item in found.rejected] == ["duplicate-file"] * 6


def test_objects_without_pixels_are_rejected(tmp_path):
    report = slice_at((0, 0, 0), sop_class="1.2.840.10008.5.1.4.1.1.88.11", Rows=None, Columns=None)
    del report.PixelData
    write(tmp_path, [report])
    found = discover(tmp_path)
    assert not found.sources
    assert [item.reason for item in found.rejected] == ["not-an-image"]


def test_headers_alone_give_grid_and_problem_without_a_digest(tmp_path):
    write(tmp_path, series(6))
    (tmp_path / "n").mkdir()
    write_nifti(assemble(series(6)).volume, tmp_path / "n" / "a.nii.gz")
    for full, quick in zip(discover(tmp_path).sources, discover(tmp_path, voxels=False).sources, strict=True):
        assert quick.digest is None
        assert full.shape == quick.shape
        assert full.affine == pytest.approx(quick.affine)


def test_pixels_of_unwanted_series_are_not_read(tmp_path):
    write(tmp_path, series(6, SeriesDescription="T1"), "a")
    write(tmp_path, series(6, SeriesDescription="T2", series="1.9"), "b")
    found = discover(tmp_path, wanted=lambda source: source.description == "T1")
    assert {source.description: source.digest is None for source in found.sources} == {"T1": False, "T2": True}


def test_two_processes_find_what_one_finds(tmp_path):
    write(tmp_path, series(6), "good")
    write(tmp_path, series(6, series="1.5")[:3] + series(6, series="1.5")[4:], "missing")
    flat = series(6, series="1.6")
    for dataset in flat:
        dataset.PixelData = bytes(len(dataset.PixelData))
    write(tmp_path, flat, "flat")
    nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)).to_filename(tmp_path / "v.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "v.nii.gz").read_bytes()[:-20])

    def plain(found):
        return [(*one.key, one.shape, one.digest, str(one.problem)) for one in found.sources], found.rejected

    alone = plain(discover(tmp_path))
    assert plain(discover(tmp_path, workers=2)) == alone
    assert len({row[-1] for row in alone[0]}) == 4  # no problem, and three kinds of it


def test_progress_reaches_its_total(tmp_path):
    write(tmp_path, series(6))
    seen = []
    discover(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)


def test_bids_facts(tmp_path):
    folder = tmp_path / "sub-01" / "ses-1" / "anat"
    folder.mkdir(parents=True)
    nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)).to_filename(
        folder / "sub-01_ses-1_T1w.nii.gz"
    )
    (folder / "sub-01_ses-1_T1w.json").write_text('{"Manufacturer": "ACME", "SeriesDescription": "mprage"}')
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t93.4\tfemale\n")
    (tmp_path / "sub-01" / "ses-1" / "sub-01_ses-1_scans.tsv").write_text(
        "filename\tacq_time\nanat/sub-01_ses-1_T1w.nii.gz\t1921-05-04T10:00:00\n"
    )
    source = only(discover(tmp_path))
    assert (source.patient_id, source.age, source.sex, source.modality) == ("sub-01", 93, "F", "MR")
    assert source.study_date == "19210504"
    assert "T1w" in source.description
    assert "mprage" in source.description
    assert source.scanner == "ACME\\\\"


def test_nothing_of_a_header_reaches_the_terminal(tmp_path, capfd, caplog):
    dataset = slice_at((0, 0, 0), patient="PLANTED")
    dataset.PatientBirthDate = "19800101"
    files = write(tmp_path, [dataset])
    content = files[0].read_bytes().replace(b"19800101", b"PLANTEDX").replace(b"1.2.3.9", b"PLANTED")
    files[0].write_bytes(content)
    discover(tmp_path)
    text = "".join(capfd.readouterr()) + caplog.text
    assert "PLANTED" not in text


@pytest.mark.parametrize(
    ("age", "birth", "day", "years"),
    [("045Y", "", "", 45), ("018M", "", "", 1), ("010D", "", "", 0), ("", "19500615", "20200614", 69),
     ("", "19500615", "20200615", 70),
     ("abc", "x", "y", None), ("", "20300101", "20200101", None)],
)  # fmt: skip
def test_age(age, birth, day, years):
    assert age_in_years(age, birth, day) == years


def test_real_files_are_all_sources_or_rejected(scanprior_data):
    folder = scanprior_data / "dicom"
    found = discover(folder)
    files = [path for source in found.sources for path in source.files] + [item.path for item in found.rejected]
    assert sorted(p.name for p in files) == sorted(p.name for p in folder.glob("*.dcm"))


def test_every_hippocampus_scan_is_a_volume_of_its_own(scanprior_data):
    sources = discover(scanprior_data / "hippocampus" / "images").sources
    assert len(sources) == len({source.digest for source in sources}) == 260
