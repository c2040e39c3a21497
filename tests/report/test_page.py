"""The page: what it holds, that it escapes, that it is the same bytes, that it needs nothing from anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_example import patient_content, voxel_content

import scanprior
from scanprior.report.content import Check, Difference, Montage, Point, Quarantined, ReportContent, Study
from scanprior.report.page import render

EVIL = "<script>alert('x')</script>&\"$a_b$"


class Reader(HTMLParser):
    """Tags with their attributes, ids, and what is not closed."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def light(content: ReportContent) -> ReportContent:
    """Without the panels, which take most of the time and are not looked at here."""
    return replace(content, training=(), pretraining=())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    return render(voxel_content())


def test_everything_is_there(page: str) -> None:
    for needle in (
        "Pretraining helps", "+0.012", "1.7×", "disjoint", "dbn_bernoulli", "0.676 to 0.709", "Dice per class",
        "posterior", "P-0000000003", "missing-slice", "F-0a1b2c3d4e", "not the same as anonymous",
        "First-layer filters", "Hidden activations", "Reconstructions", "reconstruction error", "validation patients by epoch",
        "10\u202fmin 30\u202fs", "1.0\u202fGB", "instruction set", "3f" * 32, "scanprior run hippocampus.yaml",
        "Hinton", "2.13.0", "permuted labels", "What was predicted there", "P-0000000001, truth", "12 W per busy core",
        "2.3\u202fWh", "TRIPOD+AI", "To be stated by the authors", "four of five such studies",
        "At the worst of 2 sites the difference is +0.015", "−0.004 to +0.034", "210 patients, 20 draws", "nothing that was tried",
        "best of so many trials: dbn from 0.600 to 0.665", "31\u202f%",
    ):  # fmt: skip
        assert needle in page, needle


def test_the_verdict_comes_first(page: str) -> None:
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert text.index("Pretraining helps") < text.index("<svg") < text.index('id="cohort"')


def test_equal_contents_give_equal_bytes(page: str, tmp_path: Path) -> None:
    assert render(voxel_content()) == page
    code = (
        "import sys; from report_example import voxel_content; from scanprior.report.page import render; "
        "sys.stdout.buffer.write(render(voxel_content()).encode())"
    )
    places = os.pathsep.join([str(Path(__file__).parent), str(Path(scanprior.__file__).parents[1])])
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": places, "HOME": str(tmp_path)}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert other.stdout.decode() == page


