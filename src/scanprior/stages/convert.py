"""Stage convert: de-identified series → one NIfTI volume per scan, with label map and mask of removed voxels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from scanprior.scans.headers import quiet, read_images
from scanprior.scans.nifti import read_nifti, write_nifti
from scanprior.scans.refused import Refused
from scanprior.scans.series import assemble
from scanprior.scans.volume import Volume, on_grid_of
from scanprior.stages.stage import open_stage
from scanprior.study import Study


def run(study: Study, *, shard: int) -> None:
    """Convert every scan of one shard's series.parquet; what is refused goes to quarantine with its reason.

    All three files of a scan lie on one grid: a label map drawn on a flipped copy is turned, never resampled.
    """
    with open_stage(study, "convert", job=f"shard-{shard}", shard=shard) as stage:
        source = study.folder("deidentify", f"shard-{shard}")
        series = pd.read_parquet(source / "series.parquet").sort_values("order")
        rows: list[tuple[str, str, int]] = []
        for done, row in enumerate(series.to_dict("records")):
            scan, patient = str(row["scan"]), str(row["patient"])
            try:
                _convert(row, source, stage.folder / scan)
            except Refused as refused:
                stage.quarantine(item=scan, patient=patient, reason=refused.reason, sentence=refused.sentence)
            else:
                rows.append((scan, patient, int(row["order"])))
            stage.progress(done + 1, len(series))
        frame = pd.DataFrame(rows, columns=["scan", "patient", "order"])
        frame.to_parquet(stage.folder / "scans.parquet", index=False)
        stage.note(scans=len(rows), refused=len(series) - len(rows))


def _convert(row: dict[str, object], source: Path, target: Path) -> None:
    """Write target.nii.gz and, where there are, target.label.nii.gz and target.removed.nii.gz."""
    files = [source / str(name) for name in json.loads(str(row["files"]))]
    if files[0].suffix == ".dcm":
        with quiet():
            volume = assemble(read_images(files)).volume
    else:
        volume = read_nifti(files[0])
    extras: dict[str, Volume] = {}
    for name in ("label", "removed"):
        if isinstance(row[name], str):
            extra = read_nifti(source / str(row[name]))
            extra = Volume(extra.array.astype(np.uint8), extra.affine)
            extras[name] = on_grid_of(extra, volume.shape, volume.affine)
    write_nifti(volume, target.with_name(f"{target.name}.nii.gz"))
    for name, extra in extras.items():
        write_nifti(extra, target.with_name(f"{target.name}.{name}.nii.gz"))
