"""Number formats."""

from __future__ import annotations

import pytest

from scanprior.report import numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.signed(0.0214), "+0.021"),
        (numbers.signed(-0.0214), "−0.021"),
        (numbers.signed(-0.0001), "0.000"),
        (numbers.signed(float("nan")), "–"),
        (numbers.score(-0.5), "−0.500"),
        (numbers.score(None), "–"),
        (numbers.count(42000), "42\u202f000"),
        (numbers.count(None), "–"),
        (numbers.times(1.74), "1.7×"),
        (numbers.times(12.3), "12×"),
        (numbers.probability(0.0), "< 0.001"),
        (numbers.probability(0.0312), "0.031"),
        (numbers.probability(None), "–"),
        (numbers.duration(0.42), "0.4\u202fs"),
        (numbers.duration(59.7), "1\u202fmin 00\u202fs"),
        (numbers.duration(200), "3\u202fmin 20\u202fs"),
        (numbers.duration(7500), "2\u202fh 05\u202fmin"),
        (numbers.megabytes(812.4), "812\u202fMB"),
        (numbers.megabytes(0.24), "0.2\u202fMB"),
        (numbers.megabytes(3400), "3.4\u202fGB"),
        (numbers.percent(0.95), "95\u202f%"),
        (numbers.listed(("a", "b", "c")), "a, b and c"),
        (numbers.listed(()), "none"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(("margin", "places"), [(0.02, 3), (0.01, 3), (0.001, 4), (0.5, 3), (2.0, 3)])
def test_decimals_show_the_margin_with_a_digit_to_spare(margin: float, places: int) -> None:
    assert numbers.decimals(margin) == places


@pytest.mark.parametrize(
    ("margin", "bounds", "places"),
    [(0.01, (), 3), (0.0005, (), 5), (0.01, (0.0003, 0.03), 4), (0.01, (0.002, 0.0101), 4), (0.01, (-0.00004, 0.0), 5),
     (0.01, (float("nan"), 0.5), 3), (0.01, (1e-9, 0.5), 6)],
)  # fmt: skip
def test_decimals_show_on_which_side_a_bound_lies(margin: float, bounds: tuple[float, ...], places: int) -> None:
    assert numbers.decimals(margin, *bounds) == places
