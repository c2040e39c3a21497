"""Stage prepare: converted volumes → one grid, one intensity scale, masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from scanprior.evidence.grid import grid_step
from scanprior.evidence.suspects import brightness
from scanprior.patches.preparation import Prepared, Refused, prepare
from scanprior.patches.resampling import Grid
from scanprior.scans.nifti import read_nifti
from scanprior.stages.stage import open_stage
from scanprior.study import Study

COLUMNS = ["scan", "patient", "order", "shape", "affine", "step", "brightness"]


def run(study: Study, *, shard: int) -> None:
    """Prepare every converted scan of one shard; what can't be prepared goes to quarantine with its reason."""
    with open_stage(study, "prepare", job=f"shard-{shard}", shard=shard) as stage:
        source = study.folder("convert", f"shard-{shard}")
        scans = pd.read_parquet(source / "scans.parquet").sort_values("order")
        settings = study.config.prepare
        rows: list[tuple[str, str, int, str, str, float, float]] = []
        columns = (scans["scan"].astype(str), scans["patient"].astype(str), scans["order"].astype(int))
        for done, (scan, patient, order) in enumerate(zip(*columns, strict=True)):
            try:
                raw = _read(source / f"{scan}.nii.gz")
                prepared = prepare(
                    raw,
                    _read_if_there(source / f"{scan}.label.nii.gz"),
                    _read_if_there(source / f"{scan}.removed.nii.gz"),
                    spacing=settings.spacing,
                    intensity=settings.intensity,
                )
            except Refused as refusal:
                stage.quarantine(item=scan, patient=patient, reason=refusal.reason, sentence=refusal.sentence)
                continue
            _write(stage.folder, scan, prepared)
            grid = json.dumps(list(prepared.image.shape)), json.dumps(prepared.affine.tolist())
            # Intensities as they came tell later whether two patients may be one; the prepared ones have forgotten.
            rows.append((scan, patient, order, *grid, grid_step(raw.array), brightness(raw.array)))
            stage.progress(done + 1, len(scans))
        pd.DataFrame(rows, columns=COLUMNS).to_parquet(stage.folder / "scans.parquet", index=False)
        stage.note(scans=len(rows), refused=len(scans) - len(rows))


def _read(path: Path) -> Grid:
    volume = read_nifti(path)
    return Grid(volume.array, volume.affine)


def _read_if_there(path: Path) -> Grid | None:
    return _read(path) if path.exists() else None


def _write(folder: Path, scan: str, prepared: Prepared) -> None:
    np.save(folder / f"{scan}.image.npy", prepared.image)
    np.save(folder / f"{scan}.allowed.npy", prepared.allowed)
    if prepared.labels is not None:
        np.save(folder / f"{scan}.label.npy", prepared.labels)
    if prepared.removed is not None:
        np.save(folder / f"{scan}.removed.npy", prepared.removed)
