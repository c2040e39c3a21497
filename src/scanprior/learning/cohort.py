"""What an experiment asks of its patients: bags to learn from, and predictions for those who are tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from scanprior.learning.arm import Predictor, log_softmax
from scanprior.learning.bags import Bags
from scanprior.learning.overlap import dice
from scanprior.learning.region import region, union
from scanprior.learning.slices import fullest, pack
from scanprior.patches.classes import class_indices
from scanprior.patches.masks import centres_mask
from scanprior.patches.store import PatchStore

Progress = Callable[[float], None]  # told the share that is done
STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0, 1.25)  # of the correction for how often classes occur; the first wins ties
SCANS_FOR_STRENGTH = 4  # validation scans that choose it


class Cell(NamedTuple):
    """One fold and budget of a draw: patients to train on, to validate on and to test."""

    fold: int
    budget: int
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


class Predicted(NamedTuple):
    """One row per test patient, and what the record should say about the cell."""

    table: pd.DataFrame
    facts: dict[str, float]


class Cohort(Protocol):
    """Patients with patches."""

    def bags(self, patients: Sequence[str]) -> Bags:
        """Labelled bags of some patients, in the order of their scans."""
        ...

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> Predicted:
        """Predictions for the test patients, in the order of `cell.test`; patients without a scan have no row."""
        ...


@dataclass(frozen=True)
class PatientCohort:
    """Patient task: a bag is a patient, its patches those of all its scans."""

    store: PatchStore
    patches: pd.DataFrame  # row (of the store), patient, i, j, k; in the order of the scans
    labels: dict[str, int]  # patient → class index
    classes: tuple[str, ...]
    covariates: dict[str, np.ndarray] | None = None  # patient → (k,), see learning.covariates

    def bags(self, patients: Sequence[str]) -> Bags:
        """See `Cohort.bags`."""
        return self._bags(patients, self.labels)

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> Predicted:
        """Columns patient and p_<class>; the labels of the tested patients are not looked at."""
        rows: list[list[object]] = []
        for done, patient in enumerate(cell.test):
            bags = self._bags([patient], {})
            if len(bags.targets):
                rows.append([patient, *np.exp(log_softmax(predictor.bag_logits(bags))[0])])
            progress((done + 1) / len(cell.test))
        table = pd.DataFrame(rows, columns=["patient", *(f"p_{name}" for name in self.classes)])
        return Predicted(table, {"train_patients": len(cell.train), "valid_patients": len(cell.valid)})

    def _bags(self, patients: Sequence[str], labels: dict[str, int]) -> Bags:
        chosen = self.patches[self.patches["patient"].isin(patients)]
        names = list(dict.fromkeys(chosen["patient"]))
        place = {name: number for number, name in enumerate(names)}
        chosen = chosen.assign(bag=[place[name] for name in chosen["patient"]]).sort_values("bag", kind="stable")
        columns = _whole(chosen.loc[:, ["row", "i", "j", "k", "bag"]])
        return Bags(
            self.store, columns[:, 0], columns[:, 1:4], columns[:, 4],
            np.array([labels.get(name, -1) for name in names], dtype=np.int64),
            None if self.covariates is None else np.array([self.covariates[name] for name in names]),
        )  # fmt: skip


@dataclass(frozen=True)
class VoxelCohort:
    """Voxel task: a bag is a patch, its class that of the centre voxel; tested by the Dice overlap of whole scans."""

    store: PatchStore
    patches: pd.DataFrame  # row (of the store), patient, i, j, k, target; class-balanced
    scans: pd.DataFrame  # row r of the store: scan, patient, stem (absolute path without the ending); by order
    values: tuple[int, ...]  # label value of class 1, 2, …
    classes: tuple[str, ...]  # their names
    region_dilation: int

    def bags(self, patients: Sequence[str]) -> Bags:
        """See `Cohort.bags`."""
        chosen = self.patches[self.patches["patient"].isin(patients)]
        columns = _whole(chosen.loc[:, ["row", "i", "j", "k", "target"]])
        return Bags.of_patches(self.store, columns[:, 0], columns[:, 1:4], columns[:, 4])

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> Predicted:
        """Columns patient, scan, dice_<class>, dice (their mean), slice, predicted: the first scan (by voxel digest) of each.

        `predicted` are the classes in the axial slice with most true foreground (`slices.unpack`), to be looked at.
        """
        together = self._union(cell)
        ratio = self._log_ratio(cell, together)
        strength = self._strength(predictor, cell, together, ratio)
        rows: list[list[object]] = []
        sizes: list[int] = []
        for done, patient in enumerate(cell.test):
            for row in self._rows([patient])[:1]:
                voxels, logits = self._logits(predictor, row, together)
                truth, predicted = self._labels(row), self._painted(row, voxels, logits + strength * ratio)
                scores, k = dice(predicted, truth, len(self.values) + 1), fullest(truth)
                rows.append([patient, self.scans["scan"][row], *scores, scores.mean(), k, pack(predicted[:, :, k])])
                sizes.append(len(voxels))
            progress((done + 1) / len(cell.test))
        scores_of = (*(f"dice_{name}" for name in self.classes), "dice")
        table = pd.DataFrame(rows, columns=["patient", "scan", *scores_of, "slice", "predicted"])
        return Predicted(table, {
            "train_patients": len(cell.train), "valid_patients": len(cell.valid), "frequency_correction": strength,
            "region_voxels": round(float(np.mean(sizes))) if sizes else 0,
        })  # fmt: skip

    def _strength(self, predictor: Predictor, cell: Cell, together: np.ndarray, ratio: np.ndarray) -> float:
        """How much of the log ratio gives the best Dice on the validation patients."""
        dense = [(row, *self._logits(predictor, row, together)) for row in self._rows(cell.valid)[:SCANS_FOR_STRENGTH]]
        if not dense:
            return STRENGTHS[0]
        means = [
            np.mean([self._dice(row, voxels, logits + s * ratio) for row, voxels, logits in dense]) for s in STRENGTHS
        ]
        return STRENGTHS[int(np.argmax(means))]

    def _log_ratio(self, cell: Cell, together: np.ndarray) -> np.ndarray:
        """Log of how often each class occurs in the region over how often it was trained on, from the cell's own patients.

        Training patches are balanced over the classes, voxels are not; uncorrected (Saerens et al. 2002) every arm paints
        too much foreground (3-D CNN, 4 patients: Dice .68 without, .71 with it; dense network, 16 patients: .72, .76).
        """
        classes = len(self.values) + 1
        voxels = np.ones(classes)
        for row in self._rows([*cell.train, *cell.valid]):
            inside = region(together, self._centres(row))
            voxels += np.bincount(self._labels(row)[tuple(inside.T)], minlength=classes)
        trained = np.bincount(self.bags(cell.train).targets, minlength=classes) + 1.0
        return np.log(voxels / voxels.sum()) - np.log(trained / trained.sum())

    def _logits(self, predictor: Predictor, row: int, together: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The region's voxels (n, 3) of a scan and their logits (n, classes)."""
        voxels = region(together, self._centres(row))
        if not len(voxels):
            return voxels, np.zeros((0, len(self.values) + 1))
        return voxels, predictor.dense_logits(self.store, row, voxels)

    def _dice(self, row: int, voxels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return dice(self._painted(row, voxels, logits), self._labels(row), len(self.values) + 1)

    def _painted(self, row: int, voxels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """The most likely class of every voxel, uint8 of the scan's shape; outside the region all is background."""
        predicted = np.zeros(tuple(self.store.shapes[row]), dtype=np.uint8)
        predicted[tuple(voxels.T)] = logits.argmax(axis=1)
        return predicted

    def _rows(self, patients: Sequence[str]) -> list[int]:
        """Labelled scans of some patients, by voxel digest."""
        return [int(row) for row in np.flatnonzero(self.scans["patient"].isin(patients)) if self._has_map(int(row))]

    def _union(self, cell: Cell) -> np.ndarray:
        """The region's shape comes from the label maps of the cell's training and validation patients, no others."""
        return union([self._labels(row) for row in self._rows([*cell.train, *cell.valid])], self.region_dilation)

    def _file(self, row: int, what: str) -> Path:
        return Path(f"{self.scans['stem'][row]}.{what}.npy")

    def _has_map(self, row: int) -> bool:
        return self._file(row, "label").exists()

    def _labels(self, row: int) -> np.ndarray:
        return class_indices(np.load(self._file(row, "label")), self.values)

    def _centres(self, row: int) -> np.ndarray:
        removed = self._file(row, "removed")
        return centres_mask(
            np.load(self._file(row, "allowed")), np.load(removed) if removed.exists() else None, self.store.size
        )


def _whole(columns: pd.DataFrame) -> np.ndarray:
    """Whole numbers in an array of its own: pandas hands out read-only views, of which torch warns."""
    return columns.to_numpy(dtype=np.int64, copy=True)
