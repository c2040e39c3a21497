"""Histograms of hidden activations, one panel per layer: units that are always off or always on show at the ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scanprior.report.annex import Histogram
from scanprior.report.theme import COLOURS, canvas, svg


def activation_figures(found: Sequence[Histogram]) -> list[tuple[str, str]]:
    """(title, inline SVG) for every layer; shares on a logarithmic scale, since most activations are near zero."""
    return [(one.layer, _figure(one)) for one in found]


def _figure(one: Histogram) -> str:
    edges, shares = np.linspace(0, one.top, len(one.shares) + 1), np.array(one.shares)
    floor = 10.0 ** np.floor(np.log10(shares[shares > 0].min()))
    with canvas(330, 210) as figure:
        axes: Axes = figure.subplots()
        axes.stairs(np.maximum(shares, floor), edges, baseline=floor, fill=True, color=COLOURS["prior"])
        axes.set_yscale("log")
        axes.set_ylim(floor, 1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("mean activation")
        axes.grid(axis="y")
        first, last = f"{100 * shares[0]:.3g} %", f"{100 * shares[-1]:.3g} %"
        alt = f"Activations of {one.layer} from 0 to {one.top:.3g}: {first} in the lowest bin, {last} in the highest."
        return svg(figure, f"activations-{one.layer}", alt)
