"""All comparisons of a study from its arms' scores: curves, primary, best arm without a prior, secondary, savings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanprior.evidence.interval import Cells, Inference, Interval, cells_of, two_way
from scanprior.evidence.metrics import LIMITS
from scanprior.evidence.power import Needed, patients_needed, spread_of
from scanprior.evidence.resampled_t import ResampledT, corrected_t
from scanprior.evidence.savings import Multiplier, label_multiplier, multipliers
from scanprior.evidence.signflip import holm, patient_means, signflip
from scanprior.evidence.tables import Arm, Design, statistic_of
from scanprior.evidence.verdict import Verdict, judge

Seeds = Callable[..., int]


class Comparison(NamedTuple):
    """One arm minus another, with everything that is said about it."""

    arm: str
    other: str
    inference: Inference
    verdict: Verdict
    p_signflip: float
    resampled: ResampledT
    patients_needed: Needed | None


class Savings(NamedTuple):
    """The pooled label multiplier with its interval, and the estimate at each budget."""

    pooled: Multiplier | None
    budgets: tuple[Multiplier, ...]


class Rules(NamedTuple):
    """What was declared beforehand."""

    margin: float
    level: float


class Comparer:
    """Compares arms of one design."""

    def __init__(self, design: Design, rules: Rules, seeds: Seeds) -> None:
        self.design, self.rules, self._seeds = design, rules, seeds
        self._cells: dict[tuple[str, bytes], Cells] = {}

    def curve(self, arm: Arm) -> Inference:
        """Mean score at each budget, with intervals."""
        found = two_way(self._of(arm), statistic_of(arm, self.design).stratum, level=self.rules.level)
        return possible(found, LIMITS.get(self.design.metric))

    def compare(self, arm: Arm, other: Arm) -> Comparison:
        """`arm` minus `other` over the cells that both have."""
        design, rules = self.design, self.rules
        stratum = statistic_of(arm, design, other).stratum
        inference = self._difference(arm, other, stratum, rules.level)
        primary = inference.primary
        paired = patient_means(arm.score - other.score)
        classes = stratum if design.metric == "auc" else None
        p = signflip(paired, seed=self._seeds("evaluate", "signflip"), stratum=classes)
        verdict = judge(primary.low, primary.high, rules.margin)
        needed: Needed | None = None
        if verdict == "inconclusive" and not np.isnan(primary.low):
            counts = (primary.patients, primary.draws)
            spread = spread_of(primary.se_patients, primary.se_draws, primary.se_noise, primary.skewness, *counts)
            needed = patients_needed(primary.estimate, spread, *counts, margin=rules.margin, level=rules.level)
        return Comparison(arm.name, other.name, inference, verdict, p, self._resampled(arm, other), needed)

    def savings(self, arm: Arm, other: Arm) -> Savings:
        """How many times the labels `other` needs."""
        one, two = self._of(arm, other), self._of(other, arm)
        stratum = statistic_of(arm, self.design, other).stratum
        pooled = label_multiplier(one, two, self.design.budgets, stratum, level=self.rules.level)
        each = multipliers(mean_over_draws(one.observed), mean_over_draws(two.observed), self.design.budgets)
        return Savings(pooled, tuple(each))

    def among(self, arm: Arm, other: Arm, patients: NDArray[np.bool_], level: float) -> Interval:
        """`arm` minus `other` among some of the tested patients, e.g. of one site; the AUC compares within these."""
        design = self.design
        one, two = (
            side._replace(
                score=np.where(patients, side.score, np.nan),
                probability=None if side.probability is None else np.where(patients[:, None], side.probability, np.nan),
            )
            for side in (arm, other)
        )
        stratum = statistic_of(one, design, two).stratum
        return self._difference(one, two, stratum, level).primary

    def _difference(self, arm: Arm, other: Arm, stratum: NDArray[np.int64], level: float) -> Inference:
        """`arm` minus `other`, inside what two scores can differ by."""
        found = two_way(self._of(arm, other).minus(self._of(other, arm)), stratum, level=level)
        lowest, highest = LIMITS.get(self.design.metric, (-np.inf, np.inf))
        return possible(found, (lowest - highest, highest - lowest))

    def _of(self, arm: Arm, other: Arm | None = None) -> Cells:
        """Cells of `arm`; kept, since arms without gaps are the same beside every other arm."""
        gaps = np.isnan(arm.score) if other is None else np.isnan(arm.score) | np.isnan(other.score)
        key = (arm.name, gaps.tobytes())
        if key not in self._cells:
            self._cells[key] = cells_of(statistic_of(arm, self.design, other))
        return self._cells[key]

    def _resampled(self, arm: Arm, other: Arm) -> ResampledT:
        """Nadeau & Bengio's t over draws and folds, on each run's mean difference of patients' scores."""
        design = self.design
        difference = arm.score - other.score
        runs: list[float] = []
        tested: list[int] = []
        for draw in range(design.draws):
            for fold in np.unique(design.fold[draw][design.fold[draw] >= 0]):
                rows = design.fold[draw] == fold
                values = difference[draw][:, rows]
                known = ~np.isnan(values)
                runs.append(float(values[known].mean()) if known.any() else float("nan"))
                tested.append(int(rows.sum()))
        trained = float(np.mean(design.budgets))
        return corrected_t(np.array(runs), tested=float(np.mean(tested)), trained=trained, level=self.rules.level)


