"""The prepared scans, patches and labels of a study as the cohorts that arms and canaries learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scanprior.evidence.canary import permuted_labels
from scanprior.learning import canaries
from scanprior.learning.catalogue import ArmName, CanaryName
from scanprior.learning.cohort import Cell, Cohort, PatientCohort, VoxelCohort
from scanprior.learning.covariates import covariate_table
from scanprior.patches.classes import class_indices
from scanprior.patches.store import PatchStore
from scanprior.study import Study

PLANTED_TESTED = 8  # test patients of a voxel task who show whether a planted signal is found


class Packed(NamedTuple):
    """Scans of some patients in the order of the voxels, and their patches; row r of the store is scan r."""

    scans: pd.DataFrame  # scan, patient, image, stem (absolute path without its ending)
    patches: pd.DataFrame  # row, patient, i, j, k, target


def arm_cohort(study: Study, arm: ArmName, split: dict[str, Any], cells: Sequence[Cell]) -> Cohort:
    """What an arm learns from and is tested on; covariates are given to the arm that asks for them, to no other."""
    packed = _pack(study, cells)
    store = PatchStore.open(_images(study, packed), study.config.patches.size)
    if study.config.task.kind == "voxel":
        return _voxel(study, packed, store)
    known = _known(study, packed)
    return _patient(packed, store, known, split, _covariates(study, known) if arm == "covariates" else None)


def canary_cohort(study: Study, name: CanaryName, split: dict[str, Any], cells: Sequence[Cell], seed: int) -> Cohort:
    """What a canary learns from and is tested on; see `learning.canaries`."""
    packed = _pack(study, cells)
    images, size = _images(study, packed), study.config.patches.size
    if study.config.task.kind == "voxel":
        if name == "permuted":
            return canaries.deal_patches(_voxel(study, packed, PatchStore.open(images, size)), permuted_labels, seed)
        values = tuple(sorted(study.config.task.classes))
        planted = [
            canaries.plant_in_classes(np.load(image), _classes(stem, values))
            for image, stem in zip(images, packed.scans["stem"], strict=True)
        ]
        return _voxel(study, packed, PatchStore(planted, size))
    cohort = _patient(packed, PatchStore.open(images, size), _known(study, packed), split)
    match name:
        case "permuted":
            return canaries.deal_patients(cohort, cells, permuted_labels, seed)
        case "planted":
            labels = [cohort.labels.get(patient, 0) for patient in packed.scans["patient"]]
            planted = [
                canaries.plant_in_patient(np.load(file), label) for file, label in zip(images, labels, strict=True)
            ]
            return PatientCohort(PatchStore(planted, size), cohort.patches, cohort.labels, cohort.classes)
        case "border":
            first = packed.scans.drop_duplicates("patient")  # by voxel digest
            borders = {
                str(patient): canaries.border_table(np.load(f"{stem}.image.npy"), np.load(f"{stem}.allowed.npy"))
                for patient, stem in zip(first["patient"], first["stem"], strict=True)
            }
            return PatientCohort(cohort.store, cohort.patches, cohort.labels, cohort.classes, borders)


def canary_cells(cells: Sequence[Cell], *, most_tested: int | None = None) -> list[Cell]:
    """Each fold at its largest budget."""
    largest = {cell.fold: cell for cell in sorted(cells, key=lambda cell: cell.budget)}
    return [cell._replace(test=cell.test[:most_tested]) for _, cell in sorted(largest.items())]


def _pack(study: Study, cells: Sequence[Cell]) -> Packed:
    """The scans and patches of the cells' patients."""
    patients = {name for cell in cells for name in (*cell.train, *cell.valid, *cell.test)}
    folder, voxel = study.folder("patches"), study.config.task.kind == "voxel"
    every = pd.read_parquet(folder / "scans.parquet")
    places = np.flatnonzero(every["patient"].isin(sorted(patients)))
    scans = every.iloc[places].reset_index(drop=True)
    row_of = np.full(len(every), -1)
    row_of[places] = np.arange(len(places))
    index = pd.read_parquet(folder / "index.parquet")
    rows = row_of[index["scan_row"].to_numpy()]
    kept = (rows >= 0) & (index["use"] == ("task" if voxel else "prior")).to_numpy()
    patches = index[kept].assign(row=rows[kept], patient=scans["patient"].to_numpy()[rows[kept]]).reset_index(drop=True)
    stems = [str(study.results / image).removesuffix(".image.npy") for image in scans["image"]]
    return Packed(scans.assign(stem=stems), patches)


def _images(study: Study, packed: Packed) -> list[Path]:
    return [study.results / image for image in packed.scans["image"]]


def _voxel(study: Study, packed: Packed, store: PatchStore) -> VoxelCohort:
    task = study.config.task
    if task.kind != "voxel":
        raise TypeError("this study has no label maps")
    values = tuple(sorted(task.classes))
    names = tuple(task.classes[value] for value in values)
    return VoxelCohort(store, packed.patches, packed.scans, values, names, task.region_dilation)


def _known(study: Study, packed: Packed) -> pd.DataFrame:
    """The rows of index/patients.parquet for the packed patients."""
    table = pd.read_parquet(study.folder("index") / "patients.parquet")
    return table.loc[table["patient"].isin(list(packed.scans["patient"]))]


def _patient(
    packed: Packed, store: PatchStore, patients: pd.DataFrame, split: dict[str, Any],
    covariates: dict[str, np.ndarray] | None = None,
) -> PatientCohort:  # fmt: skip
    classes = tuple(split["classes"])
    known = patients[patients["labelled"].astype(bool)]
    labels = {
        str(name): classes.index(str(label)) for name, label in zip(known["patient"], known["label"], strict=True)
    }
    return PatientCohort(store, packed.patches, labels, classes, covariates)


def _covariates(study: Study, patients: pd.DataFrame) -> dict[str, np.ndarray]:
    """What is known of each patient besides the scans."""
    table = covariate_table(patients, pd.read_parquet(study.folder("index") / "scans.parquet"))
    return {str(name): row for name, row in zip(table.index, table.to_numpy(), strict=True)}


def _classes(stem: str, values: tuple[int, ...]) -> np.ndarray:
    """The class index of every voxel of a scan, zeros where it has no label map."""
    file = Path(f"{stem}.label.npy")
    return class_indices(np.load(file), values) if file.exists() else np.zeros(1, np.uint8)
