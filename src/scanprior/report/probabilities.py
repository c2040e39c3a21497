"""Figures about predicted probabilities: ROC curve, reliability and net benefit of the compared arms."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from scanprior.report.content import Line, Probabilities
from scanprior.report.theme import COLOURS, MARKERS, canvas, plain, role, svg


def probability_figures(found: Probabilities, *, positive: str, arms: tuple[str, ...]) -> list[tuple[str, str]]:
    """(title, inline SVG) of each figure that there are lines for; `positive` is the class that the probability is of."""
    chance, always = ("chance", (0.0, 1.0)), ("perfect", (0.0, 1.0))
    drawn = [
        ("ROC curve", found.roc, ("false positive rate", "true positive rate"), chance, False),
        ("Reliability", found.reliability, (f"predicted probability of {positive}", "share observed"), always, True),
        (
            "Net benefit",
            found.net_benefit,
            (f"probability from which one acts on {positive}", "net benefit"),
            None,
            False,
        ),
    ]
    return [
        (title, _figure(title, lines, labels, diagonal, arms, marked=marked))
        for title, lines, labels, diagonal, marked in drawn
        if lines
    ]


def _figure(
    title: str, lines: Sequence[Line], labels: tuple[str, str], diagonal: tuple[str, tuple[float, float]] | None,
    arms: tuple[str, ...], *, marked: bool,
) -> str:  # fmt: skip
    with canvas(330, 330) as figure:
        axes: Axes = figure.subplots()
        if diagonal is not None:
            axes.plot((0, 1), diagonal[1], color=COLOURS["quiet"], linewidth=0.9, linestyle=":", label=diagonal[0])
        for line in lines:
            _draw(axes, line, arms, marked=marked)
        if diagonal is None:
            # Acting on everybody costs without bound at high thresholds; what lies far below nobody is of no use.
            heights = [y for line in lines if line.arm in arms for y in line.y]
            axes.axhline(0, color=COLOURS["quiet"], linewidth=0.9, linestyle=":", label="nobody")
            axes.set_ylim(min(-0.05, *heights), 1.1 * max(0.05, *heights))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=3, handlelength=2.2)
        spoken = "; ".join(f"{line.arm} from {line.y[0]:.2f} to {line.y[-1]:.2f}" for line in lines)
        return svg(figure, f"probabilities-{title}", f"{title}, {labels[1]} by {labels[0]}: {spoken}.")


def _draw(axes: Axes, line: Line, arms: tuple[str, ...], *, marked: bool) -> None:
    name = role(line.arm, arms) if line.arm in arms else "quiet"
    colour = COLOURS[name]
    if line.low and marked:
        axes.vlines(line.x, line.low, line.high, color=colour, alpha=0.45, linewidth=1.0)
    elif line.low:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(line.x, line.y, color=colour, label=plain(line.arm), marker=MARKERS.get(name) if marked else None,
              linewidth=1.8 if line.arm in arms else 0.9)  # fmt: skip
