"""What a study knows about itself, in sentences by name: the checklists and the methods paragraph are made of these."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scanprior.report.content import ReportContent
from scanprior.report.numbers import averaged_over, count, listed, metric_meaning, metric_name, percent, score, signed
from scanprior.report.words import SCOPES, banners, by_site, describe_arm, needed, opening


def facts(content: ReportContent) -> dict[str, str]:
    """Name → sentences; an empty text where this study's files have no answer."""
    return {**_question(content), **_cohort(content), **_methods(content), **_results(content), **_openness(content)}


def _question(content: ReportContent) -> dict[str, str]:
    study, verdict, said = content.study, content.verdict, opening(content)
    what = f"tell {listed(study.classes)} apart" if study.task == "patient" else f"segment {listed(study.classes)}"
    estimand = ""
    if verdict:
        first, other = verdict.primary.arm, verdict.primary.other
        estimand = (
            f"Estimand: difference in {metric_name(study.metric)} ({first} minus {other}) for a new patient, "
            f"{averaged_over(study.budgets)}, in the mean over which patients are labelled; "
            f"margin {score(verdict.margin)}."
        )
    return {
        "question": f"Development and internal evaluation of networks that {what}, with and without unsupervised "
                    "pretraining on unlabelled scans.",
        "estimand": estimand,
        "result": f"{said.claim}: {said.facts}",
        "next": f"What would decide it: {needed(verdict)}." if verdict and verdict.outcome == "inconclusive" else "",
        "limits": " ".join([
            *(f"{title}: {sentence}" for title, sentence in banners(study)),
            "The intervals do not cover other hospitals than those of the cohort, nor priors that were pretrained from "
            "another seed.",
        ]),
    }  # fmt: skip


def _cohort(content: ReportContent) -> dict[str, str]:
    study, known = content.study, {row[0]: row[1] for row in content.cohort}
    aside, facts_of = len(content.quarantine), content.deidentification
    reasons = sorted({item.reason for item in content.quarantine})
    set_aside = f"{count(aside)} items were set aside ({listed(reasons)})." if aside else "No item had to be set aside."
    classes = listed([f"{name} ({number})" for name, number in (row[:2] for row in content.classes)])
    maps = f"Label maps with the classes {listed(study.classes)}, as delivered with the cohort."
    ages = [f"{name}: {known[name]}" for name in ("age in years", "sex") if known.get(name, "not known") != "not known"]
    flow = [f"{name}: {number}" for name, number in (row[:2] for row in content.scope_counts)]
    return {
        "data": _rows("Simulated cohort: " if study.simulated else "Cohort: ", known,
                      ("patients", "of them labelled", "scans", "format", "modality", "scanners")),
        "sites": _rows("Sites under letters: ", known, ("sites",), bare=True),
        "quarantine": set_aside,
        "deidentification": f"De-identified with the {facts_of.profile} profile; faces: {facts_of.faces}; text in the picture: "
                            f"{facts_of.text}; pseudonyms by a keyed hash." if facts_of else "",
        "reference": maps if study.task == "voxel" else
                     f"A class per patient ({listed(study.classes)}) from the label table that came with the cohort.",
        "classes": f"{classes}." if content.classes else "",
        "characteristics": f"{'; '.join(ages)}." if ages else "",
        "flow": f"{'; '.join(flow)}. {set_aside}" if flow else set_aside,
        "missing": " ".join(content.gaps) or "Every planned score is there.",
        "inputs": f"Voxel intensities of the prepared scans{_sizes(study.patch_size)}; no clinical variable"
                  f"{' but in the arm covariates' if 'covariates' in study.arms else ''}.",
        "no_reader": "No reader's judgement enters the predictors.",
        "blinding": "The networks see voxels alone; labels of tested patients enter their scores and nothing else.",
        "external": "There is no external test set: all tested patients belong to this cohort.",
    }  # fmt: skip


