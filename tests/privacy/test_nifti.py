"""NIfTI: no text field, extension, file name or time survives; voxels, scaling and geometry do."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from scanprior.privacy.nifti import encode_nifti, read_nifti
from scanprior.privacy.refused import Refused

SECRETS = (b"QZXDESCRIP", b"QZXAUX", b"QZXINTENT", b"QZXDB", b"QZXTYPE", b"QZXEXT", b"QZXNAME", b"QZXTAIL")


def leaky(folder, *, kind=nib.Nifti1Image, dtype=np.int16):
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(dtype)
    affine = np.array([[-1.1, 0, 0, 10], [0, 1.2, 0.1, -20], [0, -0.1, 3.0, 5], [0, 0, 0, 1.0]])
    image = kind(array, affine)
    header = image.header
    header["descrip"], header["aux_file"], header["intent_name"] = SECRETS[0], SECRETS[1], SECRETS[2]
    if kind is nib.Nifti1Image:
        header["db_name"], header["data_type"] = SECRETS[3], SECRETS[4]
    for code in (2, 4, 6, 44):
        header.extensions.append(Nifti1Extension(code if code != 2 else 6, SECRETS[5] + bytes(6)))
    header.set_slope_inter(2.5, -100)
    content = image.to_bytes() + SECRETS[7]
    file = folder / "QZXNAME_scan.nii.gz"
    with gzip.GzipFile("QZXNAME.nii", "wb", fileobj=file.open("wb"), mtime=1234567890) as stream:
        stream.write(content)
    return file, array, nib.load(file)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_only_voxels_scaling_and_geometry_survive(tmp_path, kind, dtype):
    file, array, before = leaky(tmp_path, kind=kind, dtype=dtype)
    made = encode_nifti(read_nifti(file))
    inside = gzip.decompress(made)
    assert not any(secret.lower() in inside.lower() or secret.lower() in made.lower() for secret in SECRETS)
    assert made[3] == 0 and struct.unpack("<I", made[4:8])[0] == 0  # no name, no time
    assert len(inside) == 352 + array.nbytes
    out = tmp_path / "out.nii.gz"
    out.write_bytes(made)
    after = nib.load(out)
    assert np.array_equal(np.asarray(after.dataobj.get_unscaled()), array)
    assert np.allclose(after.get_fdata(), before.get_fdata()) and np.allclose(after.affine, before.affine, atol=1e-4)
    assert after.header.get_data_dtype() == np.dtype(dtype) and len(after.header.extensions) == 0


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8, np.float64])
def test_every_kind_of_number_can_be_written(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.arange(60).reshape(3, 4, 5).astype(dtype), np.eye(4), dtype=dtype), tmp_path / "a.nii")
    (tmp_path / "out.nii.gz").write_bytes(encode_nifti(read_nifti(tmp_path / "a.nii")))
    made = nib.load(tmp_path / "out.nii.gz")
    assert made.header.get_data_dtype() == np.dtype(dtype)
    assert np.array_equal(np.asarray(made.dataobj.get_unscaled()), np.arange(60).reshape(3, 4, 5))


def test_an_unknown_unit_is_no_fault(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[123] = 7  # xyzt_units
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "out.nii").write_bytes(encode_nifti(read_nifti(tmp_path / "a.nii"), compress=False))
    assert nib.load(tmp_path / "out.nii").header.get_xyzt_units()[0] == "mm"


def test_the_same_input_gives_the_same_bytes(tmp_path):
    file, _, _ = leaky(tmp_path)
    assert encode_nifti(read_nifti(file)) == encode_nifti(read_nifti(file))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b123", bytes(400), b"QZX" * 300])
def test_broken_files_are_refused_without_their_content(tmp_path, content):
    file = tmp_path / "x.nii.gz"
    file.write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_nifti(file)
    assert "QZX" not in str(caught.value)


def test_colour_is_refused(tmp_path):
    file = tmp_path / "x.nii"
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)), file)
    with pytest.raises(Refused, match="colours"):
        read_nifti(file)
