"""What may be a head: by class as well as by Modality, over several series, and only where the header's sizes can be believed."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import CTImageStorage, VLPhotographicImageStorage
from test_deidentify import patient, put

from scanprior.privacy import face
from scanprior.privacy.heads import may_show_a_head
from scanprior.stages.deidentify import deidentify_folder

KEY = bytes(range(32))


def slices(folder, count, *, name="{}.dcm", **changes):
    """Axial slices 2.5 mm apart, each 256 x 256 mm: 0.16 litres."""
    for number in range(count):
        own = {key: value.format(number) if isinstance(value, str) else value for key, value in changes.items()}
        dataset = patient(1, PixelSpacing=[2, 2], SliceThickness=2.5, InstanceNumber=number,
                          ImagePositionPatient=[0, 0, 2.5 * number], SOPInstanceUID=f"1.2.3.9.{number}")  # fmt: skip
        for keyword, value in own.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        put(folder, name.format(number), dataset)


@pytest.mark.parametrize(
    "change", [{"SeriesInstanceUID": "1.2.3.4.{}"}, {"PatientID": "MRN{}"}, {"SeriesInstanceUID": None}]
)
def test_a_head_in_pieces_is_still_a_head(tmp_path, change):
    """Each slice by itself is too small to show a face, but they can be put together again."""
    slices(tmp_path / "raw", 12, **change)
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.files == {"quarantined": 12} and done.reasons == {"face-doubt": 12}
    assert deidentify_folder(tmp_path / "raw", tmp_path / "kept", key=KEY, faces="keep").files == {"written": 12}


def test_images_of_one_place_or_of_another_part_of_the_body_make_no_head(tmp_path):
    slices(tmp_path / "same", 12, SeriesInstanceUID="1.2.3.4.{}", ImagePositionPatient=[0, 0, 0])
    assert deidentify_folder(tmp_path / "same", tmp_path / "out", key=KEY).files == {"written": 12}
    slices(tmp_path / "knee", 12, SeriesInstanceUID="1.2.3.4.{}", BodyPartExamined="KNEE")
    assert deidentify_folder(tmp_path / "knee", tmp_path / "out2", key=KEY).files == {"written": 12}


@pytest.mark.parametrize("modality", [None, "", "ct", "OT"])
def test_the_class_tells_a_head_where_the_modality_does_not(tmp_path, modality):
    slices(tmp_path / "raw", 12, Modality=modality, ImagePositionPatient=[0, 0, 0])
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert done.faces == {"quarantined": 1} and done.reasons == {"face-doubt": 12}


def test_which_images_may_show_a_head():
    assert may_show_a_head("mr ", "") and may_show_a_head("", CTImageStorage)
    assert not may_show_a_head("US", "1.2.840.10008.5.1.4.1.1.6.1")


def test_a_photograph_is_refused_while_faces_are_looked_for(tmp_path):
    put(tmp_path / "raw", "a.dcm", patient(1, SOPClassUID=VLPhotographicImageStorage, Modality="XC"))
    done = deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY, text="keep")
    assert done.reasons == {"photograph": 1}
    assert deidentify_folder(tmp_path / "raw", tmp_path / "kept", key=KEY, text="keep", faces="keep").files == {
        "written": 1
    }


def volume(path, sides, *, unit="mm", shape=(40, 40, 40), code=2):
    image = nib.nifti1.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.diag([*sides, 1.0]))
    image.header.set_xyzt_units(unit)
    image.set_sform(np.diag([*sides, 1.0]), code)
    path.parent.mkdir(exist_ok=True)
    nib.nifti1.save(image, path)


@pytest.mark.parametrize("unit", ["mm", "meter", "micron"])
def test_sizes_count_in_millimetres_whatever_the_header_counts_in(tmp_path, monkeypatch, unit):
    factor = {"mm": 1.0, "meter": 1e-3, "micron": 1e3}[unit]
    volume(tmp_path / "raw/a.nii.gz", [4 * factor] * 3, unit=unit)
    litres = []

    def looked(array, affine, **_):
        litres.append(array.size * abs(np.linalg.det(affine[:3, :3])) / 1e6)
        return face.Look("no-head", "")

    monkeypatch.setattr(face, "look", looked)
    deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY)
    assert litres == [pytest.approx(40**3 * 64 / 1e6)]


@pytest.mark.parametrize("sides", [(0, 0, 0), (1e-6, 1e-6, 1e-6), (1, 1, 1e9), (np.nan, 1, 1)])
def test_sizes_that_no_scan_has_are_not_believed(tmp_path, sides):
    volume(tmp_path / "raw/a.nii", [4, 4, 4])
    content = bytearray((tmp_path / "raw/a.nii").read_bytes())
    content[280:328] = np.array([[sides[0], 0, 0, 0], [0, sides[1], 0, 0], [0, 0, sides[2], 0]], "<f4").tobytes()
    (tmp_path / "raw/a.nii").write_bytes(content)
    assert deidentify_folder(tmp_path / "raw", tmp_path / "out", key=KEY).reasons == {"face-doubt": 1}
    assert deidentify_folder(tmp_path / "raw", tmp_path / "kept", key=KEY, faces="keep").files == {"written": 1}
