"""The label-budget curve: every arm's score against the number of labelled patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from scanprior.report.content import Dot, Point
from scanprior.report.numbers import metric_name, percent, score
from scanprior.report.theme import COLOURS, MARKERS, canvas, plain, role, svg

DODGE = 0.055  # in doublings: whiskers of neighbouring arms stand apart, and still clearly at their budget


def label_budget_curve(
    points: Sequence[Point], dots: Sequence[Dot], *, arms: tuple[str, ...], metric: str, level: float
) -> str:
    """The curve as inline SVG; prior and random start have bands, the others whiskers; NaN is left out."""
    known = sorted((p for p in points if math.isfinite(p.mean)), key=lambda point: point.budget)
    drawn = [arm for arm in arms if arm in {point.arm for point in known}]
    with canvas(470, 384) as figure:
        axes: Axes = figure.subplots()
        for arm in sorted(drawn, key=lambda arm: _main(arm, arms)):
            shift = 0.0 if _main(arm, arms) else DODGE * (_rank(arm, drawn, arms) - 1.5)
            _draw_arm(axes, [p for p in known if p.arm == arm], [dot for dot in dots if dot.arm == arm], arms, shift)
        budgets = sorted({point.budget for point in known})
        axes.xaxis.set_major_locator(FixedLocator([math.log2(budget) for budget in budgets]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(budget) for budget in budgets])
        if len(budgets) == 1:  # nothing spans the axis
            axes.set_xlim(math.log2(budgets[0]) - 0.5, math.log2(budgets[0]) + 0.5)
        axes.set_xlabel("labelled patients (validation included)")
        axes.set_ylabel(f"{metric_name(metric)} of tested patients")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        handles = [_handle(arm, arms) for arm in drawn]
        figure.legend(
            handles, [plain(arm) for arm in drawn], loc="outside lower center", ncols=min(4, len(drawn)),
            handlelength=2.6, columnspacing=1.4,
        )  # fmt: skip
        return svg(figure, "curve", describe_curve(known, drawn, metric, level))


def describe_curve(points: Sequence[Point], arms: Sequence[str], metric: str, level: float) -> str:
    """The curve for those who can't see it: first and last score of each arm."""
    parts: list[str] = []
    for arm in arms:
        own = [point for point in points if point.arm == arm]
        ends = [f"{score(point.mean)} with {point.budget}" for point in dict.fromkeys((own[0], own[-1]))]
        parts.append(f"{arm} {' and '.join(ends)} labelled patients")
    return f"Label-budget curve, {metric_name(metric)} with {percent(level)} intervals: {'; '.join(parts)}."


def _draw_arm(axes: Axes, points: Sequence[Point], dots: Sequence[Dot], arms: tuple[str, ...], shift: float) -> None:
    arm = points[0].arm
    name, main = role(arm, arms), _main(arm, arms)
    colour = COLOURS[name]
    axes.plot(
        [math.log2(dot.budget) + shift for dot in dots], [dot.score for dot in dots], ".", color=colour,
        alpha=0.45 if main else 0.28, markersize=4, markeredgewidth=0, zorder=2,
    )  # fmt: skip
    x = [math.log2(point.budget) + shift for point in points]
    low, high = [point.low for point in points], [point.high for point in points]
    if main and len(x) > 1:
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0, zorder=1)
    else:
        axes.vlines(x, low, high, color=colour, alpha=0.5, linewidth=0.9, zorder=2)
    axes.plot(
        x, [point.mean for point in points], color=colour, marker=MARKERS[name], linestyle=_dashes(arm),
        linewidth=2.4 if main else 1.0, markersize=6.5 if main else 4, alpha=1.0 if main else 0.85,
        zorder=4 if main else 3,
    )  # fmt: skip


def _main(arm: str, arms: tuple[str, ...]) -> bool:
    """The two arms of the primary comparison; the variants of another hidden kind are shown as thin lines."""
    return arm in ("dbn", "scratch") or (f"{arm.split('_')[0]}" not in arms and arm.split("_")[0] in ("dbn", "scratch"))


def _rank(arm: str, drawn: list[str], arms: tuple[str, ...]) -> int:
    return [other for other in drawn if not _main(other, arms)].index(arm) % 4


def _dashes(arm: str) -> Literal["-", "--"]:
    return "--" if arm.split("_")[0] in ("dbn", "scratch") and "_" in arm else "-"


def _handle(arm: str, arms: tuple[str, ...]) -> Line2D:
    name, main = role(arm, arms), _main(arm, arms)
    return Line2D(
        [], [], color=COLOURS[name], marker=MARKERS[name], linestyle=_dashes(arm), linewidth=2.4 if main else 1.0,
        markersize=6.5 if main else 4,
    )  # fmt: skip
