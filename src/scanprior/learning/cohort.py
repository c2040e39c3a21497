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
from scanprior.patches.classes import class_indices
from scanprior.patches.masks import centres_mask
from scanprior.patches.store import PatchStore

Progress = Callable[[float], None]  # told the share that is done


class Cell(NamedTuple):
    """One fold and budget of a draw: patients to train on, to validate on and to test."""

    fold: int
    budget: int
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


class Cohort(Protocol):
    """Patients with patches."""

    def bags(self, patients: Sequence[str]) -> Bags:
        """Labelled bags of some patients, in the order of their scans."""
        ...

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> pd.DataFrame:
        """One row per test patient, in the order of `cell.test`; patients without a scan have none."""
        ...

    def facts(self, cell: Cell) -> dict[str, float]:
        """What the record should say about a cell."""
        ...


@dataclass(frozen=True)
class PatientCohort:
    """Patient task: a bag is a patient, its patches those of all its scans."""

    store: PatchStore
    patches: pd.DataFrame  # row (of the store), patient, i, j, k; in the order of the scans
    labels: dict[str, int]  # patient → class index
    classes: tuple[str, ...]

    def bags(self, patients: Sequence[str]) -> Bags:
        """See `Cohort.bags`."""
        return self._bags(patients, self.labels)

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> pd.DataFrame:
        """Columns patient and p_<class>; the labels of the tested patients are not looked at."""
        rows: list[list[object]] = []
        for done, patient in enumerate(cell.test):
            bags = self._bags([patient], {})
            if len(bags.targets):
                rows.append([patient, *np.exp(log_softmax(predictor.bag_logits(bags))[0])])
            progress((done + 1) / len(cell.test))
        return pd.DataFrame(rows, columns=["patient", *(f"p_{name}" for name in self.classes)])

    def facts(self, cell: Cell) -> dict[str, float]:
        """See `Cohort.facts`."""
        return {"train_patients": len(cell.train), "valid_patients": len(cell.valid)}

    def _bags(self, patients: Sequence[str], labels: dict[str, int]) -> Bags:
        chosen = self.patches[self.patches["patient"].isin(patients)]
        names = list(dict.fromkeys(chosen["patient"]))
        place = {name: number for number, name in enumerate(names)}
        chosen = chosen.assign(bag=[place[name] for name in chosen["patient"]]).sort_values("bag", kind="stable")
        return Bags(
            self.store, chosen["row"].to_numpy(), chosen[["i", "j", "k"]].to_numpy(), chosen["bag"].to_numpy(),
            np.array([labels.get(name, -1) for name in names], dtype=np.int64),
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
        return Bags.of_patches(
            self.store, chosen["row"].to_numpy(), chosen[["i", "j", "k"]].to_numpy(), chosen["target"].to_numpy(np.int64)
        )

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> pd.DataFrame:
        """Columns patient, scan, dice_<class> and dice (their mean): the first scan (by voxel digest) of each patient."""
        together = self._union(cell)
        rows: list[list[object]] = []
        for done, patient in enumerate(cell.test):
            row = self._first_labelled(patient)
            if row is not None:
                truth = self._labels(row)
                voxels = region(together, self._centres(row))
                predicted = np.zeros(truth.shape, dtype=np.uint8)
                if len(voxels):
                    predicted[tuple(voxels.T)] = predictor.dense_logits(self.store, row, voxels).argmax(axis=1)
                scores = dice(predicted, truth, len(self.values) + 1)
                rows.append([patient, self.scans["scan"][row], *scores, scores.mean()])
            progress((done + 1) / len(cell.test))
        return pd.DataFrame(rows, columns=["patient", "scan", *(f"dice_{name}" for name in self.classes), "dice"])

    def facts(self, cell: Cell) -> dict[str, float]:
        """Region size, and the share of the labels of the cell's own patients that it holds."""
        together = self._union(cell)
        sizes = [len(region(together, self._centres(row))) for row in map(self._first_labelled, cell.test) if row is not None]
        return {"train_patients": len(cell.train), "valid_patients": len(cell.valid),
                "region_voxels": round(float(np.mean(sizes))) if sizes else 0}  # fmt: skip

    def _union(self, cell: Cell) -> np.ndarray:
        """The region's shape comes from the label maps of the cell's training and validation patients, no others."""
        own = self.scans["patient"].isin([*cell.train, *cell.valid])
        maps = [self._labels(int(row)) for row in np.flatnonzero(own) if self._has_map(int(row))]
        return union(maps, self.region_dilation)

    def _first_labelled(self, patient: str) -> int | None:
        rows = np.flatnonzero(self.scans["patient"] == patient)
        return next((int(row) for row in rows if self._has_map(int(row))), None)

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