def possible(found: Inference, limits: tuple[float, float] | None) -> Inference:
    """The same intervals without the values that a score or a difference can't take; None: any value can be."""
    if limits is None:
        return found

    def cut(one: Interval) -> Interval:
        low, high = np.clip([one.low, one.high], *limits)  # NaN stays NaN
        return one._replace(low=float(low), high=float(high))

    return Inference(cut(found.primary), tuple(cut(one) for one in found.budgets))


def mean_over_draws(observed: np.ndarray) -> np.ndarray:
    """(draws, budgets) to (budgets,), NaN where no draw has a score."""
    known = ~np.isnan(observed)
    return np.where(known.any(0), np.where(known, observed, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def best_by_validation(validation: Mapping[str, pd.DataFrame], arms: list[str]) -> str | None:
    """The arm with the highest mean score of its chosen trials on validation patients, never on test patients.

    validation: per arm, columns budget, chosen, score (all draws). None when no arm has such a score.
    """
    means: dict[str, float] = {}
    for name in arms:
        table = validation[name]
        budget, score = table["budget"].to_numpy(np.int64), table["score"].to_numpy(float)
        chosen = table["chosen"].to_numpy(bool) & np.isfinite(score)
        if chosen.any():
            means[name] = float(np.mean([score[chosen & (budget == b)].mean() for b in np.unique(budget[chosen])]))
    return max(means, key=lambda name: (means[name], -arms.index(name))) if means else None


def primary_pair(arms: list[str], partners: Mapping[str, str]) -> tuple[str, str] | None:
    """The declared comparison: dbn − scratch, or the first prior arm that has its partner; None when there is none.

    partners: prior arm to the arm with the same network and a random start.
    """
    pairs = [(arm, partners[arm]) for arm in ["dbn", *arms] if arm in arms and partners.get(arm) in arms]
    return pairs[0] if pairs else None


def secondary_pairs(
    arms: list[str], partners: Mapping[str, str], best: str | None, primary: tuple[str, str]
) -> list[tuple[str, str]]:
    """Every prior arm against its partner and against the best arm without a prior, the primary pair left out."""
    pairs = [(arm, other) for arm in arms if arm in partners for other in (partners[arm], best) if other in arms]
    return [pair for pair in dict.fromkeys(pairs) if pair != primary]


def adjusted(comparisons: list[Comparison]) -> list[float]:
    """Holm's p values of the secondary comparisons, from the two-way distribution."""
    return holm([one.inference.primary.p for one in comparisons])
