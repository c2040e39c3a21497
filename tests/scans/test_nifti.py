"""NIfTI reading refuses what can't be placed; writing keeps nothing but voxels and affine."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from scanprior.scans.nifti import is_nifti, read_nifti, stem, write_nifti
from scanprior.scans.refused import Refused
from scanprior.scans.volume import Volume

AFFINE = np.array([[-1.0, 0, 0, 9], [0, 2, 0, -4], [0, 0, 3, 2], [0, 0, 0, 1]])
ARRAY = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def write(path, array=ARRAY, affine=AFFINE, *, sform=1, qform=1, unit="mm", change=None, kind=nib.Nifti1Image):
    image = kind(array, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units(unit)
    if change:
        change(image)
    image.to_filename(path)
    return path


def reason(path) -> str:
    with pytest.raises(Refused) as caught:
        read_nifti(path)
    assert str(path) not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_what_is_written_is_read(tmp_path, name, kind):
    volume = read_nifti(write(tmp_path / name, kind=kind))
    assert np.array_equal(volume.array, ARRAY)
    assert volume.array.dtype == np.int16
    assert np.allclose(volume.affine, AFFINE)


@pytest.mark.parametrize(("sform", "qform", "ok"), [(1, 0, True), (0, 1, True), (2, 1, True), (0, 0, False)])
def test_form_codes(tmp_path, sform, qform, ok):
    path = write(tmp_path / "a.nii", sform=sform, qform=qform)
    if ok:
        assert np.allclose(read_nifti(path).affine, AFFINE)
    else:
        assert reason(path) == "no-geometry"


def test_forms_that_disagree_about_left_and_right_are_refused(tmp_path):
    path = write(tmp_path / "a.nii", change=lambda image: image.set_qform(AFFINE @ np.diag([-1.0, 1, 1, 1]), 1))
    assert reason(path) == "conflicting-geometry"


@pytest.mark.parametrize(("stretch", "ok"), [(1.001, True), (1.05, False)])
def test_forms_that_disagree_about_the_size_of_the_voxels_are_refused(tmp_path, stretch, ok):
    path = write(tmp_path / "a.nii", change=lambda image: image.set_qform(AFFINE @ np.diag([1, stretch, 1, 1]), 1))
    if ok:
        assert np.allclose(read_nifti(path).affine, AFFINE)
    else:
        assert reason(path) == "conflicting-geometry"


def test_metres_become_millimetres(tmp_path):
    assert np.allclose(read_nifti(write(tmp_path / "a.nii", unit="meter")).spacing, (1000, 2000, 3000))


def test_slope_nan_means_not_scaled_and_a_slope_scales(tmp_path):
    path = write(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[112:116] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    assert np.array_equal(read_nifti(path).array, ARRAY)
    content[112:120] = np.array([0.5, 2], "<f4").tobytes()
    path.write_bytes(content)
    volume = read_nifti(path)
    assert np.allclose(volume.array, ARRAY * 0.5 + 2)
    assert volume.array.dtype == np.float32


def test_refusals(tmp_path):
    assert reason(write(tmp_path / "a.nii", np.zeros((3, 4, 5, 2), np.int16))) == "four-dimensional"
    assert reason(write(tmp_path / "b.nii", np.full((3, 4, 5), np.nan, np.float32))) == "non-finite-voxels"
    assert reason(write(tmp_path / "c.nii", np.zeros((3, 4, 5), np.complex64))) == "colour"
    content = bytearray(write(tmp_path / "d.nii").read_bytes())
    content[280:284] = np.float32(np.nan).tobytes()
    (tmp_path / "d.nii").write_bytes(content)
    assert reason(tmp_path / "d.nii") == "no-geometry"
    content = bytearray(write(tmp_path / "g.nii").read_bytes())
    content[108:112] = np.float32(0).tobytes()
    (tmp_path / "g.nii").write_bytes(content)
    assert reason(tmp_path / "g.nii") == "undecodable"
    (tmp_path / "e.nii").write_bytes(b"not an image at all")
    assert reason(tmp_path / "e.nii") == "undecodable"
    (tmp_path / "f.nii.gz").write_bytes(b"")
    assert reason(tmp_path / "f.nii.gz") == "undecodable"
    assert reason(tmp_path / "missing.nii") == "unreadable"


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path):
    content = write(
        tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16)
    ).read_bytes()
    plain = gzip.decompress(content)
    for part in (0.2, 0.5, 0.9, 0.99):
        (tmp_path / "b.nii.gz").write_bytes(content[: int(len(content) * part)])
        assert reason(tmp_path / "b.nii.gz") == "truncated"
        (tmp_path / "b.nii").write_bytes(plain[: int(len(plain) * part)])
        assert reason(tmp_path / "b.nii") in ("truncated", "undecodable")


def test_a_last_axis_of_one_is_no_fourth_dimension(tmp_path):
    assert read_nifti(write(tmp_path / "a.nii", ARRAY[..., None])).shape == (3, 4, 5)


def test_the_written_header_holds_nothing_of_the_old_one_and_the_bytes_repeat(tmp_path):
    def label(image):
        image.header["descrip"] = b"Doe^John"
        image.header["db_name"] = b"MRN123"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^John"))

    volume = read_nifti(write(tmp_path / "a.nii.gz", change=label))
    write_nifti(volume, tmp_path / "one.nii.gz")
    write_nifti(volume, tmp_path / "two.nii.gz")
    content = (tmp_path / "one.nii.gz").read_bytes()
    assert content == (tmp_path / "two.nii.gz").read_bytes()
    assert b"one" not in content
    assert b"Doe" not in gzip.decompress(content)
    assert b"MRN" not in gzip.decompress(content)
    again = read_nifti(tmp_path / "one.nii.gz")
    assert np.array_equal(again.array, ARRAY)
    assert np.allclose(again.affine, AFFINE)


def test_bool_and_float64_and_sheared_affines_are_written(tmp_path):
    write_nifti(Volume(ARRAY > 30, AFFINE), tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").array.dtype == np.uint8
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.7
    write_nifti(Volume(ARRAY / 7, sheared), tmp_path / "b.nii")
    assert np.allclose(read_nifti(tmp_path / "b.nii").affine, sheared)
    assert np.allclose(read_nifti(tmp_path / "b.nii").array, ARRAY / 7)


def test_names():
    from pathlib import Path

    assert stem(Path("x/a.b.nii.gz")) == "a.b"
    assert stem(Path("x/a.NII")) == "a"
    assert is_nifti(Path("a.Nii.Gz"))
    assert not is_nifti(Path("a.gz"))


def test_real_volumes(scanprior_data):
    for path in [*sorted((scanprior_data / "hippocampus" / "images").glob("*.nii.gz"))[:5],
                 *(scanprior_data / "study2" / "ds002748_bids").rglob("*.nii.gz"),
                 *(scanprior_data / "heads").glob("*.nii.gz")]:  # fmt: skip
        assert len(read_nifti(path).shape) == 3


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_numbers_of_64_bits_can_be_written(tmp_path, dtype):
    write_nifti(Volume(np.arange(24, dtype=dtype).reshape(2, 3, 4), np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj), np.arange(24).reshape(2, 3, 4))