def _methods(content: ReportContent) -> dict[str, str]:
    study, verdict = content.study, content.verdict
    setup = {row[0]: row[1] for row in study.setup}
    level = percent(verdict.level) if verdict else "95 %"
    described = [f"{arm} ({described})" if (described := describe_arm(arm)) else arm for arm in study.arms]
    priors = [f"{prior.name} ({prior.description}): {count(prior.patches)} patches of {count(prior.patients)} patients"
              for prior in content.priors]  # fmt: skip
    patient = study.task == "patient"
    ways = [name for name in setup if name.startswith("pretraining")]
    return {
        "preparation": _rows("Prepared scans: ", setup, ("voxel size", "intensity")),
        "patches": _rows("Taken from each scan: ", setup, ("patches",)),
        "partitions": _rows("Split by patient: ", setup, ("test",), bare=True) + f" Scope {study.scope}: {SCOPES.get(study.scope, '')}.",
        "budgets": f"Budgets of {listed(study.budgets)} labelled patients, validation included, nested in each of "
                   f"{study.draws} draws that all arms share.",
        "disjoint": " ".join(check.sentence for check in content.checks if check.kind == "leak" and check.passed),
        "model": f"Arms: {'; '.join(described)}.",
        "initialisation": "An arm's description says whether its network starts from a prior; all others start at random.",
        "prior": f"Priors: {'; '.join(priors)}. {_rows('Their settings: ', setup, ['prior', *ways])}" if priors else "",
        "training": f"Every arm has {study.trials} tuning trials on the same draws; the settings chosen are in the table of arms."
                    + (" Which way of pretraining an arm starts from is one of them." if len(ways) > 1 else ""),
        "selection": "Trial and epoch are chosen on validation patients, who count as labelled; tested patients choose nothing.",
        "no_ensemble": "No ensemble enters a score: each prediction comes from one network"
                       f"{'; calibration and net benefit are those of probabilities averaged over the draws' if patient else ''}.",
        "imbalance": "Labelled patients are drawn in equal numbers per class while each class has some left; probabilities are "
                     "not recalibrated." if patient else
                     "Training patches are balanced over the classes; their log-odds are corrected for how often the "
                     "classes occur, with a strength chosen on validation patients.",
        "output": "A probability per class for each patient; no threshold is applied." if patient else
                  "The most likely class of every voxel in the predicted region.",
        "metrics": f"{metric_name(study.metric)}: {metric_meaning(study.metric)}; higher is better.",
        "uncertainty": f"{level} intervals over patients and draws (patients: Student t, with and without a correction for "
                       "skewness, the more cautious at each end; draws: Student t; added as independent); secondary "
                       "comparisons are adjusted by Holm.",
        "no_updating": "No model was updated after its evaluation.",
        "robustness": f"{study.draws} draws of labelled patients, {len(study.budgets)} budgets, {len(study.arms)} arms under "
                      "the same rules.",
        "explanations": "First-layer filters and reconstructions of the prior are shown; single predictions are not explained.",
    }  # fmt: skip


def _results(content: ReportContent) -> dict[str, str]:
    study, verdict = content.study, content.verdict
    last = [point for point in content.points if point.budget == study.budgets[-1] and math.isfinite(point.mean)]
    scores = [f"{point.arm} {score(point.mean)} ({score(point.low)} to {score(point.high)})" for point in last]
    fits = content.probabilities.calibration if content.probabilities else ()
    calibrated = [f"{arm}: slope {score(slope, 2)}, intercept {signed(shift, 2)}, Brier score {score(brier)}"
                  for arm, slope, shift, brier in fits]  # fmt: skip
    told = [one for one in content.shortcuts if math.isfinite(one.accuracy)]
    best = max(told, key=lambda one: one.accuracy) if told else None
    worst = content.worst
    return {
        "sample_size": f"{count(verdict.patients)} tested patients, {verdict.draws} draws." if verdict else "",
        "power": content.power,
        "performance": f"{metric_name(study.metric)} with {study.budgets[-1]} labelled patients: {'; '.join(scores)}." if scores else "",
        "calibration": f"Calibration of probabilities averaged over the draws, {study.budgets[-1]} labelled patients: "
                       f"{'; '.join(calibrated)}." if calibrated else "",
        "failures": f"The {len(worst.rows)} tested patients with the lowest scores are listed under pseudonyms." if worst else "",
        "shortcuts": f"Of {len(told)} covariates the strongest alone, {best.name}, tells the label with a balanced accuracy of "
                     f"{score(best.accuracy, 2)} (chance {score(best.chance, 2)})." if best else "",
        "heterogeneity": by_site(content.sites, verdict.level) if verdict else "",
        "fairness": "The difference was compared between sites; by age or sex it was not." if content.sites else
                    "Neither sites nor ages or sexes were compared.",
    }  # fmt: skip


def _openness(content: ReportContent) -> dict[str, str]:
    origin = content.provenance
    plan = origin.plan_sha256 or ""
    deviations = f"; deviations: {'; '.join(origin.deviations)}" if origin.deviations else "; no deviation"
    frozen = f"The plan was frozen before the first result (sha256 {plan}){deviations}."
    versions = dict(origin.versions)
    named = [
        f"{name} {versions[name]}"
        for name in ("scanprior", "python", "torch", "scikit-learn", "numpy")
        if name in versions
    ]
    machines = f" on {listed(origin.machines)}" if origin.machines else ""
    return {
        "protocol": "" if not plan else frozen if origin.frozen else
                    f"No plan was frozen beforehand; the plan as it was run has the sha256 {plan}.",
        "software": f"{listed(named)}{machines}." if named else "",
        "reproducibility": f"Study {content.study.name}, seed {origin.seed}"
                           f"{f', split {origin.split_sha256}' if origin.split_sha256 else ''}: the same files, key and versions give "
                           "the same splits, weights and scores.",
        "audit": "Every tested patient's score under every arm, budget and draw is kept (scores.parquet, scores.csv).",
    }  # fmt: skip


def _rows(start: str, known: dict[str, str], names: Sequence[str], *, bare: bool = False) -> str:
    """ "name value; name value." of the rows that are known; "" when none is."""
    found = [
        known[name] if bare else f"{name} {known[name]}"
        for name in names
        if known.get(name, "not known") != "not known"
    ]
    return f"{start}{'; '.join(found)}." if found else ""


def _sizes(size: Sequence[int]) -> str:
    return f" in patches of {' × '.join(map(str, size))} voxels" if size else ""
