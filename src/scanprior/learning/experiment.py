"""One arm on one draw: every fold, budget and trial, in a way that a kill can't undo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Arm, Epoch, OneClass, Predictor, Settings, merit
from scanprior.learning.bags import Bags
from scanprior.learning.cohort import Cell, Cohort
from scanprior.learning.tuning import next_settings

VALIDATION = ["budget", "fold", "trial", "params", "score", "chosen"]
HISTORY = ["budget", "fold", "trial", "epoch", "train_loss", "valid_loss", "valid_score"]
PREDICTION_SHARE = 1.0  # a cell's dense prediction takes about as long as one trial


class Results(NamedTuple):
    """The three tables of an arm and draw, and what became of each cell."""

    predictions: pd.DataFrame
    validation: pd.DataFrame
    history: pd.DataFrame
    facts: dict[str, dict[str, float]]  # cell → facts for the record
    skipped: dict[str, str]  # cell → why it has no predictions


class Trial(NamedTuple):
    """A finished fit."""

    number: int
    settings: Settings
    score: float
    history: list[Epoch]
    predictor: Predictor


def run_arm(
    arm_for: Callable[[int], Arm], cells: Sequence[Cell], cohort: Cohort, *, draw: int, trials: int, work: Path,
    seeds: Callable[..., int], log: Callable[..., None], progress: Callable[[float, float], None],
) -> Results:  # fmt: skip
    """Fit `trials` settings per cell, keep the one that is best on the validation patients, and predict the test patients.

    Args:
        arm_for: the arm of a fold (an inductive prior is trained per fold).
        work: finished epochs, fits and cells are kept here; a second call goes on from them and ends with the same bits.
        log: `log({name: value}, step=epoch)`.

    Raises:
        ScanpriorError: no cell could be fitted.
    """
    found: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        folder = work / f"fold-{cell.fold}" / f"budget-{cell.budget}"

        def advance(share: float, number: int = number) -> None:
            progress(number + share, len(cells))

        content = _read(folder / "cell.json")
        if content is None:
            content = _run_cell(arm_for(cell.fold), cell, cohort, draw, trials, folder, seeds, log, advance)
            _write(folder / "cell.json", content)
            for part in folder.glob("trial-*"):
                shutil.rmtree(part)
        for trial in content["trials"]:
            _log(log, cell, trial["trial"], [Epoch(*row) for row in trial["history"]])
        found.append(content)
        advance(1.0)
    skipped = {content["cell"]: content["skipped"] for content in found if content["skipped"]}
    if len(skipped) == len(cells):
        raise ScanpriorError(
            f"no budget can be trained: {next(iter(skipped.values()))}", hint="look at quarantine and labels"
        )
    return _tables(found, skipped, draw)


def _run_cell(
    arm: Arm, cell: Cell, cohort: Cohort, draw: int, trials: int, folder: Path, seeds: Callable[..., int],
    log: Callable[..., None], advance: Callable[[float], None],
) -> dict[str, Any]:  # fmt: skip
    name = f"fold {cell.fold}, budget {cell.budget}"
    content: dict[str, Any] = {"cell": name, "fold": cell.fold, "budget": cell.budget, "trials": [], "facts": {},
                               "skipped": None, "columns": [], "predictions": []}  # fmt: skip
    train, valid = cohort.bags(cell.train), cohort.bags(cell.valid)
    if not len(valid.targets):
        return {**content, "skipped": "no validation patient has a usable scan"}
    # Common random numbers: the seed does not name the arm, so arms that differ in one thing share all else.
    seed = seeds("fit", draw, cell.fold, cell.budget)
    fitted: list[Trial] = []
    try:
        for number in range(trials):
            settings = next_settings(arm.space, [(trial.settings, trial.score) for trial in fitted], seeds)
            place = folder / f"trial-{number}"
            fitted.append(_run_trial(arm, cell, number, settings, train, valid, seed, place, log))
            advance((number + 1) / (trials + PREDICTION_SHARE))
    except OneClass as refused:
        return {**content, "skipped": refused.message}
    best = max(
        fitted, key=lambda trial: (*merit(trial.score, min(row.valid_loss for row in trial.history)), -trial.number)
    )
    table, content["facts"] = cohort.predict(
        best.predictor, cell, lambda share: advance((trials + share * PREDICTION_SHARE) / (trials + PREDICTION_SHARE))
    )
    content["trials"] = [
        {"trial": trial.number, "settings": trial.settings, "score": trial.score, "chosen": trial is best,
         "history": [list(row) for row in trial.history]}
        for trial in fitted
    ]  # fmt: skip
    content["columns"], content["predictions"] = list(table.columns), table.to_numpy(dtype=object).tolist()
    return content


def _run_trial(
    arm: Arm, cell: Cell, number: int, settings: Settings, train: Bags, valid: Bags, seed: int, folder: Path,
    log: Callable[..., None],
) -> Trial:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    saved = _read(folder / "fit.json")
    if saved is not None:
        with np.load(folder / "predictor.npz") as arrays:
            predictor = arm.restore({key: arrays[key] for key in arrays.files})
        return Trial(number, settings, saved["score"], [Epoch(*row) for row in saved["history"]], predictor)
    fit = arm.fit(
        train,
        valid,
        seed,
        settings=settings,
        checkpoint=folder / "fit.ckpt",
        log=lambda row: _log(log, cell, number, [row]),
    )
    np.savez(folder / "predictor.npz", **fit.predictor.state())  # pyright: ignore[reportArgumentType]
    _write(folder / "fit.json", {"score": fit.score, "history": [list(row) for row in fit.history]})
    (folder / "fit.ckpt").unlink(missing_ok=True)
    return Trial(number, settings, fit.score, fit.history, fit.predictor)


def _log(log: Callable[..., None], cell: Cell, trial: int, rows: list[Epoch]) -> None:
    """Metrics of some epochs; logging a row again changes nothing, so after a kill none is missing."""
    where = f"fold-{cell.fold}/budget-{cell.budget}/trial-{trial}"
    for row in rows:
        values = row._asdict()
        log({f"{where}/{key}": value for key, value in values.items() if key != "epoch"}, step=row.epoch)


def _tables(found: list[dict[str, Any]], skipped: dict[str, str], draw: int) -> Results:
    frames: list[pd.DataFrame] = []
    validation: list[list[Any]] = []
    history: list[list[Any]] = []
    for content in found:
        where = [content["budget"], content["fold"]]
        if content["columns"]:
            frame = pd.DataFrame(content["predictions"], columns=content["columns"])
            for place, (key, value) in enumerate([("budget", where[0]), ("draw", draw), ("fold", where[1])]):
                frame.insert(place, key, value)
            frames.append(frame)
        for trial in content["trials"]:
            params = json.dumps(trial["settings"], sort_keys=True)
            validation.append([*where, trial["trial"], params, trial["score"], trial["chosen"]])
            history += [[*where, trial["trial"], *row] for row in trial["history"]]
    return Results(
        pd.concat(frames, ignore_index=True),
        pd.DataFrame(validation, columns=VALIDATION),
        pd.DataFrame(history, columns=HISTORY),
        {content["cell"]: content["facts"] for content in found if content["facts"]},
        skipped,
    )


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _write(file: Path, content: dict[str, Any]) -> None:
    part = file.with_name(f".{file.name}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(file)
