"""The best-of-T curve: the validation score that the best of so many trials reaches."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scanprior.report.content import Line
from scanprior.report.theme import COLOURS, MARKERS, canvas, plain, role, svg


def best_of_figure(lines: Sequence[Line], arms: tuple[str, ...]) -> str:
    """A line per arm over the number of trials, as inline SVG; empty without lines."""
    if not lines:
        return ""
    with canvas(470, 300) as figure:
        axes: Axes = figure.subplots()
        for line in lines:
            name = role(line.arm, arms)
            axes.plot(line.x, line.y, color=COLOURS[name], marker=MARKERS[name], label=plain(line.arm))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trials")
        axes.set_ylabel("validation score, best of them")
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=4, handlelength=2.4)
        spoken = "; ".join(f"{line.arm} from {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in lines)
        return svg(figure, "best-of", f"Validation score of the best of so many trials: {spoken}.")
