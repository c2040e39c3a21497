"""The label-budget curve: every arm's score against the number of labelled patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from scanprior.report.numbers import metric_name, percent, score
from scanprior.report.theme import COLOURS, MARKERS, canvas, plain, role, svg

DODGE = 0.055  # in doublings: whiskers of neighbouring arms stand apart, and still clearly at their budget


def label_budget_curve(
    curves: pd.DataFrame, dots: pd.DataFrame, *, arms: tuple[str, ...], metric: str, level: float
) -> str:
    """The curve as inline SVG.

    curves: arm, budget, mean, low, high. dots: arm, budget, draw, score. Prior and random start have bands, the others
    whiskers.
    """
    drawn = [arm for arm in arms if arm in set(curves["arm"])]
    with canvas(520, 400) as figure:
        axes: Axes = figure.subplots()
        for arm in sorted(drawn, key=lambda arm: _main(arm, arms)):
            rows = curves[curves["arm"] == arm].sort_values("budget")
            shift = 0.0 if _main(arm, arms) else DODGE * (_rank(arm, drawn, arms) - 1.5)
            _draw_arm(axes, arm, rows, dots[dots["arm"] == arm], arms, shift)
        budgets = sorted(set(curves["budget"].astype(int)))
        axes.xaxis.set_major_locator(FixedLocator([float(np.log2(budget)) for budget in budgets]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(budget) for budget in budgets])
        axes.set_xlabel("labelled patients (validation included)")
        axes.set_ylabel(f"{metric_name(metric)} of tested patients")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        handles = [_handle(arm, arms) for arm in drawn]
        figure.legend(
            handles, [plain(arm) for arm in drawn], loc="outside lower center", ncols=min(4, len(drawn)),
            handlelength=2.6, columnspacing=1.4,
        )  # fmt: skip
        return svg(figure, "curve", describe_curve(curves, drawn, metric, level))


def describe_curve(curves: pd.DataFrame, arms: list[str], metric: str, level: float) -> str:
    """The curve for those who can't see it: first and last score of each arm."""
    parts = []
    for arm in arms:
        rows = curves[curves["arm"] == arm].sort_values("budget")
        first, last = rows.iloc[0], rows.iloc[-1]
        parts.append(
            f"{arm} {score(float(first['mean']))} with {int(first['budget'])} and {score(float(last['mean']))} with "
            f"{int(last['budget'])} labelled patients"
        )
    return f"Label-budget curve, {metric_name(metric)} with {percent(level)} intervals: {'; '.join(parts)}."


def _draw_arm(
    axes: Axes, arm: str, rows: pd.DataFrame, dots: pd.DataFrame, arms: tuple[str, ...], shift: float
) -> None:
    name = role(arm, arms)
    colour, main = COLOURS[name], _main(arm, arms)
    x = np.log2(rows["budget"].to_numpy(float)) + shift
    mean, low, high = (rows[column].to_numpy(float) for column in ("mean", "low", "high"))
    axes.plot(np.log2(dots["budget"].to_numpy(float)) + shift, dots["score"].to_numpy(float), ".", color=colour,
              alpha=0.38 if main else 0.22, markersize=3.5, markeredgewidth=0, zorder=2)  # fmt: skip
    if main:
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0, zorder=1)
    else:
        axes.vlines(x, low, high, color=colour, alpha=0.5, linewidth=0.9, zorder=2)
    axes.plot(x, mean, color=colour, marker=MARKERS[name], linestyle=_dashes(arm), zorder=4 if main else 3,
              linewidth=2.4 if main else 1.0, markersize=6.5 if main else 4, alpha=1.0 if main else 0.85)  # fmt: skip


def _main(arm: str, arms: tuple[str, ...]) -> bool:
    """The two arms of the primary comparison; the variants of another hidden kind are shown as thin lines."""
    return arm in ("dbn", "scratch") or (f"{arm.split('_')[0]}" not in arms and arm.split("_")[0] in ("dbn", "scratch"))


def _rank(arm: str, drawn: list[str], arms: tuple[str, ...]) -> int:
    return [other for other in drawn if not _main(other, arms)].index(arm) % 4


def _dashes(arm: str) -> str:
    return "--" if arm.split("_")[0] in ("dbn", "scratch") and "_" in arm else "-"


def _handle(arm: str, arms: tuple[str, ...]) -> Line2D:
    name, main = role(arm, arms), _main(arm, arms)
    return Line2D(
        [], [], color=COLOURS[name], marker=MARKERS[name], linestyle=_dashes(arm), linewidth=2.4 if main else 1.0,
        markersize=6.5 if main else 4,
    )  # fmt: skip
