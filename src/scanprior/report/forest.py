"""The forest plot: paired differences with their intervals beside the declared margin."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scanprior.report.content import Difference
from scanprior.report.numbers import MINUS, metric_name, percent, signed
from scanprior.report.theme import COLOURS, canvas, svg

ROW, TALL = 21, 34  # CSS pixels a row, and a row whose label has two lines


def forest(
    differences: Sequence[Difference], *, margin: float, metric: str, level: float, name: str, places: int
) -> str:
    """The differences as inline SVG, a row each; one comparison by budgets (its mean heavier) or several comparisons.

    The grey zone holds the differences that are smaller than the margin.
    """
    labels = row_labels(differences)
    means = _means_alone(differences)
    differences = [row for row in differences if math.isfinite(row.low) and math.isfinite(row.high)]
    with canvas(470, 84 + (TALL if means else ROW) * len(differences)) as figure:
        axes: Axes = figure.subplots()
        edge = 1.08 * max([margin, *(abs(side) for row in differences for side in (row.low, row.high))])
        axes.axvspan(-margin, margin, color=COLOURS["zone"], zorder=0)
        axes.axvline(0, color=COLOURS["quiet"], linewidth=0.9, zorder=1)
        for place, row in enumerate(differences):
            primary = row.budget is None and not means
            colour = COLOURS["prior" if row.low > 0 else "scratch" if row.high < 0 else "ink"]
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2.6 if primary else 1.4, zorder=2)
            marker, size = ("D", 7.5) if primary else ("o", 5)
            axes.plot([row.delta], [place], marker=marker, markersize=size, color=colour, linestyle="none", zorder=3)
            axes.annotate(
                f"{signed(row.delta, places)}  [{signed(row.low, places)}, {signed(row.high, places)}]", (1, place),
                xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center",
                fontsize=10.5, fontweight="bold" if primary else "normal",
            )  # fmt: skip
        axes.set_yticks(
            range(len(differences)), [labels[row].replace(f" {MINUS} ", f"\n{MINUS} ") for row in differences]
        )
        axes.set_ylim(len(differences) - 0.4, -0.6)
        axes.set_xlim(-edge, edge)
        axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
        several = len({(row.arm, row.other) for row in differences}) > 1
        first, second = ("second arm", "first arm") if several else (differences[0].other, differences[0].arm)
        axes.set_xlabel(f"difference in {metric_name(metric)}\n← {first} better\N{EM SPACE}{second} better →")
        spoken = "; ".join(
            f"{labels[row]} {signed(row.delta, places)} from {signed(row.low, places)} to {signed(row.high, places)}"
            for row in differences
        )
        return svg(figure, name, f"Differences in {metric_name(metric)} with {percent(level)} intervals: {spoken}.")


def row_labels(differences: Sequence[Difference]) -> dict[Difference, str]:
    """Budgets where the rows are one comparison by budgets, else which arms are compared."""
    if _means_alone(differences):
        return {row: f"{row.arm} {MINUS} {row.other}" for row in differences}
    return {row: "mean over budgets" if row.budget is None else f"{row.budget} patients" for row in differences}


def _means_alone(differences: Sequence[Difference]) -> bool:
    return all(row.budget is None for row in differences)
