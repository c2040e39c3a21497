"""The sentences: every verdict, nothing stronger than its interval."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_example import patient_content, voxel_content

from scanprior.report.content import Check, Deidentification, Difference, Multiplier
from scanprior.report.words import banners, describe_arm, multiplier, needed, opening, plain, residual_risk


@pytest.mark.parametrize(
    ("outcome", "claim", "change"),
    [
        ("helps", "Pretraining helps", "is higher than from a random start (95\u202f% interval +0.012 to +0.030"),
        ("harms", "Pretraining harms", "is lower than from a random start (95\u202f% interval −0.031 to −0.008"),
        ("equivalent", "no difference that matters", "lies within the declared margin 0.010"),
        ("inconclusive", "Inconclusive", "may be anything from −0.004 to +0.016"),
    ],
)
def test_opening_says_delta_interval_margin_patients_and_draws(outcome: str, claim: str, change: str) -> None:
    said = opening(voxel_content(outcome))
    assert claim in said.claim
    for part in (change, "Dice", "interval", "margin 0.010", "60 patients tested", "5 draws"):
        assert part in said.facts
    assert said.plain


@pytest.mark.parametrize("outcome", ["equivalent", "inconclusive"])
def test_no_side_is_named_that_the_interval_does_not_show(outcome: str) -> None:
    content = voxel_content(outcome)
    assert content.verdict is not None
    across = replace(content.verdict.primary, delta=0.004, low=-0.004)
    said = opening(replace(content, verdict=replace(content.verdict, primary=across)))
    for word in ("higher", "lower", "better", "worse"):
        assert word not in f"{said.claim} {said.facts} {said.plain}"


def test_a_bound_near_zero_is_shown_on_its_side() -> None:
    content = voxel_content("helps")
    assert content.verdict is not None
    near = replace(content.verdict.primary, low=0.0003)
    facts = opening(replace(content, verdict=replace(content.verdict, primary=near))).facts
    assert "+0.0003 to +0.0300, estimate +0.0210" in facts


def test_only_the_open_verdict_says_how_many_patients_would_decide() -> None:
    assert "about 140 tested patients, with these 5 draws, would" in opening(voxel_content("inconclusive")).facts
    assert "decide" not in opening(voxel_content("helps")).facts
    content = voxel_content("inconclusive")
    assert content.verdict is not None
    hopeless = replace(content, verdict=replace(content.verdict, patients_needed=None))
    assert "and draws would hardly decide it" in opening(hopeless).facts
    draws = replace(content.verdict, patients_needed=90, draws_needed=20)
    assert "about 90 tested patients and 20 draws instead of 5" in opening(replace(content, verdict=draws)).facts
    only = replace(draws, patients_needed=60)
    assert "20 draws instead of 5 would probably decide it, with the same patients" in needed(only)


@pytest.mark.parametrize(
    ("low", "high", "outcome", "needle", "absent"),
    [
        (0.012, 0.03, "helps", "at least as large as the margin", "may be smaller"),
        (0.004, 0.03, "helps", "may be smaller than the margin", "at least as large"),
        (0.001, 0.007, "equivalent", "real, but smaller", "Any difference"),
        (-0.004, 0.007, "equivalent", "Any difference is smaller", "real"),
        (-0.004, 0.016, "inconclusive", "a gain that matters and no difference", "a loss that matters"),
        (-0.02, 0.02, "inconclusive", "a loss that matters", "helps"),
        (-0.02, 0.004, "inconclusive", "no difference at all and a loss that matters", "a gain"),
        (float("nan"), float("nan"), "inconclusive", "Without an interval everything is possible", "gain"),
    ],
)
def test_the_plain_sentence_follows_the_interval(
    low: float, high: float, outcome: str, needle: str, absent: str
) -> None:
    content = voxel_content()
    assert content.verdict is not None
    verdict = replace(content.verdict, outcome=outcome, primary=Difference("dbn", "scratch", None, 0.0, low, high))
    sentence = plain(content.study, verdict)
    assert needle in sentence
    assert absent not in sentence


def test_a_missing_interval_is_said_with_its_cause() -> None:
    content = voxel_content("inconclusive")
    assert content.verdict is not None
    nan = float("nan")
    verdict = replace(content.verdict, primary=Difference("dbn", "scratch", None, nan, nan, nan), note="one draw only")
    facts = opening(replace(content, verdict=verdict)).facts
    assert "no interval" in facts
    assert "one draw only" in facts
    assert "nan" not in facts


@pytest.mark.parametrize("verdict", [True, False])
def test_a_failed_check_stands_where_the_verdict_would(verdict: bool) -> None:
    content = voxel_content("helps")
    failed = Check("canary", "permuted labels", False, "Permuted labels gave 0.81.")
    stopped = replace(content, checks=(*content.checks, failed), verdict=content.verdict if verdict else None)
    said = opening(stopped)
    assert (said.claim, said.labels) == ("No verdict", "")
    assert "Permuted labels gave 0.81." in said.facts
    assert "+0.012" not in said.facts
    assert "may be used" in said.plain


def test_no_primary_comparison_is_no_verdict() -> None:
    said = opening(replace(voxel_content(), verdict=None, no_verdict="The study has no arm with a prior."))
    assert said.claim == "No verdict"
    assert said.facts == "The study has no arm with a prior."


LOSS = Difference("dbn", "scratch", None, -0.01, -0.015, -0.005)


@pytest.mark.parametrize(
    ("value", "needles"),
    [
        (Multiplier(1.7, 1.2, 2.6), ("1.7×", "1.2× to 2.6×", "1.7 times as many")),
        (Multiplier(9.0, 1.4, 12.0, ("estimate", "high")), ("at least 9.0×", "to beyond what the budgets can show")),
        (
            Multiplier(0.2, 0.1, 0.6, ("estimate", "low")),
            ("at most 0.2×", "from below what the budgets can show to 0.6×"),
        ),
        (Multiplier(1.1, 0.2, 5.0, ("low", "high")), ("can’t be told", "on either side", "estimate 1.1×")),
        (Multiplier(1.4, 0.8, 2.2), ("saving of labels is not shown", "may be 1×", "0.8× to 2.2×", "estimate 1.4×")),
        (Multiplier(1.5, None, None), ("interval can’t be given",)),
        (Multiplier(None, None, None), ("can’t be read",)),
        (None, ("can’t be read",)),
    ],
)
def test_label_multiplier(value: Multiplier | None, needles: tuple[str, ...]) -> None:
    gain = Difference("dbn", "scratch", None, 0.01, 0.005, 0.015)
    sentence = multiplier(value, 0.95, gain if value is None or (value.estimate or 2) > 1 else LOSS)
    for needle in needles:
        assert needle in sentence


def test_no_saving_is_claimed_where_the_difference_is_open() -> None:
    open_ = Difference("dbn", "scratch", None, 0.01, -0.001, 0.015)
    sentence = multiplier(Multiplier(1.7, 1.2, 2.6), 0.95, open_)
    assert sentence.startswith("A saving of labels is not shown, since the difference is not")
    assert "1.2× to 2.6×" in sentence and "needs" not in sentence


def test_without_an_interval_nothing_is_said_of_what_would_decide_it() -> None:
    content = voxel_content("inconclusive")
    assert content.verdict is not None
    nan = float("nan")
    verdict = replace(
        content.verdict, primary=Difference("dbn", "scratch", None, 0.1, nan, nan), note="one draw", draws=1
    )
    facts = opening(replace(content, verdict=verdict)).facts
    assert "one draw" in facts and "decide" not in facts


def test_banners_mark_what_is_no_finding() -> None:
    study = replace(patient_content().study, quick=True, scope="transductive")
    assert [title for title, _ in banners(study)] == [
        "Simulated cohort",
        "Quick — not for claims",
        "Transductive prior",
    ]
    assert banners(voxel_content().study) == []


def test_residual_risk_speaks_of_faces_only_where_there_were_any() -> None:
    removed = " ".join(residual_risk(Deidentification("research", "auto", "auto", (), faces_removed=3)))
    assert "28 to 38 %" in removed
    assert "not the same as anonymous" in removed
    kept = " ".join(residual_risk(Deidentification("research", "keep", "auto", (), faces_kept=9)))
    assert "28 to 38 %" not in kept
    assert "In 9 scans nothing was removed" in kept


def test_arms_are_described_with_their_hidden_kind() -> None:
    assert describe_arm("dbn_bernoulli") == "the network started from the prior, Bernoulli hidden units"
    assert describe_arm("pca_logistic") == "logistic regression on principal components"
    assert describe_arm("unheard_of") == ""
