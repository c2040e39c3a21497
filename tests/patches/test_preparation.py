"""A scan, its label map and its mask of removed voxels arrive on one grid, or the scan is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from scanprior.patches.preparation import Refused, prepare
from scanprior.patches.resampling import Grid

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def scan() -> tuple[Grid, Grid, Grid]:
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (14, 16, 10))
    labels = np.zeros(image.shape)
    labels[3:6, 4:8, 5:8] = 2
    image[labels > 0] += 200
    removed = np.zeros(image.shape)
    removed[12:, :, :] = 1
    return Grid(image, LPS), Grid(labels, LPS), Grid(removed, LPS)


def run(
    image: Grid,
    labels: Grid | None = None,
    removed: Grid | None = None,
    spacing: tuple[float, float, float] = (1, 1, 1),
):
    return prepare(image, labels, removed, spacing=spacing, intensity="zscore")


def test_labels_and_removed_voxels_follow_the_scan() -> None:
    prepared = run(*scan())
    assert (
        prepared.image.shape
        == (14, 16, 20)
        == prepared.labels.shape
        == prepared.allowed.shape
        == prepared.removed.shape
    )
    assert prepared.image[prepared.labels == 2].mean() > prepared.image[prepared.labels == 0].mean() + 2
    assert prepared.removed[:2].all() and not prepared.removed[2:].any()  # the axis was flipped into RAS
    assert not (prepared.allowed & prepared.removed).any()
    assert prepared.labels.dtype == np.uint8 and prepared.image.dtype == np.float32


def test_without_removed_voxels_there_is_no_mask() -> None:
    image, labels, removed = scan()
    assert run(image, labels, Grid(removed.array * 0, LPS)).removed is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i, m: (Grid(i.array * 0 + 3, LPS), m), "constant-volume"),
        (lambda i, m: (Grid(i.array[:, :, 0], LPS), m), "not-3d"),
        (lambda i, m: (Grid(np.where(i.array > 120, np.nan, i.array), LPS), m), "not-finite"),
        (lambda i, m: (i, Grid(m.array[:-1], LPS)), "shape-mismatch"),
        (lambda i, m: (i, Grid(m.array, LPS + np.eye(4))), "grid-mismatch"),
        (lambda i, m: (i, Grid(m.array + 0.5, LPS)), "label-values"),
        (lambda i, m: (i, Grid(m.array * 1000, LPS)), "label-values"),
        (lambda i, m: (Grid(i.array, np.diag([1.0, 0, 1, 1])), None), "singular-affine"),
    ],
)
def test_what_cannot_be_prepared_is_refused_with_its_reason(change, reason: str) -> None:
    image, labels, _ = scan()
    with pytest.raises(Refused) as refused:
        run(*change(image, labels))
    assert refused.value.reason == reason and refused.value.sentence


def test_scan_of_which_defacing_left_nothing_is_refused() -> None:
    image, labels, removed = scan()
    with pytest.raises(Refused) as refused:
        run(image, labels, Grid(np.ones_like(removed.array), LPS))
    assert refused.value.reason == "empty-mask"


def test_real_scans_keep_their_labels_inside_the_body(scanprior_data) -> None:
    import nibabel

    for number in ("001", "126", "251"):
        files = [next((scanprior_data / "hippocampus" / kind).glob(f"*{number}.nii*")) for kind in ("images", "labels")]
        image, labels = (nibabel.load(file) for file in files)
        prepared = run(*(Grid(np.asarray(one.dataobj, dtype=np.float32), one.affine) for one in (image, labels)))
        assert prepared.image.shape == image.shape  # 1 mm RAS already
        assert abs(float(np.median(prepared.image))) < 0.5
        assert prepared.allowed[prepared.labels > 0].mean() > 0.995
