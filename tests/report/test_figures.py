"""Figures: the page's colours, text as text, nothing that changes from run to run."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread
from report_example import ARMS, differences, voxel_content

from scanprior.report.curve import label_budget_curve
from scanprior.report.forest import forest, row_labels
from scanprior.report.montage import strip
from scanprior.report.panels import panels
from scanprior.report.theme import COLOURS, role


def curve() -> str:
    content = voxel_content()
    return label_budget_curve(content.points, content.dots, arms=ARMS, metric="dice", level=0.95)


def test_figures_take_the_page_s_colours_and_fonts() -> None:
    drawn = curve()
    assert "var(--prior)" in drawn
    assert "var(--scratch)" in drawn
    assert "font-family" not in drawn
    assert not [colour for colour in COLOURS.values() if colour in drawn]


def test_text_stays_text_and_nothing_dates_it() -> None:
    drawn = curve()
    assert ">labelled patients (validation included)</text>" in drawn
    assert ">dbn_bernoulli</text>" in drawn
    assert "<metadata" not in drawn
    assert "xmlns" not in drawn
    assert drawn == curve()


def test_style_sheets_hold_every_colour_twice() -> None:
    from scanprior.report.page import STYLE

    css = STYLE.read_text()
    for name, colour in COLOURS.items():
        assert f"--{name}: {colour};" in css, "figures name their colours by what they are on paper"
        assert css.count(f"--{name}:") == 2


def test_budgets_are_spaced_by_doublings() -> None:
    import re

    drawn = curve()
    ticks = [float(x) for x in re.findall(r'xtick_\d+">\s*<g id="[^"]+">.*?<use [^>]*x="([\d.]+)"', drawn, re.DOTALL)]
    assert len(ticks) == 5
    steps = np.diff(ticks)
    assert np.allclose(steps[:3], steps[0], rtol=1e-3)
    assert steps[3] / steps[0] == pytest.approx(np.log2(40 / 16), rel=1e-3)


def test_forest_says_difference_and_interval() -> None:
    rows = differences("dbn", "scratch", 0.02, 0.01, (2, 4))
    drawn = forest(rows, margin=0.01, metric="dice", level=0.95, name="x", places=3)
    assert "+0.020  [+0.010, +0.030]" in drawn
    assert "mean over budgets +0.020 from +0.010 to +0.030" in drawn
    assert "scratch better" in drawn


def test_several_comparisons_are_named_by_their_arms() -> None:
    rows = (differences("dbn", "cnn", 0.02, 0.01, ())[0], differences("dbn", "mlp", 0.03, 0.01, ())[0])
    assert list(row_labels(rows).values()) == ["dbn − cnn", "dbn − mlp"]
    assert list(row_labels(rows[:1]).values()) == ["dbn − cnn"], (
        "one comparison beside the primary one is named as well"
    )
    assert "dbn − mlp +0.030" in forest(rows, margin=0.01, metric="auc", level=0.95, name="y", places=3)


def test_panels_keep_the_order_of_the_curves() -> None:
    content = voxel_content()
    assert [title for title, _ in panels(content.training, xlabel="epoch", name="t")] == list(ARMS[:4])
    assert panels((), xlabel="epoch", name="t") == []


def test_every_arm_of_a_study_has_its_own_colour() -> None:
    assert role("dbn_bernoulli", ARMS) == "prior"
    assert role("scratch", ARMS) == "scratch"
    others = [role(arm, ARMS) for arm in ("mlp", "cnn", "logistic", "pca_logistic")]
    assert len(set(others)) == 4


def decode(uri: str) -> np.ndarray:
    return imread(io.BytesIO(base64.b64decode(uri.split(",")[1])), format="png")


def test_montage_holds_every_pixel_and_leaves_gaps_open() -> None:
    images = np.stack([np.zeros((3, 4)), np.ones((3, 4))]).astype(np.float32)
    pixels = decode(strip(images, window=(0.0, 1.0)))
    assert pixels.shape == (3, 4 + 1 + 4, 4)
    assert (pixels[:, :4, :3] == 0).all()
    assert (pixels[:, 5:, :3] == 1).all()
    assert (pixels[:, 4:5, 3] == 0).all()


def test_montage_of_filters_has_grey_zeros_and_own_ranges() -> None:
    images = np.stack([np.array([[-1.0, 0.0, 1.0]]), np.array([[-5.0, 0.0, 5.0]])]).astype(np.float32)
    pixels = np.round(255 * decode(strip(images, signed=True))[0, :, 0])
    assert pixels[[0, 1, 2]].tolist() == [0, 128, 255]
    assert pixels[[4, 5, 6]].tolist() == [0, 128, 255]


def test_montage_survives_what_is_not_finite_or_constant() -> None:
    images = np.full((2, 3, 3), np.nan, np.float32)
    assert (decode(strip(images))[..., 3] == 0).all()
    assert decode(strip(np.zeros((1, 2, 2), np.float32))).shape == (2, 2, 4)
