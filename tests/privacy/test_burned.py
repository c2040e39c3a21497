"""Writing in pixels: found in every frame and rendering, blanked, looked for again; what cannot be vouched for is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from planted import carrier
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from scanprior.errors import ScanpriorError
from scanprior.privacy import burned, recognition
from scanprior.privacy.burned import outside_regions, remove_writing
from scanprior.privacy.header import Names
from scanprior.privacy.instance import clean_instance
from scanprior.privacy.recognition import Box, Seen
from scanprior.privacy.refused import Refused
from scanprior.privacy.rendering import displayed, levelled, pictures
from scanprior.privacy.rules import profile

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
needs_ocr = pytest.mark.skipif(not recognition.available(), reason="text recognition is not installed (make ocr)")


def header(photometric="MONOCHROME2", **more):
    dataset = Dataset()
    dataset.PhotometricInterpretation = photometric
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def with_text(shape=(200, 300), level=255, ground=20):
    image = Image.new("L", shape[::-1], ground)
    ImageDraw.Draw(image).text((40, 60), "DOE^JANE 1970-01-02", font=ImageFont.load_default(size=16), fill=level)
    return np.asarray(image).copy()


class Eyes:
    """A recognition that sees a box wherever white is left, and the faint lines it is tried with, unless it is blind."""

    def __init__(self, monkeypatch, *, blind=False, stubborn=False, oversized=False):
        self.blind, self.stubborn, self.oversized = blind, stubborn, oversized
        self.tried = []
        self.looks = 0
        monkeypatch.setattr(burned, "find", self)
        monkeypatch.setattr(burned, "_vouch", self.vouch)

    def __call__(self, picture):
        self.looks += 1
        grey = picture.max(axis=2) if picture.ndim == 3 else picture
        rows, columns = np.nonzero(grey > 200)
        if self.stubborn:
            return Seen([Box(0, 0, 3, 3)], False)
        if not len(rows):
            return Seen([], self.oversized)
        return Seen([Box(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)], self.oversized)

    def vouch(self, dataset, frame):
        self.tried.append(frame.shape)
        if self.blind:
            raise Refused("burned-in-text", "busy")


@pytest.fixture
def eyes(monkeypatch):
    return lambda **how: Eyes(monkeypatch, **how)


def test_writing_is_blanked_in_every_frame_and_the_rest_stays(eyes):
    eyes()
    stored = np.full((5, 40, 60), 30, dtype=np.uint8)
    stored[1, 10:14, 20:40] = stored[4, 2:5, 3:9] = 255
    made = remove_writing(header(), stored)
    assert made.frames == 2 and (made.stored[[0, 2, 3]] == 30).all() and made.stored.max() == 30
    assert stored.max() == 255  # the original is left alone


def test_clean_pictures_are_not_changed_but_vouched_for(eyes):
    seen = eyes()
    stored = np.full((3, 40, 60), 30, dtype=np.uint8)
    stored[:, 0, 0] = [1, 2, 3]
    made = remove_writing(header(), stored)
    assert made.stored is None and made.frames == 0 and len(seen.tried) == 3


def test_equal_frames_are_looked_at_once(eyes):
    seen = eyes()
    stored = np.full((50, 40, 60), 30, dtype=np.uint8)
    stored[:, 10:14, 20:40] = 255
    made = remove_writing(header(), stored)
    assert made.frames == 50 and made.stored.max() == 30 and seen.looks < 10


@pytest.mark.parametrize("how", [{"blind": True}, {"stubborn": True}, {"oversized": True}])
def test_what_cannot_be_vouched_for_is_refused(eyes, how):
    eyes(**how)
    with pytest.raises(Refused) as caught:
        remove_writing(header(), np.full((1, 40, 60), 30, dtype=np.uint8))
    assert caught.value.code == "burned-in-text"


def test_a_class_that_carries_no_writing_needs_no_vouching(eyes):
    eyes(blind=True)
    assert remove_writing(header(), np.full((1, 40, 60), 30, dtype=np.uint8), vouch=False).stored is None


def test_outside_the_ultrasound_regions_all_goes_after_writing_across_their_edge(eyes):
    eyes()
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0, region.RegionLocationMaxX1, region.RegionLocationMaxY1 = (
        10,
        12,
        49,
        29,
    )
    dataset = header(SequenceOfUltrasoundRegions=Sequence([region]))
    stored = np.full((1, 40, 60), 30, dtype=np.uint8)
    stored[0, 0, 0] = 0
    stored[0, 9:15, 20:26] = 255  # half of it inside
    made = remove_writing(dataset, stored).stored[0]
    assert made.max() == 30 and (made[12:15, 20:26] == 0).all()
    inside = np.zeros((40, 60), dtype=bool)
    inside[12:30, 10:50] = True
    assert (made[~inside] == 0).all() and (made[inside] == 30).sum() == inside.sum() - 18


@pytest.mark.parametrize("bad", [(30, 0, 10, 20), (0, 0, 900, 20), (-4, 0, 10, 20)])
def test_regions_that_make_no_sense_count_for_nothing(bad):
    region = Dataset()
    region.add_new(0x00186018, "SL", bad[0])
    region.add_new(0x0018601A, "SL", bad[1])
    region.add_new(0x0018601C, "SL", bad[2])
    region.add_new(0x0018601E, "SL", bad[3])
    assert outside_regions(header(SequenceOfUltrasoundRegions=Sequence([region])), (40, 60)) is None


def test_pictures_are_what_is_shown_what_is_stored_and_the_levelled_one():
    stored = np.zeros((40, 60), dtype=np.uint16)
    stored[:20] = 1000
    stored[5:9, 5:30] = 3000
    stored[25:29, 5:30] = 3000
    windowed = header(WindowCenter=1000, WindowWidth=100, BitsStored=12, PixelRepresentation=0)
    found = pictures(windowed, stored)
    assert len(found) == 3  # in the window both whites are one
    assert (found[2][5, 5] > found[2][0, 0]) and found[0].dtype == np.uint8
    assert (displayed(header("MONOCHROME1"), np.array([[0, 255]], dtype=np.uint8)) == [[255, 0]]).all()


def test_levelling_makes_faint_writing_plain():
    picture = with_text(level=60, ground=20)
    made = levelled(picture)
    assert np.percentile(made[picture == 60], 20) - np.median(made[picture == 20]) > 80


def test_colour_counts_by_its_brightest_channel():
    picture = np.zeros((60, 80, 3), dtype=np.uint8)
    picture[20:24, 20:60, 2] = 255
    assert levelled(picture)[22, 40] > 200


def secondary_capture(pixels):
    dataset = carrier()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    for keyword in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        if keyword in dataset:
            delattr(dataset, keyword)
    if pixels.ndim == 3:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 1
        dataset.PixelData = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).tobytes()
    else:
        dataset.PixelData = pixels.tobytes()
    return dataset


def cleaned(dataset, text="auto"):
    made = clean_instance(
        dataset, profile=profile("basic"), names=Names("P-0123456789", -400, bytes(32)), text=text, digest="0" * 32
    )
    from io import BytesIO

    from pydicom import dcmread

    return dcmread(BytesIO(made.encode()))


def test_marks_are_written_only_when_pixels_were_looked_at(eyes, monkeypatch):
    monkeypatch.setattr(recognition, "available", lambda: True)
    eyes()
    pixels = np.full((50, 64), 30, dtype=np.uint8)
    pixels[10:14, 20:40] = 255
    made = cleaned(secondary_capture(pixels))
    codes = {item.CodeValue for item in made.DeidentificationMethodCodeSequence}
    assert made.pixel_array.max() == 30 and made.BurnedInAnnotation == "NO" and "113101" in codes
    assert made.PatientIdentityRemoved == "YES"
    kept = cleaned(secondary_capture(pixels), text="keep")
    assert "BurnedInAnnotation" not in kept and kept.PatientIdentityRemoved == "NO" and kept.pixel_array.max() == 255
    assert "113101" not in {item.CodeValue for item in kept.DeidentificationMethodCodeSequence}
    assert "BurnedInAnnotation" not in cleaned(carrier())  # a slice as the scanner made it is not looked at


def test_colour_planes_come_out_sample_by_sample(eyes, monkeypatch):
    monkeypatch.setattr(recognition, "available", lambda: True)
    eyes()
    pixels = np.random.default_rng(0).integers(0, 100, (40, 50, 3)).astype(np.uint8)
    pixels[5:8, 5:20] = 255
    made = cleaned(secondary_capture(pixels))
    assert made.PlanarConfiguration == 0 and (made.pixel_array[5:8, 5:20] == 0).all()
    pixels[5:8, 5:20] = 0
    assert np.array_equal(made.pixel_array, pixels)


def test_without_recognition_risky_files_are_quarantined_and_remove_is_an_error(monkeypatch):
    monkeypatch.setattr(recognition, "available", lambda: False)
    with pytest.raises(Refused) as caught:
        cleaned(secondary_capture(with_text()))
    assert caught.value.code == "burned-in-text" and "no text recognition is installed" in caught.value.sentence
    assert "not installed" in recognition.statement()
    with pytest.raises(ScanpriorError) as error:
        recognition.require()
    assert "make ocr" in error.value.hint


def test_pixels_that_cannot_be_decoded_are_refused(monkeypatch):
    monkeypatch.setattr(recognition, "available", lambda: True)
    dataset = secondary_capture(with_text())
    dataset.BitsStored, dataset.HighBit = 7, 6
    dataset.PixelRepresentation = 3
    with pytest.raises(Refused):
        cleaned(dataset)


@needs_ocr
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_a_real_recognition_finds_and_blanks_a_name(photometric):
    picture = with_text()
    stored = picture if photometric == "MONOCHROME2" else 255 - picture
    made = remove_writing(header(photometric), stored[np.newaxis])
    assert made.frames == 1 and displayed(header(photometric), made.stored[0]).max() <= 20


@needs_ocr
def test_faint_writing_is_found_and_noise_that_would_hide_it_refused():
    rng = np.random.default_rng(0)
    made = remove_writing(header(), with_text(level=60)[np.newaxis])
    assert made.stored.max() <= 20
    noise = rng.integers(0, 255, (1, 200, 300)).astype(np.uint8)
    with pytest.raises(Refused) as caught:
        remove_writing(header(), noise)
    assert "busy" in caught.value.sentence


@needs_ocr
def test_a_body_outline_is_no_writing():
    i, j = np.indices((256, 256)) - 128
    body = ((i / 80) ** 2 + (j / 110) ** 2 < 1) * 120 + ((i / 30) ** 2 + ((np.abs(j) - 45) / 25) ** 2 < 1) * -80
    assert remove_writing(header(), np.clip(body, 0, 255).astype(np.uint8)[np.newaxis]).stored is None


@needs_ocr
@pytest.mark.parametrize("name", ["us_burned_patient_banner", "us_burned_doe_john_rle", "us_burned_cardio_palette_rle"])
def test_real_files_with_names_are_blanked_or_quarantined(scanprior_data, name):
    from pydicom import dcmread

    dataset = dcmread(scanprior_data / f"dicom/{name}.dcm")
    try:
        made = clean_instance(
            dataset, profile=profile("basic"), names=Names("P-0", -400, bytes(32)), text="auto", digest="0"
        )
    except Refused as refused:
        assert refused.code == "burned-in-text"
    else:
        shown = displayed(dataset, made.stored)
        assert not recognition.find(shown).boxes and not recognition.find(levelled(shown)).boxes
