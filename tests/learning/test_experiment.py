"""An arm on a draw: the tables of the contract, the best trial by validation, and nothing lost to a kill."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from easy import SHAPE, SIZE, scan, write_prepared

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Arm, Epoch, Setup
from scanprior.learning.cohort import Cell, PatientCohort, VoxelCohort
from scanprior.learning.experiment import Results, run_arm
from scanprior.learning.registry import make_arm
from scanprior.learning.slices import unpack
from scanprior.learning.training import Plan
from scanprior.patches.sampling import balanced_positions, uniform_positions
from scanprior.patches.store import PatchStore

PLAN = Plan(epochs=3, steps=10, batch=48, warm_up=3)
CELLS = [
    Cell(0, 2, ("P-0",), ("P-1",), ("P-6", "P-7")),
    Cell(0, 4, ("P-0", "P-2", "P-3"), ("P-1",), ("P-6", "P-7")),
]


def seeds(*names: object) -> int:
    return sum(map(ord, repr(names)))


def voxel_cohort(folder: Path) -> VoxelCohort:
    rows, scans, volumes = [], [], []
    for number in range(8):
        image, labels = scan(number)
        write_prepared(folder, f"S-{number}", image, labels * 3)  # label values 3 and 6
        positions, targets = balanced_positions(np.ones(SHAPE, bool), labels, 3, 60, np.random.default_rng(number))
        frame = pd.DataFrame(positions, columns=["i", "j", "k"])
        rows.append(frame.assign(row=number, patient=f"P-{number}", target=targets))
        scans.append({"scan": f"S-{number}", "patient": f"P-{number}", "stem": str(folder / f"S-{number}")})
        volumes.append(image)
    patches, table = pd.concat(rows, ignore_index=True), pd.DataFrame(scans)
    return VoxelCohort(PatchStore(volumes, SIZE), patches, table, (3, 6), ("dark", "bright"), 2)


def patient_cohort() -> PatientCohort:
    volumes = [scan(number)[0] for number in range(8)]
    rows = [
        pd.DataFrame(
            uniform_positions(np.ones(SHAPE, bool), 20, np.random.default_rng(n)), columns=["i", "j", "k"]
        ).assign(row=n, patient=f"P-{n}")
        for n in range(8)
    ]
    labels = {f"P-{number}": number % 2 for number in range(8)}
    return PatientCohort(PatchStore(volumes, SIZE), pd.concat(rows, ignore_index=True), labels, ("healthy", "ill"))


def small(name: str, *, pooled: bool = False) -> Arm:
    arm = make_arm(name, Setup(2 if pooled else 3, SIZE, (16, 8), pooled=pooled))
    return arm if "logistic" in name else dataclasses.replace(arm, plan=PLAN)  # type: ignore[type-var]


def run(
    arm: Arm, cohort: VoxelCohort | PatientCohort, work: Path, log: Callable[..., None] = lambda values, step: None
) -> Results:
    return run_arm(
        lambda fold: arm,
        CELLS,
        cohort,
        draw=3,
        trials=2,
        work=work,
        seeds=seeds,
        log=log,
        progress=lambda done, total: None,
    )


def bits(results: Results) -> list[str]:
    return [getattr(results, name).to_csv() for name in ("predictions", "validation", "history")]


def test_tables_of_a_voxel_task(tmp_path: Path) -> None:
    arm = dataclasses.replace(small("scratch"), plan=dataclasses.replace(PLAN, steps=60))  # type: ignore[type-var]
    results = run(arm, voxel_cohort(tmp_path), tmp_path / "work")
    assert list(results.predictions) == [
        "budget",
        "draw",
        "fold",
        "patient",
        "scan",
        "dice_dark",
        "dice_bright",
        "dice",
        "slice",
        "predicted",
    ]
    shown = unpack(results.predictions["predicted"].iloc[-1], SHAPE[:2])
    assert set(np.unique(shown)) == {0, 1, 2}
    assert scan(7)[1][:, :, results.predictions["slice"].iloc[-1]].any()
    assert list(zip(results.predictions["budget"], results.predictions["patient"], strict=True)) == [
        (2, "P-6"), (2, "P-7"), (4, "P-6"), (4, "P-7")]  # fmt: skip
    scores = results.predictions[["dice_dark", "dice_bright"]]
    np.testing.assert_allclose(results.predictions["dice"], scores.mean(axis=1))
    assert scores.to_numpy().min() >= 0 and scores.to_numpy().max() > 0.3
    assert list(results.validation) == ["budget", "fold", "trial", "params", "score", "chosen"]
    assert len(results.validation) == 4 and len(results.history) == 12
    for _, trials in results.validation.groupby("budget"):
        assert trials["chosen"].sum() == 1 and trials.loc[trials["chosen"], "score"].item() == trials["score"].max()
    assert json.loads(results.validation["params"][0])["learning_rate"] > 0
    assert results.facts["fold 0, budget 2"]["region_voxels"] > 0


def test_tables_of_a_patient_task(tmp_path: Path) -> None:
    results = run(small("scratch", pooled=True), patient_cohort(), tmp_path)
    assert list(results.predictions) == ["budget", "draw", "fold", "patient", "p_healthy", "p_ill"]
    np.testing.assert_allclose(results.predictions[["p_healthy", "p_ill"]].sum(axis=1), 1)
    assert set(results.predictions["draw"]) == {3}


def test_test_labels_are_never_looked_at_before_prediction(tmp_path: Path) -> None:
    cohort = patient_cohort()
    without = dataclasses.replace(cohort, labels={p: y for p, y in cohort.labels.items() if p not in ("P-6", "P-7")})
    arm = small("pca_logistic", pooled=True)
    assert bits(run(arm, cohort, tmp_path / "a")) == bits(run(arm, without, tmp_path / "b"))


def test_cell_that_cannot_be_trained_is_skipped_with_its_reason(tmp_path: Path) -> None:
    cohort = patient_cohort()
    one_class = dataclasses.replace(cohort, labels={**cohort.labels, "P-1": 0, "P-3": 0})
    with pytest.raises(ScanpriorError, match="no budget can be trained: the training data hold one class only"):
        run(small("mlp", pooled=True), one_class, tmp_path / "a")
    cells = [CELLS[0]._replace(valid=("P-unknown",)), CELLS[1]]
    results = run_arm(
        lambda fold: small("mlp", pooled=True), cells, cohort, draw=0, trials=1, work=tmp_path / "b", seeds=seeds,
        log=lambda values, step: None, progress=lambda done, total: None,
    )  # fmt: skip
    assert results.skipped == {"fold 0, budget 2": "no validation patient has a usable scan"}
    assert set(results.predictions["budget"]) == {4}


class Killed(BaseException):
    """Stands for kill -9 at a place of our choice."""


@pytest.mark.parametrize("name", ["scratch", "cnn", "pca_logistic"])
def test_killed_after_any_epoch_goes_on_with_the_same_bits_and_repeats_no_epoch(name: str, tmp_path: Path) -> None:
    cohort, arm = voxel_cohort(tmp_path), small(name)
    whole: dict[tuple[str, int], float] = {}

    def keep(values: dict[str, float], step: int) -> None:
        whole.update({(key, step): value for key, value in values.items()})

    expected = bits(run(arm, cohort, tmp_path / "whole", keep))
    trained: list[Epoch] = []
    logged: dict[tuple[str, int], float] = {}

    def die_at_new_epoch(values: dict[str, float], step: int) -> None:
        fresh = {(key, step): value for key, value in values.items()}
        if fresh.keys() <= logged.keys():
            return
        logged.update(fresh)
        raise Killed

    for _ in range(40):
        try:
            results = run(arm, cohort, tmp_path / "killed", die_at_new_epoch)
            break
        except Killed:
            trained.append(Epoch(0, 0, 0, 0))
    assert bits(results) == expected
    assert logged == whole  # metrics too, none missing
    assert len(trained) == len(results.history)  # every epoch was trained once, and killed once


def test_real_kill_in_the_middle_of_training(tmp_path: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_experiment import *
results = run(longer(), voxel_cohort(Path(sys.argv[1])), Path(sys.argv[1]) / "work")
Path(sys.argv[1], "bits.txt").write_text("".join(bits(results)))
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.time() + 200
    while not list(tmp_path.glob("work/*/*/trial-*/fit.ckpt")) and time.time() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob("work/*/*/trial-*/fit.ckpt")) and not (tmp_path / "bits.txt").exists()
    subprocess.run(command, check=True, timeout=200)
    (tmp_path / "whole").mkdir()
    expected = bits(run(longer(), voxel_cohort(tmp_path / "whole"), tmp_path / "whole" / "work"))
    assert (tmp_path / "bits.txt").read_text() == "".join(expected)


def longer() -> Arm:
    """Long enough to be killed in the middle."""
    return dataclasses.replace(small("mlp"), plan=Plan(epochs=4, steps=60, batch=48, warm_up=3))  # type: ignore[type-var]
