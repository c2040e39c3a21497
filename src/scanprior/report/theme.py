"""Colours that keep apart for colour-blind readers, and the way from a matplotlib figure to an inline SVG."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Role → colour on paper. The page's style sheet holds the same names as variables, with a dark value beside each, so a
# figure follows the page's light and dark. Hues after Okabe & Ito (2008) and Tol (2021): apart in colour blindness.
COLOURS = {
    "ink": "#1c2024",
    "quiet": "#5f6873",
    "line": "#d7dbe0",
    "zone": "#eceff2",
    "prior": "#0069a8",
    "scratch": "#c8500a",
    "arm-a": "#00806a",
    "arm-b": "#a03c8c",
    "arm-c": "#7c7c84",
    "arm-d": "#8c8020",
    "arm-e": "#5b4bb0",
    "arm-f": "#9c3848",
}
OTHERS = ("arm-a", "arm-b", "arm-c", "arm-d", "arm-e", "arm-f")
MARKERS = {"prior": "o", "scratch": "s", **dict(zip(OTHERS, "^DvPXp", strict=True))}
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": 11.5, "text.parse_math": False, "axes.unicode_minus": True,
    "text.color": COLOURS["ink"], "axes.labelcolor": COLOURS["ink"], "axes.edgecolor": COLOURS["quiet"],
    "xtick.color": COLOURS["quiet"], "ytick.color": COLOURS["quiet"], "xtick.labelcolor": COLOURS["quiet"],
    "ytick.labelcolor": COLOURS["quiet"], "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.major.size": 3, "ytick.major.size": 3, "grid.color": COLOURS["line"], "grid.linewidth": 0.7,
    "lines.linewidth": 1.4, "lines.markersize": 5, "legend.frameon": False, "legend.fontsize": 10.5,
    "figure.dpi": 72, "svg.fonttype": "none", "path.simplify": False,
}  # fmt: skip


def role(arm: str, arms: tuple[str, ...]) -> str:
    """The colour role of an arm: every dbn the prior's, every scratch its own, the others one each in study order."""
    if arm.split("_")[0] in ("dbn", "scratch"):
        return "prior" if arm.startswith("dbn") else "scratch"
    others = [other for other in arms if other.split("_")[0] not in ("dbn", "scratch")]
    return OTHERS[others.index(arm) % len(OTHERS)] if arm in others else "arm-c"


@contextmanager
def canvas(width: float, height: float) -> Generator[Figure]:
    """A figure of `width` × `height` CSS pixels in the house style, without pyplot's global state."""
    style: Any = {**mpl.rcParamsDefault, **STYLE, "backend": mpl.rcParams["backend"]}
    with mpl.rc_context(style):
        yield Figure(figsize=(width / 72, height / 72), layout="constrained")


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as inline SVG: text as text, the page's colours, ids of its own, the same bytes for the same figure.

    `alt` is what a screen reader says; call it inside `canvas`.
    """
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL
    )
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    prefix = "f" + hashlib.sha256(name.encode()).hexdigest()[:6]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"font-family: [^;\"]+;? ?", "", text)  # the page's own
    text = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"\n\s*", "\n", text)
    return re.sub(r"<svg ([^>]*)>", lambda match: _opening(match[1], alt), text, count=1).strip()


def _opening(attributes: str, alt: str) -> str:
    kept = re.sub(r'\b(width|height|version)="[^"]*"\s*', "", attributes).strip()
    escaped = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<svg role="img" aria-label="{escaped}" {kept}>'


def plain(label: str) -> str:
    """A label that matplotlib shows as it is: a leading underscore would hide it from a legend."""
    return f"\N{ZERO WIDTH SPACE}{label}" if label.startswith("_") else label
