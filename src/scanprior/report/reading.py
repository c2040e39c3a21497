"""From the tables and JSON values that stages leave to the parts of a report: frames in, frozen values out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanprior.report.content import (
    ArmRow,
    Check,
    Cost,
    Curve,
    Deidentification,
    Difference,
    Multiplier,
    Quarantined,
    Table,
    Verdict,
)
from scanprior.report.numbers import count

NAN = float("nan")


def read_verdict(found: Mapping[str, Any]) -> Verdict | None:
    """The verdict of a verdict.json; None when it has no primary comparison."""
    primary = found.get("primary")
    if not primary:
        return None
    saved = found.get("label_multiplier")
    multiplier = None
    if saved:
        multiplier = Multiplier(saved["estimate"], saved["low"], saved["high"], tuple(saved.get("censored") or ()))
    stopped = tuple(check.sentence for check in read_checks(found) if check.passed is False)
    return Verdict(
        outcome=found["verdict"], primary=_difference(primary, None), margin=primary["margin"], level=primary["level"],
        patients=primary["patients"], multiplier=multiplier, patients_needed=found.get("patients_needed"),
        note=primary.get("note") or "", stopped=stopped,
    )  # fmt: skip


def read_differences(found: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Primary comparison with its budgets, then the one against the best arm without a prior, then the other ones."""
    primary = found.get("primary")
    if not primary:
        return ()
    rows = [_difference(primary, None)]
    for row in found.get("budgets") or []:
        rows.append(_difference({**row, "arm": primary["arm"], "other": primary["other"]}, row["budget"]))
    seen = {(primary["arm"], primary["other"])}
    secondary = found.get("secondary") or []
    holm = {(row["arm"], row["other"]): row for row in secondary}
    for row in [found.get("against_best"), *secondary]:
        if row and (pair := (row["arm"], row["other"])) not in seen:
            seen.add(pair)
            rows.append(_difference(holm.get(pair, row), None))
    return tuple(rows)


def _difference(row: Mapping[str, Any], budget: int | None) -> Difference:
    delta, low, high = (NAN if row[key] is None else float(row[key]) for key in ("delta", "low", "high"))
    return Difference(row["arm"], row["other"], budget, delta, low, high, row.get("p"), row.get("p_holm"))


def read_checks(found: Mapping[str, Any]) -> tuple[Check, ...]:
    """Canaries and leak findings; a canary without its answer or a proved leak has not passed."""
    checks = [
        Check(str(canary.get("name", "canary")), bool(canary.get("passed")), str(canary.get("sentence", "")))
        for canary in found.get("canaries") or []
    ]
    for leak in found.get("leaks") or []:
        checks.append(Check(str(leak["check"]), False if leak.get("proof") else None, str(leak["sentence"])))
    return tuple(checks)


def read_arms(found: Mapping[str, Any], chosen: Mapping[str, pd.DataFrame]) -> tuple[ArmRow, ...]:
    """Trials, seconds and the settings chosen most often; `chosen`: arm → validation table of all draws."""
    rows: list[ArmRow] = []
    for arm in found.get("arms") or []:
        table = chosen.get(arm["arm"])
        settings = ""
        if table is not None and not table.empty:
            params = table.loc[table["chosen"].astype(bool), "params"]
            settings = _settings(params.value_counts(sort=False).sort_index().idxmax()) if len(params) else ""
        rows.append(ArmRow(arm["arm"], settings, arm.get("trials"), arm.get("seconds")))
    return tuple(rows)


def _settings(params: str) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
                     for name, value in sorted(json.loads(params).items()))  # fmt: skip