def test_nothing_is_asked_from_anywhere(page: str) -> None:
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    reader = read(page)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "iframe", "object", "embed", "form")
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            assert address == "" or address.startswith(("data:", "#")), (tag, address[:60])
        assert not any(name.startswith("on") for name in attributes)
    policy = next(
        a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_it_can_be_read_without_eyes(page: str) -> None:
    reader = read(page)
    names = [tag for tag, _ in reader.tags]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert names.count(landmark) == 1, landmark
    assert ("html", {"lang": "en"}) in reader.tags
    for tag, attributes in reader.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert all((target or "")[1:] in ids for target in targets)


def test_the_curve_speaks_its_ends(page: str) -> None:
    label = next(a["aria-label"] for t, a in read(page).tags if t == "svg")
    assert label is not None
    assert "dbn 0.693 with 2 and 0.936 with 40 labelled patients" in label


def test_what_a_study_calls_things_is_escaped() -> None:
    content = light(patient_content())
    study = replace(content.study, classes=("_well", EVIL), arms=("dbn", "scratch", "mlp", EVIL))
    content = replace(
        content, study=study, best_other=EVIL, points=(*content.points, Point(EVIL, 8, 0.7, 0.6, 0.8)),
        quarantine=(Quarantined("index", "F-1", None, EVIL, EVIL),), checks=(Check("canary", EVIL, True, EVIL),),
        differences=(*content.differences, Difference("dbn", EVIL, None, 0.1, 0.0, 0.2)),
        patches=Montage(((EVIL, np.zeros((2, 5, 5), np.float32)),)), no_verdict=EVIL,
    )  # fmt: skip
    for given in (content, replace(content, verdict=None)):
        page = render(given)
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        read(page)


@pytest.mark.parametrize("outcome", ["harms", "equivalent", "inconclusive"])
def test_other_verdicts_render(outcome: str) -> None:
    read(render(light(voxel_content(outcome) if outcome != "harms" else patient_content(outcome))))


def test_probabilities_are_shown_where_there_are_any(page: str) -> None:
    assert "Reliability" not in page
    with_them = render(light(patient_content()))
    for needle in ("ROC curve", "Reliability", "Net benefit", "Calibration", "0.81", "−0.12", "true positive rate"):
        assert needle in with_them, needle
    read(with_them)


def test_simulated_and_quick_are_marked_before_the_verdict() -> None:
    content = light(patient_content())
    page = render(replace(content, study=replace(content.study, quick=True)))
    assert page.index("Simulated cohort") < page.index('id="verdict-title"')
    assert page.index("not for claims") < page.index('id="verdict-title"')
    assert "Simulated cohort" not in render(replace(content, study=replace(content.study, simulated=False)))


def test_a_failed_check_also_stands_over_the_differences() -> None:
    content = light(voxel_content())
    warning = "these differences must not be used"
    assert warning not in render(content)
    failed = Check("canary", "border only", False, "0.9 where 0.5 is chance.")
    page = render(replace(content, checks=(failed,)))
    assert page.index("0.9 where 0.5 is chance.") < page.index("<svg") < page.index(warning)


def test_an_empty_study_is_told_honestly_and_does_not_break() -> None:
    study = Study("empty", "patient", ("a", "b"), "auc", ("dbn", "scratch"), (4, 8), 2, "cv", "disjoint", 1)
    page = render(ReportContent(study=study, verdict=None))
    read(page)
    for needle in (
        "No verdict", "no label-budget curve", "No paired difference", "Without any result: dbn, scratch",
        "no canaries", "No prior was trained", "left no filters", "no patches to show", "No curves of pretraining",
        "a record of what it cost", "left no summary", "not recorded",
    ):  # fmt: skip
        assert needle in page, needle


def test_a_study_with_one_budget_averages_over_none() -> None:
    content = light(voxel_content())
    one = replace(
        content, study=replace(content.study, budgets=(4,)), points=tuple(p for p in content.points if p.budget == 4),
        dots=tuple(dot for dot in content.dots if dot.budget == 4),
        differences=tuple(row for row in content.differences if row.budget in (None, 4)),
    )  # fmt: skip
    made = render(one)
    assert not any(words in made for words in ("mean over budgets", "mean over the budgets", "4 to 4"))
    assert "Comparisons, with 4 labelled patients" in made and "dbn − scratch is the primary comparison" in made
    assert re.search(r"Label-budget curve[^<]*dbn 0\.\d+ with 4 labelled patients", made)
    assert re.search(r"<text[^>]*>4</text>", made[: made.index("labelled patients (validation included)")])


def test_an_arm_without_results_is_named() -> None:
    content = light(voxel_content())
    page = render(replace(content, points=tuple(point for point in content.points if point.arm != "cnn"), filters=None))
    assert "Without any result: cnn." in page
    assert "left no filters" in page


def test_missing_intervals_are_not_drawn() -> None:
    content = light(voxel_content("inconclusive"))
    assert content.verdict is not None
    nan = float("nan")
    nothing = Difference("dbn", "scratch", None, nan, nan, nan)
    page = render(replace(content, verdict=replace(content.verdict, primary=nothing), differences=(nothing,)))
    read(page)
    assert "No interval could be computed" in page
    assert "The interval covers" not in page and "among them. The interval covers" in render(content)
    some = replace(nothing, budget=4)
    assert "not drawn: 4 patients." in render(replace(content, differences=(content.differences[0], some)))
    assert "nan" not in re.sub(r"<style>.*?</style>|data:image/png[^\"]+", "", page, flags=re.DOTALL)


def test_a_prior_that_saw_tested_patients_is_marked() -> None:
    content = light(voxel_content())
    page = render(replace(content, priors=(replace(content.priors[0], test_overlap=12),)))
    assert '<td class="bad">12</td>' in page
