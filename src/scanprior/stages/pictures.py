"""The report's pictures: patches, filters, reconstructions, and what was predicted where it went worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scanprior.learning.slices import unpack
from scanprior.patches.classes import class_indices
from scanprior.pipeline import job_name
from scanprior.report.annex import Failure, Worst
from scanprior.report.content import Montage
from scanprior.report.numbers import score
from scanprior.study import Study

SHOWN = 16  # patches or filters per row of a montage
FAILURES = 6  # patients in the gallery of failures
AROUND = 10  # voxels around what was labelled or predicted: enough to see where, little of the patient


def patches(study: Study) -> Montage | None:
    """Central slices of the first patches of the first scans: by class where the classes are known, else by scan."""
    folder, side = study.folder("patches"), np.array(study.config.patches.size) // 2
    if not (folder / "index.parquet").exists():
        return None
    index: Any = pd.read_parquet(folder / "index.parquet")
    files = [study.results / str(image) for image in pd.read_parquet(folder / "scans.parquet")["image"]]
    task = study.config.task
    labelled = index[(index["use"] == "task") & (index["target"] >= 0)]
    by_class = task.kind == "voxel" and not labelled.empty
    rows: list[tuple[str, np.ndarray]] = []
    # One patch per scan and row, so that a row shows as many patients as it has patches.
    names = ["background", *(task.classes[value] for value in sorted(task.classes))] if task.kind == "voxel" else []
    if by_class:
        groups = [(names[target], labelled[labelled["target"] == target]) for target in range(len(names))]
    else:
        place = index.groupby("scan_row").cumcount()
        groups = [(f"patch {number + 1} of each scan", index[place == number]) for number in range(3)]
    for name, group in groups:
        chosen = group.drop_duplicates("scan_row").head(SHOWN)
        images = [_slice(np.load(files[row], mmap_mode="r"), np.array(centre), side)
                  for row, *centre in chosen[["scan_row", "i", "j", "k"]].to_numpy(int)]  # fmt: skip
        if images:
            rows.append((name, np.stack(images)))
    return Montage(tuple(rows)) if rows else None


def _slice(volume: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The axial slice through a patch's centre, anterior up; what lies outside the volume repeats its edge."""
    i, j = (np.clip(np.arange(centre[d] - half[d], centre[d] + half[d] + 1), 0, volume.shape[d] - 1) for d in (0, 1))
    return _upright(np.asarray(volume[:, :, centre[2]], np.float32)[np.ix_(i, j)])


def _upright(slices: np.ndarray) -> np.ndarray:
    """(…, i, j) of RAS+ volumes to picture rows and columns: anterior up, the patient's right on the left."""
    return np.swapaxes(slices, -1, -2)[..., ::-1, ::-1]


def _central(patches: np.ndarray) -> np.ndarray:
    return _upright(np.asarray(patches[..., patches.shape[-1] // 2], np.float32))


def filters(prior: Path) -> Montage | None:
    """The first-layer filters that a prior's folder keeps."""
    if not (prior / "filters.npy").exists():
        return None
    filters = _central(np.load(prior / "filters.npy"))
    rows = [(f"{start + 1} to {min(start + SHOWN, len(filters))}", filters[start : start + SHOWN])
            for start in range(0, len(filters), SHOWN)]  # fmt: skip
    return Montage(tuple(rows), signed=True)


def pairs(file: Path, labels: tuple[str, str]) -> Montage | None:
    """Two rows of patches (2, n, i, j, k), named by `labels`."""
    return Montage(tuple(zip(labels, _central(np.load(file)), strict=True))) if file.exists() else None


def failures(study: Study, worst: Worst | None, arms: Sequence[str]) -> tuple[Failure, ...]:
    """A slice of each of the worst patients with its true classes and those of `arms`, from the first draw that has it.

    Voxel tasks only; cut to the surroundings of what was labelled or predicted.
    """
    task = study.config.task
    if worst is None or task.kind != "voxel":
        return ()
    predicted = [table for arm in arms if (table := _predicted(study, arm)) is not None]
    if len(predicted) < len(arms):
        return ()
    scans = pd.read_parquet(study.folder("patches") / "scans.parquet").set_index("scan")["image"]
    found: list[Failure] = []
    for row in worst.rows[:FAILURES]:
        patient = str(row[0])
        if not all(patient in table.index for table in predicted):
            continue
        scan, k = predicted[0].loc[patient, ["scan", "slice"]]
        file = study.results / str(scans[scan])
        image = np.load(file, mmap_mode="r")[:, :, int(k)]
        labels = np.load(file.with_name(file.name.replace(".image.npy", ".label.npy")), mmap_mode="r")[:, :, int(k)]
        maps = [("truth", class_indices(np.asarray(labels), tuple(sorted(task.classes))))]
        maps += [(arm, unpack(str(table.loc[patient, "predicted"]), image.shape))
                 for arm, table in zip(arms, predicted, strict=True)]  # fmt: skip
        box = _around([classes for _, classes in maps])
        cut = tuple((name, _upright(np.asarray(classes[box], np.uint8))) for name, classes in maps)
        scores = [
            f"{name} {score(value)}" for name, value in zip(worst.columns, row, strict=True) if isinstance(value, float)
        ]
        found.append(Failure(patient, ", ".join(scores), _upright(np.asarray(image[box], np.float32)), cut))
    return tuple(found)


def _predicted(study: Study, arm: str) -> pd.DataFrame | None:
    """scan, slice and predicted of each tested patient at the largest budget, in the first draw; None when not kept."""
    tables: list[pd.DataFrame] = []
    for draw in range(study.config.evaluation.draws):
        file = study.folder("train", job_name(arm=arm, draw=draw)) / "predictions.parquet"
        if file.exists():
            tables.append(pd.read_parquet(file))
    if not tables or not all("predicted" in table for table in tables):
        return None
    every: Any = pd.concat(tables, ignore_index=True)
    return every[every["budget"] == every["budget"].max()].drop_duplicates("patient").set_index("patient")


def _around(maps: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """The box of all foreground with a rim of AROUND voxels; the whole slice where there is no foreground."""
    inside = np.any([classes > 0 for classes in maps], axis=0)
    if not inside.any():
        return slice(None), slice(None)
    low, high = np.argwhere(inside).min(0), np.argwhere(inside).max(0)
    i, j = (slice(max(int(low[d]) - AROUND, 0), int(high[d]) + AROUND + 1) for d in (0, 1))
    return i, j
