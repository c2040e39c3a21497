"""The page: one HTML file that needs no script and asks for nothing from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scanprior.report import numbers, words
from scanprior.report.content import Difference, Montage, ReportContent, Verdict
from scanprior.report.curve import label_budget_curve
from scanprior.report.energy_use import ASSUMPTION
from scanprior.report.facts import facts
from scanprior.report.forest import forest, row_labels
from scanprior.report.gallery import OUTLINES, gallery
from scanprior.report.histogram import activation_figures
from scanprior.report.journal import checklists
from scanprior.report.methods import methods
from scanprior.report.montage import intensity_window, strip
from scanprior.report.panels import panels
from scanprior.report.probabilities import probability_figures
from scanprior.report.tuning import best_of_figure
from scanprior.report.vitals import vitals

TEMPLATES = Path(__file__).parent / "templates"
STYLE = Path(__file__).parent / "style.css"


@dataclass(frozen=True)
class Cell:
    """A score with its interval, as two lines of a table."""

    value: str
    interval: str


def render(content: ReportContent) -> str:
    """The report as HTML; equal contents give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        score=numbers.score, signed=numbers.signed, times=numbers.times, count=numbers.count, p=numbers.probability,
        duration=numbers.duration, megabytes=numbers.megabytes, percent=numbers.percent, listed=numbers.listed, energy=numbers.energy,
        share=numbers.share,
    )  # fmt: skip
    study, verdict, known = content.study, content.verdict, facts(content)
    level = verdict.level if verdict else 0.95
    return environment.get_template("page.html.j2").render(
        content=content, study=study, verdict=verdict, opening=words.opening(content), banners=words.banners(study),
        style=Markup(STYLE.read_text(encoding="utf-8")), level=level,
        places=_places(verdict),
        vitals=vitals(content), methods=methods(known), checklists=checklists(known),
        metric=numbers.metric_name(study.metric), metric_meaning=numbers.metric_meaning(study.metric),
        scope=words.SCOPES.get(study.scope, study.scope), describe_arm=words.describe_arm,
        curve=_curve(content, level), forests=_forests(content), score_table=_score_table(content),
        dice_table=_dice_table(content), montages=_montages(content),
        gallery=gallery(content.failures), outlines=OUTLINES, energy_assumption=ASSUMPTION,
        activations=_svg(activation_figures(content.activations)),
        best_of=Markup(best_of_figure(content.best_of, study.arms)),
        worst_site=words.worst_site(content.sites, level) if content.sites else "", quarantine=_quarantine(content),
        pretraining=_svg(
            panels(content.pretraining, xlabel="mini-batches", name="pretraining")
            + panels(content.chains, xlabel="Gibbs sweeps", name="chains")
        ),
        training=_svg(panels(content.training, xlabel="epoch", name="training")),
        probabilities=_svg(
            probability_figures(content.probabilities, positive=study.classes[-1], arms=study.arms)
            if content.probabilities else ()
        ),
        residual_risk=words.residual_risk(content.deidentification) if content.deidentification else [],
    )  # fmt: skip


def _places(verdict: Verdict | None) -> int:
    """Decimals of all differences on the page: those of the first sentence."""
    return numbers.decimals(verdict.margin, verdict.primary.low, verdict.primary.high) if verdict else 3


def _curve(content: ReportContent, level: float) -> Markup | None:
    if not any(math.isfinite(point.mean) for point in content.points):
        return None
    study = content.study
    return Markup(label_budget_curve(content.points, content.dots, arms=study.arms, metric=study.metric, level=level))


@dataclass(frozen=True)
class Forest:
    """A forest plot with its rows."""

    title: str
    rows: list[tuple[str, Difference]]
    missing: list[str]
    """rows without an interval, which the figure can't show"""
    figure: Markup


def _forests(content: ReportContent) -> list[Forest]:
    """One forest plot for each comparison by budget, and one for those of which only the mean is known."""
    verdict = content.verdict
    if verdict is None:
        return []
    budgets, pairs = content.study.budgets, dict[tuple[str, str], list[Difference]]()
    for row in content.differences:
        if len(budgets) > 1 or row.budget is None:  # of a single budget the mean says it all
            pairs.setdefault((row.arm, row.other), []).append(row)
    groups = {
        f"{arm} {numbers.MINUS} {other}": sorted(rows, key=lambda row: row.budget or 0)
        for (arm, other), rows in pairs.items() if len(rows) > 1
    }  # fmt: skip
    alone = [rows[0] for rows in pairs.values() if len(rows) == 1]
    if alone:
        what = "mean over budgets" if len(budgets) > 1 else numbers.averaged_over(budgets)
        groups[f"{'Other comparisons' if groups else 'Comparisons'}, {what}"] = alone
    found: list[Forest] = []
    for title, rows in groups.items():
        labels = row_labels(rows)
        missing = [labels[row] for row in rows if not (math.isfinite(row.low) and math.isfinite(row.high))]
        figure = ""
        if len(missing) < len(rows):
            figure = forest(
                rows, margin=verdict.margin, metric=content.study.metric, level=verdict.level, name=title,
                places=_places(verdict),
            )  # fmt: skip
        found.append(Forest(title, [(labels[row], row) for row in rows], missing, Markup(figure)))
    return found


def _score_table(content: ReportContent) -> list[tuple[str, list[Cell | None]]]:
    """A row per arm of the study, a cell per budget; None where an arm has no result."""
    known = {(point.arm, point.budget): point for point in content.points if math.isfinite(point.mean)}

    def cell(arm: str, budget: int) -> Cell | None:
        point = known.get((arm, budget))
        if point is None:
            return None
        return Cell(numbers.score(point.mean), f"{numbers.score(point.low)} to {numbers.score(point.high)}")

    return [(arm, [cell(arm, budget) for budget in content.study.budgets]) for arm in content.study.arms]


def _dice_table(content: ReportContent) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """(class, [(arm, mean Dice per budget)])."""
    means = {(one.name, one.arm, one.budget): one.mean for one in content.dice}
    names = [name for name in content.study.classes if name in {one.name for one in content.dice}]
    arms = [arm for arm in content.study.arms if arm in {one.arm for one in content.dice}]
    budgets = content.study.budgets
    return [
        (name, [(arm, [numbers.score(means.get((name, arm, budget))) for budget in budgets]) for arm in arms])
        for name in names
    ]


def _montages(content: ReportContent) -> dict[str, list[tuple[str, str, int]]]:
    """Name of the montage → (label, data URI, images) per row."""
    given = {"patches": content.patches, "filters": content.filters, "reconstructions": content.reconstructions,
             "samples": content.samples}  # fmt: skip
    return {name: _strips(montage) for name, montage in given.items()}


def _strips(montage: Montage | None) -> list[tuple[str, str, int]]:
    if montage is None:
        return []
    # All rows share one window, so that a reconstruction is seen at the brightness of its original.
    window = intensity_window(np.concatenate([images.ravel() for _, images in montage.rows]))
    return [(label, strip(images, signed=montage.signed, window=window), len(images)) for label, images in montage.rows]


def _quarantine(content: ReportContent) -> list[tuple[str, str, str, int]]:
    """(stage, reason, sentence of the first, count) per stage and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in content.quarantine:
        groups.setdefault((item.stage, item.reason), []).append(item.sentence)
    return [(stage, reason, sentences[0], len(sentences)) for (stage, reason), sentences in groups.items()]


def _svg(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, Markup]]:
    return [(title, Markup(figure)) for title, figure in pairs]
