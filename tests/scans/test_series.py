"""The eighteen trap series of facts/deid.md section 8, and more: exact, or refused with the right reason."""

import itertools

import numpy as np
import pytest

from scanprior.scans.refused import Refused
from scanprior.scans.series import assemble
from tests.scans.synthetic import AXIAL, encode, series, slice_at

ANGLE = np.radians(20)
OBLIQUE = ((np.cos(ANGLE), 0.0, -np.sin(ANGLE)), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


def error_of(stack) -> float:
    """Largest difference between a voxel's value and its world position's code."""
    array, affine = stack.volume.array, stack.volume.affine
    index = np.indices(array.shape).reshape(3, -1)
    x, y, z = affine[:3, :3] @ index + affine[:3, 3:]
    return float(np.abs(array.reshape(-1) - encode(x, y, z)).max())


GOOD = {
    "clean": series(),
    "oblique": series(axes=OBLIQUE),
    "sagittal": series(axes=SAGITTAL),
    "anisotropic": series(spacing=(0.9, 1.4), step=5.0),
    "overlap": series(step=1.5),
    "z descending": series()[::-1],
    "per-slice slope": [
        d for k in range(8) for d in [slice_at((-20, 15, -7 + 3 * k), slope=0.5 + 0.01 * k, intercept=3.0 * k)]
    ],
    "unsigned -1024": series(signed=False, intercept=-1024.0),
    "instance number shuffled": [slice_at((-20, 15, -7 + 3 * k), number=(k * 5) % 8) for k in range(8)],
    "jitter 0.05 mm": series(20, shift=lambda k: np.array([0, 0, 0.05 * (-1) ** k])),
    "single slice": series(1),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("shuffle", [False, True])
def test_good_series_are_exact(name, shuffle):
    datasets = list(GOOD[name])
    if shuffle:
        datasets = [datasets[index] for index in np.random.default_rng(1).permutation(len(datasets))]
    stack = assemble(datasets)
    assert stack.volume.shape == (datasets[0].Columns, datasets[0].Rows, len(datasets))
    assert error_of(stack) <= (1.01 if "jitter" not in name else 1.2)
    middle = len(datasets) // 2
    place = datasets[stack.order[middle]].ImagePositionPatient
    assert np.allclose((stack.volume.affine @ [0, 0, middle, 1])[:3] * [-1, -1, 1], place, atol=0.06)


@pytest.mark.parametrize("seed", range(40))
def test_any_jitter_within_a_twentieth_of_a_millimetre_passes(seed):
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, 24)
    assert error_of(assemble(series(24, step=1.0, shift=lambda k: np.array([0, 0, noise[k]])))) < 1.5


def test_wider_jitter_is_refused():
    with pytest.raises(Refused, match="uneven-spacing"):
        assemble(series(20, shift=lambda k: np.array([0, 0, 0.2 * (-1) ** k])))


CLEAN = series(12)
BAD = {
    "missing": ("missing-slice", CLEAN[:5] + CLEAN[6:]),
    "two neighbours missing": ("missing-slice", CLEAN[:5] + CLEAN[7:]),
    "doubled": ("doubled-slice", [*CLEAN, CLEAN[4]]),
    "3 then 6 mm": ("uneven-spacing", CLEAN[:6] + CLEAN[7::2]),
    "gantry tilt": ("gantry-tilt", series(12, shift=lambda k: np.array([0, 3 * k * np.tan(np.radians(15)), 0]))),
    "slight tilt": ("gantry-tilt", series(12, shift=lambda k: np.array([0, 0.02 * k, 0]))),
    "localizer": ("mixed-orientation", [*CLEAN, slice_at((0, 0, 0), axes=SAGITTAL)]),
    "localizer of another size": ("mixed-orientation", [*CLEAN, slice_at((0, 0, 0), axes=SAGITTAL, size=(30, 30))]),
    "two phases": ("two-phases", CLEAN + series(12)),
    "other rows": ("mixed-size", [*CLEAN[:-1], slice_at((-20, 15, 26), size=(14, 10))]),
    "other spacing": ("mixed-size", [*CLEAN[:-1], slice_at((-20, 15, 26), spacing=(1.0, 2.0))]),
    "colour": ("colour", [slice_at((0, 0, 0), SamplesPerPixel=3, PhotometricInterpretation="RGB")]),
    "palette": ("colour", [slice_at((0, 0, 0), PhotometricInterpretation="PALETTE COLOR")]),
    "secondary capture": ("secondary-capture", [slice_at((0, 0, 0), sop_class="1.2.840.10008.5.1.4.1.1.7")]),
    "multi-frame": ("multi-frame", [slice_at((0, 0, 0), NumberOfFrames=20)]),
    "no position": ("no-geometry", [*CLEAN[:-1], slice_at((-20, 15, 26), ImagePositionPatient=None)]),
    "skewed axes": ("no-geometry", series(8, axes=((1, 0, 0), (0.1, 0.995, 0)))),
    "single slice without thickness": ("no-geometry", [slice_at((0, 0, 0), SliceThickness=None)]),
    "truncated": ("truncated", [*CLEAN[:-1], slice_at((-20, 15, 26), PixelData=b"\x01\x02" * 50)]),
    "slope 0": ("bad-rescale", [*CLEAN[:-1], slice_at((-20, 15, 26), RescaleSlope="0")]),
    "left-justified pixels": ("undecodable", [slice_at((0, 0, 0), BitsStored=12, HighBit=15)]),
    "nothing": ("no-slices", []),
}


@pytest.mark.parametrize("name", BAD)
def test_doubtful_series_are_refused_with_the_reason(name):
    reason, datasets = BAD[name]
    with pytest.raises(Refused) as caught:
        assemble(datasets)
    assert caught.value.reason == reason
    assert len(caught.value.sentence.split()) > 4


def test_every_single_missing_slice_is_noticed():
    for k in range(1, 11):
        with pytest.raises(Refused, match="missing-slice"):
            assemble(CLEAN[:k] + CLEAN[k + 1 :])


def test_a_missing_slice_hides_behind_no_jitter():
    noise = np.random.default_rng(3).uniform(-0.05, 0.05, 12)
    jittered = series(12, step=1.0, shift=lambda k: np.array([0, 0, noise[k]]))
    with pytest.raises(Refused, match="missing-slice"):
        assemble(jittered[:5] + jittered[6:])


def test_thin_slices_get_no_tolerance_wider_than_a_tenth_of_a_slice():
    with pytest.raises(Refused):
        assemble(series(12, step=0.1, shift=lambda k: np.array([0, 0, 0.04 * (k == 6)])))


def test_whole_numbers_stay_whole_and_fractions_become_float32():
    assert assemble(series()).volume.array.dtype == np.int16
    assert assemble(series(slope=0.25)).volume.array.dtype == np.float32
    assert (
        assemble(series(intercept=70000.0, value=lambda x, y, z: 70000 + encode(x, y, z))).volume.array.dtype
        == np.int32
    )


def test_bits_above_bits_stored_never_reach_the_volume():
    dataset = slice_at((0, 0, 0), signed=False, BitsStored=12, HighBit=11)
    pixels = np.frombuffer(dataset.PixelData, "<u2")
    dataset.PixelData = (pixels | 0xF000).astype("<u2").tobytes()
    assert np.array_equal(assemble([dataset]).volume.array[:, :, 0].T.ravel(), pixels)


def test_big_endian_and_signed_twelve_bits():
    from pydicom.uid import ExplicitVRBigEndian

    dataset = slice_at((0, 0, 0), BitsStored=12, HighBit=11, value=lambda x, y, z: x * 0 - 5)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    assert set(np.unique(assemble([dataset]).volume.array)) == {-5}


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless", "JPEGLSLossless"])
def test_compressed_series_equal_the_plain_one(syntax):
    import pydicom.uid

    plain = series(3, intercept=-1024.0, signed=False, size=(64, 48))
    packed = series(3, intercept=-1024.0, signed=False, size=(64, 48))
    for dataset in packed:
        dataset.compress(getattr(pydicom.uid, syntax), generate_instance_uid=False)
    assert np.array_equal(assemble(plain).volume.array, assemble(packed).volume.array)
    packed[1].PixelData = packed[1].PixelData[:60]
    with pytest.raises(Refused, match=r"undecodable|truncated"):
        assemble(packed)


def test_all_right_angled_orientations():
    unit = np.eye(3)
    for a, b in itertools.permutations(range(3), 2):
        for sa, sb in itertools.product((1, -1), repeat=2):
            assert error_of(assemble(series(axes=(tuple(sa * unit[a]), tuple(sb * unit[b]))))) <= 1.01


def test_supine_head_of_a_real_scanner(scanprior_data):
    import pydicom

    files = sorted((scanprior_data / "heads" / "dicom_face_supine_t1_2d_5mm").glob("*.dcm"))
    stack = assemble([pydicom.dcmread(file) for file in files])
    assert stack.volume.shape[2] == 35
    assert AXIAL and 4 < stack.volume.spacing[2] < 7
