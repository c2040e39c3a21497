"""Stage patches: prepared volumes → an index of patch positions (nothing is copied)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scanprior.errors import StageError
from scanprior.patches.classes import class_indices
from scanprior.patches.masks import centres_mask
from scanprior.patches.sampling import balanced_positions, uniform_positions
from scanprior.stages.stage import open_stage
from scanprior.study import Study

UNKNOWN = -1  # target of a position that was drawn without looking at labels


def run(study: Study) -> None:
    """Draw the patch positions of every prepared scan: `prior` without labels, `task` balanced over the classes."""
    with open_stage(study, "patches") as stage:
        scans = _prepared(study)
        task, patches = study.config.task, study.config.patches
        values = sorted(task.classes) if task.kind == "voxel" else None
        orders = scans["order"].astype(int).tolist()
        tables: list[pd.DataFrame] = []
        kept: list[int] = []
        for row in range(len(scans)):
            stem = str(study.results / scans["image"][row]).removesuffix(".image.npy")
            removed = np.load(f"{stem}.removed.npy") if Path(f"{stem}.removed.npy").exists() else None
            centres = centres_mask(np.load(f"{stem}.allowed.npy"), removed, patches.size)
            if not centres.any():
                stage.quarantine(
                    item=str(scans["scan"][row]), patient=str(scans["patient"][row]), reason="no-patch",
                    sentence=f"every patch of {patches.size} voxels would touch a voxel that defacing removed",
                )  # fmt: skip
                continue
            # The seed names the scan by the rank of its voxels, so a new key changes no position.
            order = orders[row]
            rng = np.random.default_rng(stage.seed("patches", "prior", order))
            tables.append(_table(len(kept), uniform_positions(centres, patches.per_scan, rng), None, "prior"))
            if values is not None and Path(f"{stem}.label.npy").exists():
                rng = np.random.default_rng(stage.seed("patches", "task", order))
                tables.append(_labelled(len(kept), centres, Path(f"{stem}.label.npy"), values, patches.per_scan, rng))
            kept.append(row)
            stage.progress(row + 1, len(scans))
        if not tables:
            raise StageError(
                "patches: no scan is left to take patches from", hint="see the quarantine tables for reasons"
            )
        index = pd.concat(tables, ignore_index=True)
        index.to_parquet(stage.folder / "index.parquet", index=False)
        scans.iloc[kept].reset_index(drop=True).to_parquet(stage.folder / "scans.parquet", index=False)
        stage.note(
            scans=len(kept), **{f"{use}_patches": int(count) for use, count in index["use"].value_counts().items()}
        )


def _prepared(study: Study) -> pd.DataFrame:
    """All prepared scans, sorted by the rank of their voxels, with the path of their volume relative to the results."""
    frames: list[pd.DataFrame] = []
    for folder in study.inputs("patches"):
        if (folder / "scans.parquet").exists() and folder.parent.name == "prepare":
            frame = pd.read_parquet(folder / "scans.parquet")
            relative = folder.relative_to(study.results).as_posix()
            frames.append(frame.assign(image=[f"{relative}/{scan}.image.npy" for scan in frame["scan"]]))
    scans = pd.concat(frames, ignore_index=True).sort_values(by="order").reset_index(drop=True)
    return scans.loc[:, ["scan", "patient", "order", "image"]]


def _labelled(
    row: int, centres: np.ndarray, file: Path, values: Sequence[int], count: int, rng: np.random.Generator
) -> pd.DataFrame:
    classes = class_indices(np.load(file), values)
    positions, targets = balanced_positions(centres, classes, len(values) + 1, count, rng)
    return _table(row, positions, targets, "task")


def _table(row: int, positions: np.ndarray, targets: np.ndarray | None, use: str) -> pd.DataFrame:
    columns = {"scan_row": np.int32(row), "i": positions[:, 0], "j": positions[:, 1], "k": positions[:, 2]}
    frame = pd.DataFrame(columns).astype({"i": "int16", "j": "int16", "k": "int16", "scan_row": "int32"})
    frame["target"] = np.full(len(positions), UNKNOWN, "int16") if targets is None else targets.astype("int16")
    frame["use"] = use
    return frame
