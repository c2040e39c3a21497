"""What the sections behind the verdict hold: shortcuts, power, sites, failures, costs of the arms, journals' checklists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Histogram(NamedTuple):
    """How the activations of a layer's hidden units lie between zero and `top`, in bins of equal width."""

    layer: str
    top: float
    shares: tuple[float, ...]
    """of all activations of units and patches, per bin; sum 1"""


class Shortcut(NamedTuple):
    """How well one covariate alone tells the label: balanced accuracy, what chance gives, Holm's p."""

    name: str
    levels: int
    accuracy: float
    chance: float
    p: float
    suspect: bool


class PowerRow(NamedTuple):
    """What the cohort could detect if patients differ `case`; NaN: no gain at all."""

    case: str
    detectable: float
    helps_at_margin: float
    equivalent_at_zero: float
    patients: int | None
    """patients and draws that decide 4 of 5 studies whose true gain is twice the margin; None: beyond what was tried"""
    draws: int | None


class SiteRow(NamedTuple):
    """The primary difference among the tested patients of one site; NaN bounds where `note` says why."""

    site: str
    patients: int
    delta: float
    low: float
    high: float
    note: str


class WorstSite(NamedTuple):
    """The smallest difference among so many sites, with an interval that knows that the worst was picked."""

    site: str
    delta: float
    low: float
    high: float
    sites: int


class Sites(NamedTuple):
    """The primary difference site by site."""

    rows: tuple[SiteRow, ...]
    worst: WorstSite | None
    held_out: bool
    """whether each site was tested by models that had no label of it"""


@dataclass(frozen=True)
class Worst:
    """The patients with the lowest scores: a pseudonym, what is known of the patient (text), then scores."""

    meaning: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


class Failure(NamedTuple):
    """One tested patient with a low score: a piece of a slice of the de-identified scan, and label maps on it."""

    patient: str
    caption: str
    image: NDArray[np.float32]
    """(height, width) grey values, anterior up"""
    maps: tuple[tuple[str, NDArray[np.uint8]], ...]
    """("truth" or an arm, class numbers (height, width), 0 = background)"""


class ArmCost(NamedTuple):
    """What one arm took over all draws; `kwh` is an estimate (see `energy_use`)."""

    arm: str
    jobs: int
    wall_seconds: float
    cpu_seconds: float
    gpu_seconds: float
    kwh: float


class Answer(NamedTuple):
    """One item of a checklist: its number, what it asks, what the study knows, what only the authors can say."""

    number: str
    topic: str
    asks: str
    known: str
    authors: str


class Checklist(NamedTuple):
    """A journal's checklist, filled as far as the study's files go."""

    stem: str
    name: str
    full: str
    source: str
    checked: str
    """how far the item numbers were compared with the published checklist"""
    answers: tuple[Answer, ...]

    @property
    def answered(self) -> int:
        """Items to which the study's files have an answer, whole or in part."""
        return sum(bool(answer.known) for answer in self.answers)