def per_draw(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean score of each arm, budget and draw: arm, budget, draw, score."""
    return scores.groupby(["arm", "budget", "draw"], sort=False, as_index=False)["score"].mean()


def dice_per_class(scores: pd.DataFrame) -> pd.DataFrame | None:
    """arm, class, budget, mean over patients and draws; None where no map was predicted."""
    columns = [column for column in scores if str(column).startswith("dice_")]
    if not columns:
        return None
    means = scores.groupby(["arm", "budget"], sort=False)[columns].mean()
    means = means.rename(columns=lambda name: name.removeprefix("dice_"))
    return means.melt(ignore_index=False, var_name="class", value_name="mean").reset_index()


def worst_patients(
    scores: pd.DataFrame, patients: pd.DataFrame, arms: Sequence[str], *, number: int = 8
) -> pd.DataFrame | None:
    """The patients with the lowest score of `arms[0]` at the largest budget, mean over draws, beside the other `arms`.

    Patient tasks show the probability of the true class, voxel tasks the Dice of each class as well.
    """
    last = scores[(scores["budget"] == scores["budget"].max()) & scores["arm"].isin(arms)].merge(
        patients[["patient", "order", "label", "site"]], on="patient", how="left"
    )
    if last[last["arm"] == arms[0]].empty:
        return None
    classes = [str(column) for column in scores if str(column).startswith("p_")]
    if classes:
        truth = last["label"].map({column.removeprefix("p_"): place for place, column in enumerate(classes)})
        known = truth.notna()
        given = last.loc[known, classes].to_numpy(float)
        last = last[known].assign(shown=given[np.arange(len(given)), truth[known].astype(int)])
    else:
        last = last.assign(shown=last["score"])
    means = last.groupby(["order", "patient", "arm"])["shown"].mean().unstack("arm")
    means = means[[arm for arm in arms if arm in means]].sort_values(arms[0], kind="stable").head(number)
    table = means.reset_index().drop(columns="order").rename_axis(columns=None)
    about = patients.set_index("patient")
    for column in ("site", "label"):
        values = about[column].reindex(table["patient"])
        if values.notna().any():
            table.insert(1, column, values.fillna("–").astype(str).to_numpy())
    for column in [str(column) for column in scores if str(column).startswith("dice_")]:
        own = last[last["arm"] == arms[0]].groupby("patient")[column].mean()
        table[f"{arms[0]}: {column.removeprefix('dice_')}"] = own.reindex(table["patient"]).to_numpy()
    return table


def cohort_table(patients: pd.DataFrame, scans: pd.DataFrame) -> Table:
    """What the cohort is made of; age and sex only as coarse counts."""
    ages = patients["age"].dropna().astype(float)
    sexes = patients["sex"].dropna()
    return (
        ("patients", count(len(patients))),
        ("of them labelled", count(int(patients["labelled"].astype(bool).sum()))),
        ("scans", count(len(scans))),
        ("format", _counts(scans["format"])),
        ("modality", _counts(scans["modality"])),
        ("scanners", _counts(scans["scanner"])),
        ("sites", _counts(patients["site"])),
        ("age in years", f"median {ages.median():.0f}, quartiles {ages.quantile(0.25):.0f} to {ages.quantile(0.75):.0f}"
         f" (known of {count(len(ages))})" if len(ages) >= 5 else "not known"),
        ("sex", _counts(sexes) if len(sexes) else "not known"),
    )  # fmt: skip


def _counts(values: pd.Series) -> str:
    known = values.dropna().astype(str)
    if known.empty:
        return "not known"
    numbers = known.value_counts().sort_index()
    return ", ".join(f"{name} ({count(int(number))})" for name, number in numbers.items())


def label_table(patients: pd.DataFrame) -> Table:
    """(class, patients) of a patient task."""
    labels = patients.loc[patients["labelled"].astype(bool), "label"].dropna().astype(str)
    numbers = labels.value_counts().sort_index()
    return tuple((str(name), f"{count(int(number))} patients") for name, number in numbers.items())


def quarantined(table: pd.DataFrame) -> tuple[Quarantined, ...]:
    """Rows of the quarantine tables with their stage, in the order of the stages."""
    rows: list[Quarantined] = []
    for row in table.to_dict("records"):
        patient = None if pd.isna(row["patient"]) else str(row["patient"])
        rows.append(Quarantined(str(row["stage"]), str(row["item"]), patient, str(row["reason"]), str(row["sentence"])))
    return tuple(rows)


def deidentification(
    summaries: Sequence[Mapping[str, Any]], *, profile: str, faces: str, text: str
) -> Deidentification | None:
    """The sum of the shards' summaries; nested counts are named by their path."""
    if not summaries:
        return None
    totals: dict[str, int] = {}
    for summary in summaries:
        for name, number in _leaves(summary, ""):
            totals[name] = totals.get(name, 0) + number
    removed = sum(number for name, number in totals.items() if re.search(r"faces?: (removed|defaced)", name))
    kept = sum(number for name, number in totals.items() if name.startswith("face")) - removed
    return Deidentification(profile, faces, text, tuple(totals.items()), removed, max(kept, 0))


def _leaves(value: Mapping[str, Any], path: str) -> Iterable[tuple[str, int]]:
    for key, item in value.items():
        name = f"{path}: {key}".removeprefix(": ").replace("_", " ").replace("-", " ")
        if isinstance(item, Mapping):
            yield from _leaves(item, name)
        elif isinstance(item, int) and not isinstance(item, bool):
            yield name, item


def pretraining_curves(metrics: Mapping[str, pd.DataFrame]) -> tuple[Curve, ...]:
    """Curves from metrics tables (key like layer1/reconstruction, step, value), by prior; one panel per measure."""
    found: list[Curve] = []
    for prior, table in metrics.items():
        for key, rows in table.groupby("key", sort=True):
            layer, _, measure = str(key).rpartition("/")
            rows = rows[np.isfinite(rows["value"])].sort_values("step")
            if layer and len(rows):
                label = re.sub(r"(\D)(\d)", r"\1 \2", layer)
                label = f"{prior}, {label}" if len(metrics) > 1 else label
                panel = MEASURES.get(measure, measure.replace("_", " "))
                found.append(Curve(panel, label, tuple(rows["step"].astype(float)), tuple(rows["value"].astype(float))))
    order = list(dict.fromkeys([*MEASURES.values(), *(curve.panel for curve in found)]))
    return tuple(sorted(found, key=lambda curve: order.index(curve.panel)))


MEASURES = {
    "reconstruction": "reconstruction error, trained patches",
    "unseen_reconstruction": "reconstruction error, unseen patients",
    "activation": "mean activity of hidden units",
}


def training_curves(histories: Mapping[str, pd.DataFrame], chosen: Mapping[str, pd.DataFrame]) -> tuple[Curve, ...]:
    """Validation loss by epoch, mean over draws and folds of the chosen trial; a panel per arm, a line per budget.

    histories: arm → draw, budget, fold, trial, epoch, valid_loss. chosen: arm → draw, budget, fold, trial, chosen.
    """
    found: list[Curve] = []
    for arm, history in histories.items():
        if history.empty or arm not in chosen:
            continue
        picked = chosen[arm].loc[chosen[arm]["chosen"].astype(bool), ["draw", "budget", "fold", "trial"]]
        rows = history.merge(picked, on=["draw", "budget", "fold", "trial"])
        for budget, part in rows.groupby("budget"):
            means = part.groupby("epoch")["valid_loss"].mean()
            means = means[np.isfinite(means)]
            if len(means) > 1:
                label = f"{budget} patients"
                found.append(Curve(arm, label, tuple(means.index.astype(float)), tuple(means.astype(float))))
    return tuple(found)


def costs(records: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> tuple[Cost, ...]:
    """Sums over each stage's jobs, the largest memory of any job."""
    found: list[Cost] = []
    for stage in stages:
        own = [record for record in records if record.get("stage") == stage]
        if own:
            wall, cpu, gpu, disk = (sum(float(record.get(key) or 0) for record in own)
                                    for key in ("wall_seconds", "cpu_seconds", "gpu_seconds", "output_mb"))  # fmt: skip
            memory = max(float(record.get("peak_memory_mb") or 0) for record in own)
            found.append(Cost(stage, len(own), wall, cpu, gpu, memory, disk))
    return tuple(found)


def machines(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every machine that made a number, in words."""
    seen: dict[str, None] = {}
    for record in records:
        machine = record.get("machine") or {}
        if machine:
            chip, cores = machine.get("processor", "an unknown processor"), machine.get("cores", "?")
            kind = f"{machine.get('system', '')} {machine.get('machine', '')}".strip()
            seen[f"{chip}, {cores} cores, instruction set {machine.get('instruction_set', 'unknown')} ({kind})"] = None
    return tuple(seen)


def versions(records: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Versions in all records; two versions of one package stand side by side."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in (record.get("versions") or {}).items():
            found.setdefault(name, set()).add(str(version))
    return tuple((name, " and ".join(sorted(found[name]))) for name in sorted(found, key=str.lower))


def seen_of_tested(patients_seen: Iterable[str], split: Mapping[str, Any], context: str) -> int:
    """How many tested patients a prior saw; `context` d<draw>-f<fold> concerns the patients tested there alone."""
    place = re.fullmatch(r"d(\d+)-f(\d+)", context)
    tested = set() if place else set(split.get("test") or ())
    for draw in split["draws"]:
        if place is None or (int(place[1]), int(place[2])) == (draw["draw"], draw["fold"]):
            tested |= set(draw["test"])
    return len(tested & set(patients_seen))
