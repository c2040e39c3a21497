"""Figures about predicted probabilities: ROC and precision-recall curve, reliability and net benefit of the compared arms."""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib.axes import Axes

from scanprior.report.content import Line, Probabilities
from scanprior.report.theme import COLOURS, MARKERS, canvas, plain, role, svg


class _Plan(NamedTuple):
    """One figure: its lines, the axes' labels, what the diagonal means ("" = none), and how it is drawn."""

    title: str
    lines: tuple[Line, ...]
    labels: tuple[str, str]
    diagonal: str = ""
    marked: bool = False
    benefit: bool = False


def probability_figures(found: Probabilities, *, positive: str, arms: tuple[str, ...]) -> list[tuple[str, str]]:
    """(title, inline SVG) of each figure that there are lines for; `positive` is the class that the probability is of."""
    acts = f"probability from which one acts on {positive}"
    plans = (
        _Plan("ROC curve", found.roc, ("false positive rate", "true positive rate"), "chance"),
        _Plan("Precision and recall", found.precision_recall, ("recall", "precision")),
        _Plan(
            "Reliability",
            found.reliability,
            (f"predicted probability of {positive}", "share observed"),
            "perfect",
            True,
        ),
        _Plan("Net benefit", found.net_benefit, (acts, "net benefit"), benefit=True),
    )
    return [(plan.title, _figure(plan, arms)) for plan in plans if plan.lines]


def _figure(plan: _Plan, arms: tuple[str, ...]) -> str:
    with canvas(330, 330) as figure:
        axes: Axes = figure.subplots()
        quiet: dict[str, Any] = {"color": COLOURS["quiet"], "linewidth": 0.9, "linestyle": ":"}
        if plan.diagonal:
            axes.plot((0, 1), (0, 1), label=plan.diagonal, **quiet)
        for line in plan.lines:
            _draw(axes, line, arms, marked=plan.marked)
        if plan.benefit:
            # Acting on everybody costs without bound at high thresholds; what lies far below nobody is of no use.
            heights = [y for line in plan.lines if line.arm in arms for y in line.y]
            axes.axhline(0, label="nobody", **quiet)
            axes.set_ylim(min(-0.05, *heights), 1.1 * max(0.05, *heights))
        else:
            axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(plan.labels[0])
        axes.set_ylabel(plan.labels[1])
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=3, handlelength=2.2)
        spoken = "; ".join(f"{line.arm} from {line.y[0]:.2f} to {line.y[-1]:.2f}" for line in plan.lines)
        alt = f"{plan.title}, {plan.labels[1]} by {plan.labels[0]}: {spoken}."
        return svg(figure, f"probabilities-{plan.title}", alt)


def _draw(axes: Axes, line: Line, arms: tuple[str, ...], *, marked: bool) -> None:
    name = role(line.arm, arms) if line.arm in arms else "quiet"
    colour = COLOURS[name]
    if line.low and marked:
        axes.vlines(line.x, line.low, line.high, color=colour, alpha=0.45, linewidth=1.0)
    elif line.low:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(line.x, line.y, color=colour, label=plain(line.arm), marker=MARKERS.get(name) if marked else None,
              linewidth=1.8 if line.arm in arms else 0.9)  # fmt: skip
