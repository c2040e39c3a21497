"""Tables beyond one number for patient tasks with two classes: calibration, reliability, net benefit, ROC and PR per arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from scanprior.evidence.calibration import calibration, net_benefit, reliability
from scanprior.evidence.leaks import Leak
from scanprior.evidence.metrics import Array
from scanprior.evidence.precision_recall import precision_recall
from scanprior.evidence.roc import roc_curve
from scanprior.evidence.shortcuts import Shortcut
from scanprior.evidence.tables import Arm, Design

THRESHOLDS = np.arange(0.05, 0.96, 0.05)
RATES = np.linspace(0, 1, 41)
RECALLS = np.linspace(0.025, 1, 40)


def probability_tables(arms: Sequence[Arm], design: Design, seeds: Callable[..., int]) -> dict[str, pd.DataFrame]:
    """calibration, reliability, net_benefit, roc, precision_recall: a row or curve per arm at the largest budget; {} if none applies.

    Each patient's probability is averaged over the draws, except in the last two, where models are ranked one by one.
    """
    if len(design.classes) != 2 or any(arm.probability is None for arm in arms):
        return {}
    names = ("calibration", "reliability", "net_benefit", "roc", "precision_recall")
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    for arm in arms:
        if arm.probability is None or np.isnan(arm.probability[:, -1, :, 1]).all():
            continue
        each = arm.probability[:, -1, :, 1]
        mean = _mean(each)
        model, everyone = net_benefit(mean, design.label, THRESHOLDS)
        roc = roc_curve(each, design.label, design.fold, RATES, seed=seeds("evaluate", "roc"))
        found["calibration"].append(pd.DataFrame([calibration(mean, design.label)]))
        found["reliability"].append(pd.DataFrame(reliability(mean, design.label)))
        found["net_benefit"].append(pd.DataFrame({"threshold": THRESHOLDS, "benefit": model, "everyone": everyone}))
        found["roc"].append(pd.DataFrame(roc._asdict()))
        curve = precision_recall(each, design.label, design.fold, RECALLS, seed=seeds("evaluate", "roc"))
        found["precision_recall"].append(pd.DataFrame(curve._asdict()))
        for tables in found.values():
            tables[-1].insert(0, "arm", arm.name)
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items() if tables}


def covariates(patients: pd.DataFrame, scans: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """What is known of each of `names` besides the image: site, age, sex, number of scans; and of the first scan:

    scanner, format, modality, files, matrix, third of the acquisition dates (period) and of the places in the delivery.
    """
    first = scans.sort_values(by="order", kind="stable").drop_duplicates("patient").set_index("patient")
    table = patients.set_index("patient").loc[list(names), ["site", "age", "sex", "n_scans"]]
    of_scan = ["scanner", "format", "modality", "n_files", "matrix", "period", "delivery"]
    return table.join(first[[name for name in of_scan if name in first]])


def shortcut_notes(found: Sequence[Shortcut]) -> list[Leak]:
    """A suspect covariate as a finding that is shown but doesn't stop the study."""
    return [
        Leak(
            "shortcut",
            False,
            f"{one.name} alone tells the label with a balanced accuracy of {one.accuracy:.2f}, where {one.chance:.2f} is "
            f"chance (p = {one.p_holm:.3f}): a model may have learnt it instead of the anatomy",
            (),
        )
        for one in found
        if one.suspect
    ]


def _mean(each: Array) -> Array:
    """(draws, patients) to each patient's mean over the draws that have one."""
    known = ~np.isnan(each)
    number = known.sum(0)
    return np.where(number > 0, np.where(known, each, 0.0).sum(0) / np.maximum(number, 1), np.nan)
