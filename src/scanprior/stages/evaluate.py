"""evaluate: all arms' predictions become scores, curves, comparisons and the verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanprior.config import StudyConfig
from scanprior.errors import StageError
from scanprior.evidence import content
from scanprior.evidence.analysis import (
    Comparer,
    Comparison,
    Rules,
    adjusted,
    best_by_validation,
    primary_pair,
    secondary_pairs,
)
from scanprior.evidence.beyond import covariates, probability_tables, shortcut_notes
from scanprior.evidence.forecast import forecast
from scanprior.evidence.interval import Inference
from scanprior.evidence.leaks import Leak, overlaps, prior_on_test, strangers
from scanprior.evidence.shortcuts import Shortcut, shortcuts
from scanprior.evidence.sites import SiteDelta, by_site
from scanprior.evidence.tables import Arm, Design, design_of, long_scores, read_arm
from scanprior.evidence.tuning import best_of
from scanprior.evidence.verdict import sentence
from scanprior.learning.catalogue import CATALOGUE, ArmName
from scanprior.pipeline import job_name
from scanprior.stages.canaries import read_canaries
from scanprior.stages.doubles import doubles
from scanprior.stages.frozen import plan
from scanprior.stages.stage import Stage, open_stage
from scanprior.study import Study


def run(study: Study) -> None:
    """Write evaluate/scores.parquet (and .csv), curves.parquet, summary.json and verdict.json (also at the study's top).

    Raises:
        StageError: when a leak is proved; no verdict is given then.
    """
    with open_stage(study, "evaluate") as stage:
        split = json.loads((study.folder("split") / "split.json").read_text(encoding="utf-8"))
        patients = pd.read_parquet(study.folder("index") / "patients.parquet")
        design = design_of(split, patients, study.config.metric)  # pyright: ignore[reportArgumentType]
        arms = [read_arm(name, _tables(study, name, "predictions"), design) for name in study.config.arms]
        leaks = overlaps(split) + [leak for arm in arms for leak in strangers(arm.name, arm.strangers)]
        leaks += _prior_leaks(study, split) + doubles(study)
        _refuse(leaks, study)
        Evaluation(stage, design, arms, patients).write(leaks)


class Evaluation:
    """The parts of one evaluation."""

    def __init__(self, stage: Stage, design: Design, arms: list[Arm], patients: pd.DataFrame) -> None:
        self.stage, self.design, self.patients = stage, design, patients
        self.arms = {arm.name: arm for arm in arms}
        evaluation = stage.study.config.evaluation
        self.rules = Rules(evaluation.margin, evaluation.level)
        self.comparer = Comparer(design, self.rules, stage.seed)
        self.canaries = read_canaries(stage.study, design)
        self.validation = {name: _tables(stage.study, name, "validation") for name in self.arms}

    def write(self, leaks: list[Leak]) -> None:
        """Write all files of the stage."""
        folder = self.stage.folder
        scores = pd.concat([self._scores(arm) for arm in self.arms.values()], ignore_index=True)
        scores.to_parquet(folder / "scores.parquet", index=False)
        scores.to_csv(folder / "scores.csv", index=False, lineterminator="\n")
        curves: dict[str, Inference] = {}
        for done, (name, arm) in enumerate(self.arms.items()):
            curves[name] = self.comparer.curve(arm)
            self.stage.progress(done + 1, len(self.arms) + 3)
        rows = [
            {"arm": name, **row}
            for name in curves
            for row in content.curve(curves[name], self.design.budgets, self.design.metric)
        ]
        pd.DataFrame(rows, columns=["arm", "budget", "mean", "low", "high"]).to_parquet(
            folder / "curves.parquet", index=False
        )
        for name, table in probability_tables(list(self.arms.values()), self.design, self.stage.seed).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        best_of(self.validation).to_parquet(folder / "best_of.parquet", index=False)
        told = self._shortcuts()
        verdict = self._verdict(curves, leaks + shortcut_notes(told))
        verdict["shortcuts"] = content.plain([one._asdict() for one in told])
        _write(folder / "verdict.json", verdict)
        _write(folder / "summary.json", self._summary())
        self.stage.top("verdict.json")
        for name, inference in curves.items():
            for budget, one in zip(self.design.budgets, inference.budgets, strict=True):
                if np.isfinite(one.estimate):
                    self.stage.log({f"{self.design.metric}/{name}": one.estimate}, step=budget)
        self.stage.note(verdict=verdict["verdict"], arms=list(self.arms))

    def _scores(self, arm: Arm) -> pd.DataFrame:
        table = long_scores(arm, self.design)
        if self.design.metric != "dice":
            return table
        raw = _tables(self.stage.study, arm.name, "predictions")
        columns = [column for column in raw if column.startswith("dice_")]
        means = raw.pivot_table(index=["budget", "draw", "patient"], values=columns, aggfunc="mean").reset_index()
        return table.merge(means, on=["budget", "draw", "patient"], how="left")

    def _shortcuts(self) -> list[Shortcut]:
        """What site, scanner, format, date, matrix and the like alone tell of the label (patient tasks): shortcuts.parquet."""
        if self.design.metric == "dice":
            return []
        scans = pd.read_parquet(self.stage.study.folder("index") / "scans.parquet")
        table = covariates(self.patients, scans, self.design.patients)
        found = shortcuts(table, self.design.label.tolist(), seed=self.stage.seed("evaluate", "shortcuts"))
        rows = pd.DataFrame(found, columns=list(Shortcut._fields))
        rows.to_parquet(self.stage.folder / "shortcuts.parquet", index=False)
        return found

    def _verdict(self, curves: dict[str, Inference], leaks: list[Leak]) -> dict[str, Any]:
        config, metric, design = self.stage.study.config, self.design.metric, self.design
        partners, names = partners_of(config), list(self.arms)
        pair = primary_pair(names, _claims(partners))
        best = best_by_validation(self.validation, [name for name in names if name not in partners])
        found: dict[str, Any] = {
            "schema": content.SCHEMA, "study": config.study, "metric": metric, "best_without_prior": best,
            "arms": [self._arm(name, curves[name]) for name in names],
            "leaks": [leak._asdict() for leak in leaks], "canaries": [one._asdict() for one in self.canaries],
            "plan": plan(self.stage.study), "power": self._power(),
        }  # fmt: skip
        failed = [canary.sentence for canary in self.canaries if not canary.passed]
        if pair is None:
            text = "Whether pretraining helps can't be told: no arm with a prior stands beside its twin without one."
            empty = {
                "primary": None,
                "against_best": None,
                "secondary": [],
                "sites": None,
                "label_multiplier": None,
                "budgets": [],
            }
            return content.plain({**found, **empty, **_outcome("inconclusive", text, failed), "patients_needed": None})
        primary = self.comparer.compare(*(self.arms[name] for name in pair))
        savings = self.comparer.savings(*(self.arms[name] for name in pair))
        one = primary.inference.primary
        needed = primary.patients_needed.patients if primary.patients_needed else None
        text = sentence(one.low, one.high, self.rules.margin, estimate=one.estimate, metric=METRIC_WORDS[metric],
                        needed=content.needed(primary), note=one.note, level=self.rules.level)  # fmt: skip
        against = self._against_best(pair, best, primary)
        return content.plain({
            **found, **_outcome(primary.verdict, text, failed),
            "primary": content.comparison(primary, self.rules, metric),
            "against_best": content.comparison(against, self.rules, metric) if against else None,
            "secondary": self._secondary(names, partners, best, pair),
            "sites": self._sites(pair), "label_multiplier": content.multiplier(savings.pooled), "patients_needed": needed,
            "budgets": content.by_budget(primary.inference, design.budgets, savings),
        })  # fmt: skip

    def _sites(self, pair: tuple[str, str]) -> dict[str, Any] | None:
        """The primary difference site by site and at the worst site; None where fewer than two sites are known."""
        site = self.patients.set_index("patient").loc[list(self.design.patients), "site"]
        one, other = (self.arms[name] for name in pair)
        rows, worst = by_site(
            [name if isinstance(name, str) else None for name in site],
            lambda patients, level: self.comparer.among(one, other, patients, level),
            self.rules.level,
        )
        pd.DataFrame(rows, columns=list(SiteDelta._fields)).to_parquet(self.stage.folder / "sites.parquet", index=False)
        if not rows:
            return None
        held_out = self.stage.study.config.evaluation.scheme == "sites"
        return {
            "held_out": held_out,
            "rows": [row._asdict() for row in rows],
            "worst": worst._asdict() if worst else None,
        }

    def _power(self) -> dict[str, Any]:
        """What the design could have detected, forecast as before training, with nothing of its scores."""
        design, rules = self.design, self.rules
        few = min(np.bincount(design.label).tolist()) if design.metric == "auc" else None
        found = forecast(design.metric, len(design.patients), design.draws, margin=rules.margin, level=rules.level,
                         positives=few)  # fmt: skip
        return {
            **found._asdict(),
            "rows": [row._asdict() | {"needed": row.needed and row.needed._asdict()} for row in found.rows],
        }

    def _against_best(self, pair: tuple[str, str], best: str | None, primary: Comparison) -> Comparison | None:
        if best is None:
            return None
        return primary if best == pair[1] else self.comparer.compare(self.arms[pair[0]], self.arms[best])

    def _secondary(
        self, names: list[str], partners: dict[ArmName, ArmName], best: str | None, pair: tuple[str, str]
    ) -> list[dict[str, Any]]:
        pairs = secondary_pairs(names, _claims(partners), best, pair)
        for arm, other in partners.items():
            if CATALOGUE[arm].control:  # what a control gains over a random start, and what the prior gains over it
                pairs += [(arm, other)] if other in names else []
                pairs.append((pair[0], arm))
        found = [self.comparer.compare(self.arms[a], self.arms[b]) for a, b in pairs]
        return [
            {**content.comparison(one, self.rules, self.design.metric), "p_holm": p}
            for one, p in zip(found, adjusted(found), strict=True)
        ]

    def _arm(self, name: str, inference: Inference) -> dict[str, Any]:
        arm, one = self.arms[name], inference.primary
        validation = self.validation[name]
        metric, budgets = self.design.metric, self.design.budgets
        return {"arm": name, **content.level(one, metric), "budgets": content.curve(inference, budgets, metric),
                "planned": self.design.planned, "got": arm.got, "trials": len(set(validation["trial"]))}  # fmt: skip

    def _summary(self) -> dict[str, Any]:
        """Planned and got, so that no gap is silent."""
        scored = np.any([~np.isnan(arm.score).all((0, 1)) for arm in self.arms.values()], axis=0)
        unlabelled = self.patients[(self.patients["split"] == "test") & ~self.patients["labelled"].astype(bool)]
        return content.plain({
            "metric": self.design.metric, "test_patients": len(self.design.patients),
            "without_scores": [name for name, has in zip(self.design.patients, scored, strict=True) if not has],
            "unlabelled_test_patients": len(unlabelled), "draws": self.design.draws,
            "budgets": list(self.design.budgets),
            "arms": {name: {"planned": self.design.planned, "got": arm.got} for name, arm in self.arms.items()},
        })  # fmt: skip


METRIC_WORDS = {"auc": "AUC", "log_loss": "log-likelihood per patient (nats)", "brier": "Brier score (sign turned)",
                "accuracy": "accuracy", "dice": "Dice"}  # fmt: skip


def partners_of(config: StudyConfig) -> dict[ArmName, ArmName]:
    """Each arm with a prior and the arm that has the same network from a random start."""
    return {arm: partner for arm in config.arms if (partner := config.partner_of(arm))}


def _outcome(verdict: str, text: str, failed: list[str]) -> dict[str, str]:
    """Verdict and sentence; a canary that failed leaves no verdict."""
    if not failed:
        return {"verdict": verdict, "sentence": text}
    return {"verdict": "stopped", "sentence": f"No verdict: {' '.join(failed)}"}


def _claims(partners: dict[ArmName, ArmName]) -> dict[str, str]:
    """The partners of arms that may carry a claim; those of controls are left out."""
    return {arm: other for arm, other in partners.items() if not CATALOGUE[arm].control}


def _tables(study: Study, arm: str, name: str) -> pd.DataFrame:
    """One table of all draws of an arm; draws that are missing are missing rows."""
    frames: list[pd.DataFrame] = []
    for draw in range(study.config.evaluation.draws):
        file = study.folder("train", job_name(arm=arm, draw=draw)) / f"{name}.parquet"
        if file.exists():
            frames.append(pd.read_parquet(file).assign(draw=draw))
    if not frames:
        raise StageError(
            f"arm {arm} has no {name} in any draw", hint="run the stage train first: scanprior run STUDY.yaml"
        )
    return pd.concat(frames, ignore_index=True)


def _prior_leaks(study: Study, split: dict[str, Any]) -> list[Leak]:
    """Test patients that a prior has seen according to its own record; a transductive prior is meant to."""
    if study.config.prior.scope == "transductive":
        return []
    found: list[Leak] = []
    for job in study.jobs("pretrain"):
        file = study.folder("pretrain", job_name(**job)) / "record.json"
        if file.exists():
            seen = json.loads(file.read_text(encoding="utf-8"))["notes"]["patients_seen"]
            where = re.fullmatch(r"d(\d+)-f(\d+)", job["context"])
            found += prior_on_test(seen, split, *(map(int, where.groups()) if where else ()))
    return found


def _refuse(leaks: list[Leak], study: Study) -> None:
    proved = [leak.sentence for leak in leaks if leak.proof]
    if proved:
        raise StageError(
            "the study leaks, so no verdict is given: " + "; ".join(proved),
            hint=f"delete results/{study.name}/split and results/{study.name}/train, then: scanprior run {study.path}",
        )


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
