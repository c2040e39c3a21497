"""What a report holds, as plain frozen values: the stage gathers them, the page shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.report.annex import ArmCost, Failure, Histogram, PowerRow, Shortcut, Sites, Worst

Outcome = Literal["helps", "harms", "equivalent", "inconclusive", "stopped"]
Table = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Study:
    """What was asked, of whom, and under which declarations."""

    name: str
    task: Literal["patient", "voxel"]
    classes: tuple[str, ...]
    """patient task: the positive class last; voxel task: without the background"""
    metric: str
    arms: tuple[str, ...]
    budgets: tuple[int, ...]
    draws: int
    scheme: str
    scope: str
    trials: int
    patch_size: tuple[int, ...] = ()
    simulated: bool = False
    quick: bool = False
    setup: Table = ()
    """(name, value) of the settings that a method section would state"""


@dataclass(frozen=True)
class Multiplier:
    """How many times as many labels the random start needs to do as well; None = not known."""

    estimate: float | None
    low: float | None
    high: float | None
    censored: tuple[str, ...] = ()
    """which of estimate, low and high are only the end of what the budgets can show"""


@dataclass(frozen=True)
class Difference:
    """Score of `arm` minus score of `other` with its interval (NaN: none); `budget` None: the mean over the budgets."""

    arm: str
    other: str
    budget: int | None
    delta: float
    low: float
    high: float
    p: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The primary comparison and what follows from it."""

    outcome: Outcome
    primary: Difference
    margin: float
    level: float
    patients: int
    draws: int
    multiplier: Multiplier | None = None
    patients_needed: int | None = None
    draws_needed: int | None = None
    """with `patients_needed`; None: as many as there are"""
    note: str = ""
    """why there is no interval, when there is none"""


@dataclass(frozen=True)
class Check:
    """A canary or a leak check, what it found and whether that is as it must be."""

    kind: Literal["canary", "leak"]
    name: str
    passed: bool | None
    """None: nothing that fails a study, but worth a look"""
    sentence: str


class Point(NamedTuple):
    """Mean score of an arm at a budget with its interval; NaN: not known."""

    arm: str
    budget: int
    mean: float
    low: float
    high: float


class Dot(NamedTuple):
    """Score of an arm at a budget in one draw."""

    arm: str
    budget: int
    score: float


class ClassMean(NamedTuple):
    """Mean Dice of one class, over patients and draws."""

    arm: str
    name: str
    budget: int
    mean: float


class Line(NamedTuple):
    """One line of a figure with its interval (empty: none)."""

    arm: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Probabilities:
    """What the predicted probabilities of the positive class are worth (patient task, two classes)."""

    roc: tuple[Line, ...] = ()
    precision_recall: tuple[Line, ...] = ()
    """of arms, and of `guessing`"""
    reliability: tuple[Line, ...] = ()
    net_benefit: tuple[Line, ...] = ()
    """of arms, and of acting on `everyone`"""
    calibration: tuple[tuple[str, float, float, float], ...] = ()
    """(arm, slope, intercept, Brier score)"""


@dataclass(frozen=True)
class ArmRow:
    """What one arm cost and chose; its scores are in the curves."""

    arm: str
    settings: str
    trials: int | None
    seconds: float | None


@dataclass(frozen=True)
class Quarantined:
    """One item that was set aside, under its pseudonym."""

    stage: str
    item: str
    patient: str | None
    reason: str
    sentence: str


@dataclass(frozen=True)
class Deidentification:
    """What was done to the files; counts only."""

    profile: str
    faces: str
    text: str
    rows: Table
    """(what, how many), e.g. ("files written", "812")"""
    faces_removed: int = 0
    faces_kept: int = 0
    """scans of which no voxel was removed"""
    public_key: bool = False
    """pseudonyms that anybody can recompute, as simulated cohorts may have them"""


@dataclass(frozen=True)
class PriorFacts:
    """One pretrained stack: who it saw, and whether a test patient was among them."""

    name: str
    description: str
    patients: int | None
    scans: int | None
    patches: int | None
    test_overlap: int | None
    """test patients among those whose scans it saw; None: not recorded"""


@dataclass(frozen=True)
class Curve:
    """One line of a training figure."""

    panel: str
    label: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Montage:
    """Rows of small square-pixel images with a label per row; every image (height, width), any intensity range."""

    rows: tuple[tuple[str, NDArray[np.float32]], ...]
    """(label, (images, height, width))"""
    signed: bool = False
    """signed: zero is mid-grey and each image has its own symmetric range (filters)"""


@dataclass(frozen=True)
class Cost:
    """One stage over all its jobs."""

    stage: str
    jobs: int
    wall_seconds: float
    cpu_seconds: float
    gpu_seconds: float
    peak_memory_mb: float
    output_mb: float
    startup_seconds: float = 0.0
    """processor time until the stage began, not part of `cpu_seconds`"""


@dataclass(frozen=True)
class Provenance:
    """What it takes to run it again."""

    split_sha256: str | None
    plan_sha256: str | None
    frozen: bool = False
    """whether the plan was frozen before any result"""
    deviations: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    machines: tuple[str, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    """(stage, digest of its code)"""
    outputs: tuple[tuple[str, str], ...] = ()
    """(file below the study's results, sha256)"""
    seed: int = 0


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page; what a study doesn't have stays empty, and the page says so."""

    study: Study
    verdict: Verdict | None
    no_verdict: str = ""
    """why `verdict` is None"""
    points: tuple[Point, ...] = ()
    dots: tuple[Dot, ...] = ()
    differences: tuple[Difference, ...] = ()
    best_other: str | None = None
    """the best arm without a prior, chosen on validation patients"""
    arms: tuple[ArmRow, ...] = ()
    gaps: tuple[str, ...] = ()
    """scores that were planned and are missing, in sentences"""
    dice: tuple[ClassMean, ...] = ()
    worst: Worst | None = None
    probabilities: Probabilities | None = None
    failures: tuple[Failure, ...] = ()
    best_of: tuple[Line, ...] = ()
    """per arm: trials allowed (x) and the validation score that the best of them reaches (y)"""
    sites: Sites | None = None
    checks: tuple[Check, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    power: str = ""
    """what gain the cohort could detect, as forecast before training"""
    power_rows: tuple[PowerRow, ...] = ()
    cohort: Table = ()
    """(what, value)"""
    classes: Table = ()
    """(class, patients)"""
    quarantine: tuple[Quarantined, ...] = ()
    deidentification: Deidentification | None = None
    patches: Montage | None = None
    filters: Montage | None = None
    activations: tuple[Histogram, ...] = ()
    reconstructions: Montage | None = None
    samples: Montage | None = None
    priors: tuple[PriorFacts, ...] = ()
    scope_counts: Table = ()
    """(group of patients, how many), as the split has them"""
    pretraining: tuple[Curve, ...] = ()
    chains: tuple[Curve, ...] = ()
    """autocorrelation of the prior's Gibbs chains by sweeps; empty where no side holds a chain"""
    training: tuple[Curve, ...] = ()
    costs: tuple[Cost, ...] = ()
    arm_costs: tuple[ArmCost, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance(None, None))
