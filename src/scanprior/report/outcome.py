"""What the evaluation found, from verdict.json and the score tables to the report's values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scanprior.report.annex import Worst
from scanprior.report.content import (
    ArmRow,
    ClassMean,
    Difference,
    Dot,
    Line,
    Multiplier,
    Point,
    Probabilities,
    Verdict,
)
from scanprior.report.numbers import count, listed

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
    return Verdict(
        outcome=found["verdict"], primary=_difference(primary, None), margin=primary["margin"], level=primary["level"],
        patients=primary["patients"], draws=primary["draws"], multiplier=multiplier,
        patients_needed=found.get("patients_needed"), draws_needed=primary.get("draws_needed"),
        note=primary.get("note") or "",
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


def read_best_of(table: pd.DataFrame | None) -> tuple[Line, ...]:
    """Lines of best_of.parquet (arm, trials, score); arms with a single trial have nothing to show."""
    if table is None:
        return ()
    lines = _lines(
        table.assign(trials=table["trials"].astype(float)), list(dict.fromkeys(table["arm"])), "trials", "score"
    )
    return tuple(line for line in lines if len(line.x) > 1)


def read_arms(
    found: Mapping[str, Any], chosen: Mapping[str, pd.DataFrame], seconds: Mapping[str, float]
) -> tuple[ArmRow, ...]:
    """Trials, training time and the settings chosen most often; `chosen`: arm → validation table of all draws."""
    rows: list[ArmRow] = []
    for arm in found.get("arms") or []:
        table = chosen.get(arm["arm"])
        settings = ""
        if table is not None and not table.empty:
            params = table.loc[table["chosen"].astype(bool), "params"]
            settings = _settings(params.value_counts(sort=False).sort_index().idxmax()) if len(params) else ""
        rows.append(ArmRow(arm["arm"], settings, arm.get("trials"), seconds.get(arm["arm"])))
    return tuple(rows)


def _settings(params: str) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
                     for name, value in sorted(json.loads(params).items()))  # fmt: skip


def read_gaps(
    found: Mapping[str, Any], summary: Mapping[str, Any], skipped: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    """What was planned and is missing; `skipped`: arm → cell of a draw → why it was not trained."""
    sentences = [
        f"{arm['arm']}: {count(arm['got'])} of {count(arm['planned'])} planned scores are there."
        for arm in found.get("arms") or []
        if arm.get("got", 0) < arm.get("planned", 0)
    ]
    for arm, cells in skipped.items():
        reasons = sorted(set(cells.values()))
        sentences += [f"{arm}, {listed([c for c in cells if cells[c] == reason])}: {reason}." for reason in reasons]
    without = summary.get("without_scores") or []
    if without:
        sentences.append(f"Tested patients without any score: {listed(without)}.")
    if summary.get("unlabelled_test_patients"):
        sentences.append(f"Test patients without a label, left out: {count(summary['unlabelled_test_patients'])}.")
    return tuple(sentences)


def points(curves: pd.DataFrame) -> tuple[Point, ...]:
    """The rows of curves.parquet."""
    columns = ["arm", "budget", "mean", "low", "high"]
    return tuple(Point(str(arm), int(budget), *map(float, rest)) for arm, budget, *rest in _rows(curves[columns]))


def dots(scores: pd.DataFrame) -> tuple[Dot, ...]:
    """Mean score of each arm and budget in each draw."""
    means = scores.groupby(["arm", "budget", "draw"], sort=False, as_index=False)["score"].mean()
    return tuple(Dot(str(arm), int(budget), float(mean)) for arm, budget, _, mean in _rows(means))


def dice_per_class(scores: pd.DataFrame) -> tuple[ClassMean, ...]:
    """Mean over patients and draws of every column dice_<class>."""
    found: list[ClassMean] = []
    for column in [column for column in scores if str(column).startswith("dice_")]:
        means = scores.groupby(["arm", "budget"], sort=False, as_index=False)[column].mean()
        name = str(column).removeprefix("dice_")
        found += [ClassMean(str(arm), name, int(budget), float(mean)) for arm, budget, mean in _rows(means)]
    return tuple(found)


def read_probabilities(tables: Mapping[str, pd.DataFrame], arms: Sequence[str]) -> Probabilities | None:
    """Lines of `arms` and calibration of all arms from the evaluation's tables; None when there are none.

    tables: roc (arm, fpr, tpr, low, high), precision_recall (arm, recall, precision, low, high, prevalence),
    reliability (arm, predicted, observed, low, high), net_benefit (arm, threshold,
    benefit, everyone), calibration (arm, slope, intercept, brier).
    """
    if not tables:
        return None
    benefit = _lines(tables.get("net_benefit"), arms, "threshold", "benefit")
    if benefit:
        benefit += tuple(
            one._replace(arm="everyone") for one in _lines(tables["net_benefit"], arms[:1], "threshold", "everyone")
        )
    columns = ["arm", "slope", "intercept", "brier"]
    calibration = tables.get("calibration", pd.DataFrame(columns=columns))
    recalled = _lines(tables.get("precision_recall"), arms, "recall", "precision")
    if recalled:
        # Guessing has no band, so only its line is taken.
        guessed = _lines(tables["precision_recall"], arms[:1], "recall", "prevalence")
        recalled += tuple(Line("guessing", line.x, line.y) for line in guessed)
    return Probabilities(
        _lines(tables.get("roc"), arms, "fpr", "tpr"),
        recalled,
        _lines(tables.get("reliability"), arms, "predicted", "observed"),
        benefit,
        tuple(
            (str(arm), float(slope), float(shift), float(brier))
            for arm, slope, shift, brier in _rows(calibration[columns])
        ),
    )


def _lines(table: Any, arms: Sequence[str], x: str, y: str) -> tuple[Line, ...]:
    found: list[Line] = []
    for arm in arms:
        rows: Any = table[table["arm"] == arm] if table is not None else None
        if rows is not None and len(rows):
            sides = [tuple(map(float, rows[side])) if side in rows else () for side in (x, y, "low", "high")]
            found.append(Line(arm, *sides))
    return tuple(found)


def _rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def worst_patients(
    scores: pd.DataFrame, patients: pd.DataFrame, arms: Sequence[str], *, number: int = 8
) -> Worst | None:
    """The patients with the lowest score of `arms[0]` at the largest budget, mean over draws, beside the other `arms`.

    Patient tasks show the probability of the true class, voxel tasks the Dice of each class as well.
    """
    about = {row["patient"]: row for row in patients.to_dict("records")}
    last: Any = scores[(scores["budget"] == scores["budget"].max()) & scores["arm"].isin(list(arms))]
    dice = [str(column) for column in scores if str(column).startswith("dice_")]
    shown: dict[str, dict[str, float]] = {arm: {} for arm in arms}
    parts: dict[str, list[float]] = {}
    for (arm, patient), rows in last.groupby(["arm", "patient"]):
        truth = f"p_{about[patient]['label']}"
        shown[arm][patient] = float(rows[truth if truth in rows else "score"].mean())
        if arm == arms[0]:
            parts[patient] = [float(rows[column].mean()) for column in dice]
    first = shown[arms[0]]
    ranked = sorted(first, key=lambda patient: (first[patient], about[patient]["order"]))[:number]
    if not ranked:
        return None
    facts = [fact for fact in ("label", "site") if any(not pd.isna(row[fact]) for row in about.values())]
    columns = ("patient", *facts, *arms, *(f"{arms[0]}: {column.removeprefix('dice_')}" for column in dice))
    rows = tuple(
        (patient, *(_text(about[patient][fact]) for fact in facts),
         *(shown[arm].get(patient, NAN) for arm in arms), *parts[patient])
        for patient in ranked
    )  # fmt: skip
    return Worst("Dice" if dice else "probability given to the true class", columns, rows)


def _text(value: Any) -> str:
    return "–" if pd.isna(value) else str(value)
