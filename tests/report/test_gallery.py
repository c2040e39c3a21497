"""Pictures of failures: outlines in the class's colour, the scan below untouched."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from scanprior.report.annex import Failure
from scanprior.report.gallery import OUTLINES, gallery


def pixels(uri: str) -> np.ndarray:
    return imread(io.BytesIO(base64.b64decode(uri.split(",")[1])))[..., :3]


def test_truth_and_prediction_are_outlined_on_the_scan() -> None:
    rng = np.random.default_rng(0)
    truth, nothing = np.zeros((12, 15), np.uint8), np.zeros((12, 15), np.uint8)
    truth[2:6, 3:9], truth[8:11, 10:14] = 1, 2
    image = rng.normal(size=(12, 15)).astype(np.float32)
    (shown,) = gallery((Failure("P-1", "dbn 0.1", image, (("truth", truth), ("dbn", nothing))),))
    assert [name for name, _ in shown.pictures] == ["scan", "truth", "dbn"]
    scan, outlined, plain = (pixels(uri) for _, uri in shown.pictures)
    assert scan.shape == (120, 150, 3)
    assert (plain == scan).all(), "nothing predicted, nothing drawn"
    assert (scan[..., 0] == scan[..., 1]).all()
    for number, corner, middle in ((0, (20, 30), (40, 60)), (1, (80, 100), (95, 120))):
        np.testing.assert_allclose(outlined[corner], to_rgb(OUTLINES[number]), atol=1 / 255)
        assert (outlined[middle] == scan[middle]).all(), "only the rim is drawn"
    assert (outlined[:18] == scan[:18]).all()


def test_voxels_without_a_value_are_black_and_a_flat_scan_does_not_break() -> None:
    image = np.full((5, 5), np.nan, np.float32)
    (shown,) = gallery((Failure("P-1", "", image, ()),))
    assert (pixels(shown.pictures[0][1]) == 0).all()
