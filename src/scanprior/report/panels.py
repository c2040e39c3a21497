"""Small line figures: pretraining and training curves, one panel each, so that they fit any width of page."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scanprior.report.content import Curve
from scanprior.report.theme import COLOURS, OTHERS, canvas, plain, svg

LINES = ("prior", "scratch", *OTHERS)
STYLES = ("-", "--", ":", "-.")


def panels(curves: Sequence[Curve], *, xlabel: str, name: str) -> list[tuple[str, str]]:
    """(title, inline SVG) for every panel that `curves` name, in the order of their first appearance."""
    titles = list(dict.fromkeys(curve.panel for curve in curves))
    groups = [(title, [curve for curve in curves if curve.panel == title]) for title in titles]
    return [(title, _panel(group, title, xlabel, f"{name}-{title}")) for title, group in groups]


def _panel(curves: Sequence[Curve], title: str, xlabel: str, name: str) -> str:
    with canvas(330, 236) as figure:
        axes: Axes = figure.subplots()
        for number, curve in enumerate(curves):
            colour, dashes = COLOURS[LINES[number % len(LINES)]], STYLES[number % len(STYLES)]
            marker = "o" if len(curve.steps) == 1 else None
            axes.plot(
                curve.steps, curve.values, color=colour, linestyle=dashes, marker=marker, label=plain(curve.label)
            )
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(xlabel)
        axes.grid(axis="y")
        columns = 2 if max(len(curve.label) for curve in curves) < 24 else 1
        figure.legend(loc="outside lower center", ncols=columns, handlelength=2.4)
        ends = "; ".join(f"{curve.label} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}" for curve in curves)
        return svg(figure, name, f"{title} by {xlabel}: {ends}.")
