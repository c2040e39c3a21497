"""Normalised intensities do not depend on the scanner's scale, and one wild voxel does not decide for the others."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.patches.intensity import BOUND, normalise

BODY = np.zeros((12, 12, 12), bool)
BODY[2:10, 2:10, 2:10] = True


def volume(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(BODY, rng.normal(50, 8, BODY.shape), rng.uniform(0, 1, BODY.shape))


@pytest.mark.parametrize("scale", [1.0, 112 / 70, 1.7e6 / 70])
@pytest.mark.parametrize("mode", ["zscore", "robust"])
def test_scale_and_offset_of_the_scanner_vanish(scale: float, mode: str) -> None:
    image = volume()
    first, second = normalise(image, BODY, mode), normalise(image * scale + 5 * scale, BODY, mode)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert first.dtype == np.float32


def test_zscore_is_standard_inside_the_body() -> None:
    inside = normalise(volume(), BODY, "zscore")[BODY]
    assert abs(float(np.median(inside))) < 0.1
    assert 0.9 < float(inside.std()) < 1.2


def test_one_wild_voxel_changes_little() -> None:
    image = volume()
    wild = image.copy()
    wild[5, 5, 5] = 1e7
    first, second = normalise(image, BODY, "zscore"), normalise(wild, BODY, "zscore")
    different = np.abs(first - second) > 0.05
    assert different.sum() == 1
    assert second[5, 5, 5] == BOUND


def test_robust_puts_percentiles_at_one() -> None:
    inside = normalise(volume(), BODY, "robust")[BODY]
    np.testing.assert_allclose(np.percentile(inside, (1, 99)), (-1, 1), atol=1e-3)


def test_none_keeps_the_stored_values() -> None:
    np.testing.assert_array_equal(normalise(volume(), BODY, "none"), volume().astype(np.float32))


def test_binary_shape_is_normalised_by_the_whole_volume() -> None:
    shape = BODY.astype(float)
    values = np.unique(normalise(shape, BODY, "zscore"))
    assert len(values) == 2 and values[0] < 0 < values[1]


def test_constant_volume_and_unknown_mode_are_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        normalise(np.full((4, 4, 4), 7.0), np.ones((4, 4, 4), bool), "zscore")
    with pytest.raises(ValueError, match="allowed are zscore, robust, none"):
        normalise(volume(), BODY, "minmax")
