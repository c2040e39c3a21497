"""Four verdicts that exclude each other and leave no gap; one sentence each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanprior.evidence.verdict import judge, needed_words, sentence

NUMBERS = st.floats(-2, 2) | st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from([0.5, 0.01, 1.0]))
def test_exactly_one_row_of_the_table_holds(a, b, margin):
    low, high = min(a, b), max(a, b)
    rows = {
        "helps": low > 0 and high >= margin,
        "harms": high < 0 and low <= -margin,
        "equivalent": -margin < low and high < margin,
    }
    assert sum(rows.values()) <= 1
    assert judge(low, high, margin) == next((name for name, holds in rows.items() if holds), "inconclusive")


@settings(deadline=None)
@given(NUMBERS, st.floats(0, 0.0999), st.sampled_from([0.1]))
def test_an_interval_narrower_than_the_margin_always_decides(low, width, margin):
    assert judge(low, low + width, margin) != "inconclusive"


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.floats(0.01, 1))
def test_the_verdict_is_symmetric(a, b, margin):
    mirror = {"helps": "harms", "harms": "helps"}
    low, high = min(a, b), max(a, b)
    one = judge(low, high, margin)
    assert judge(-high, -low, margin) == mirror.get(one, one)


def test_unknown_is_inconclusive():
    assert judge(float("nan"), float("nan"), 0.1) == "inconclusive"


def say(low, high, margin=0.02, **more):
    return sentence(low, high, margin, estimate=(low + high) / 2, metric="AUC", **more)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.03, 0.09, ["helps", "whole interval lies above the 0.02", "+0.060 AUC", "95% interval +0.030 to +0.090"]),
        (0.01, 0.09, ["helps", "may be smaller or larger than the 0.02"]),
        (-0.09, -0.01, ["harms", "−0.050 AUC", "may be smaller or larger"]),
        (-0.09, -0.03, ["harms", "whole interval lies below"]),
        (-0.01, 0.01, ["no difference that matters (less than 0.02)"]),
        (0.001, 0.01, ["no difference that matters", "the gain is real, but smaller than what you said matters"]),
        (-0.01, -0.001, ["the loss is real"]),
        (-0.05, 0.10, ["can't be told yet"]),
    ],
)
def test_the_sentence_says_what_the_interval_says(low, high, words):
    text = say(low, high)
    assert all(word in text for word in words), text
    assert text.count(".\n") == 0 and text.endswith(".")
    assert ("helps on" in text) == (judge(low, high, 0.02) in ("helps", "inconclusive"))


def test_the_open_verdict_names_what_would_decide_it():
    assert say(-0.05, 0.1, needed="about 140 test patients would").endswith("; about 140 test patients would.")
    nan = float("nan")
    text = sentence(nan, nan, 0.02, estimate=nan, metric="AUC", note="no scores")
    assert "can't be told" in text and "no scores" in text and "nan" not in text


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (None, "more test patients and draws would hardly decide it"),
        ((140, 5), "about 140 test patients, with these 5 draws, would probably decide it"),
        ((60, 20), "20 draws instead of 5 would probably decide it, with the same patients"),
        ((90, 20), "about 90 test patients and 20 draws instead of 5 would probably decide it"),
    ],
)
def test_what_is_needed_is_more_than_there_is(needed, words):
    assert needed_words(needed, 60, 5) == words
