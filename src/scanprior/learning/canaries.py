"""Cohorts whose right answer is known: labels dealt out anew, a signal planted in the voxels, nothing but the border.

The pipeline's own training runs on them unchanged. Labels that mean nothing can be predicted only by a leak; a planted signal
is missed only by a broken pipeline; and air around the body that tells the label is no anatomy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from scanprior.learning.arm import Predictor
from scanprior.learning.bags import Bags
from scanprior.learning.cohort import Cell, PatientCohort, Predicted, Progress, VoxelCohort

Deal = Callable[[Sequence[int], int], list[int]]  # the same values in another order, by a seed
PLANTED_STD = 1.0  # standard deviations of the body's intensities per class, everywhere in a patient's scans
PLANTED_LABEL_STD = 3.0  # the same in the voxels of a label map, of which a patch sees few
ATTEMPTS = 200  # at labels of two classes on every training side
BORDER = 0.1  # of each side; what the border-only model sees


def deal_patients(cohort: PatientCohort, cells: Sequence[Cell], deal: Deal, seed: int) -> PatientCohort:
    """The cohort with its labels dealt out anew, among those tested in one fold and among those never tested.

    So every fold keeps its class sizes, and a patient has one label wherever it is used. Dealt again while a training side
    has one class only, which few patients may get by chance.
    """
    names = [name for name in dict.fromkeys(cohort.patches["patient"]) if name in cohort.labels]
    groups = [[name for name in names if name in set(cell.test)] for cell in cells]
    tested = {name for group in groups for name in group}
    groups.append([name for name in names if name not in tested])
    labels: dict[str, int] = {}
    for attempt in range(ATTEMPTS):
        for number, group in enumerate(groups, attempt * len(groups)):
            labels |= dict(zip(group, deal([cohort.labels[name] for name in group], seed + number), strict=True))
        if all(len({labels[name] for name in cell.train if name in labels}) > 1 for cell in cells):
            break
    return replace(cohort, labels=labels)


def deal_patches(cohort: VoxelCohort, deal: Deal, seed: int) -> DealtPatches:
    """The cohort with the classes of each patient's patches dealt out anew among that patient's patches."""
    target = cohort.patches["target"].to_numpy(copy=True)
    patients = cohort.patches["patient"].to_numpy()
    for number, patient in enumerate(dict.fromkeys(patients)):
        rows = np.flatnonzero(patients == patient)
        target[rows] = deal(target[rows].tolist(), seed + number)
    return DealtPatches(replace(cohort, patches=cohort.patches.assign(target=target)))


@dataclass(frozen=True)
class DealtPatches:
    """A voxel cohort that is tested by the patches of the test patients, whose classes mean nothing."""

    cohort: VoxelCohort

    def bags(self, patients: Sequence[str]) -> Bags:
        """See `Cohort.bags`."""
        return self.cohort.bags(patients)

    def predict(self, predictor: Predictor, cell: Cell, progress: Progress) -> Predicted:
        """Columns patient, patches, hits, and what chance makes of the hits: expected and variance.

        Given the guesses, any order of a patient's classes is as likely as any other, so both follow exactly
        (Hoeffding 1951 on sums over permutations).
        """
        rows: list[list[object]] = []
        classes = len(self.cohort.classes) + 1
        for done, patient in enumerate(cell.test):
            bags = self.cohort.bags([patient])
            if len(bags.targets) > 1:
                guesses = predictor.bag_logits(bags).argmax(axis=1)
                rows.append([patient, len(guesses), int((guesses == bags.targets).sum()),
                             *chance_hits(guesses, bags.targets, classes)])  # fmt: skip
            progress((done + 1) / len(cell.test))
        table = pd.DataFrame(rows, columns=["patient", "patches", "hits", "expected", "variance"])
        return Predicted(table, {"train_patients": len(cell.train), "valid_patients": len(cell.valid)})


def chance_hits(guesses: np.ndarray, targets: np.ndarray, classes: int) -> tuple[float, float]:
    """Mean and variance of how many `guesses` (n,) agree with `targets` (n,) in random order."""
    n = len(guesses)
    guessed, wanted = np.bincount(guesses, minlength=classes), np.bincount(targets, minlength=classes)
    mean = float(guessed @ wanted) / n
    deviation = np.eye(classes) - wanted[:, None] / n - guessed[None, :] / n + mean / n
    return mean, float(guessed @ np.square(deviation) @ wanted) / (n - 1)


def plant_in_patient(image: np.ndarray, label: int) -> np.ndarray:
    """A volume that is brighter by `PLANTED_STD` for every class above the first."""
    return (image + PLANTED_STD * label * image.std()).astype(np.float32)


def plant_in_classes(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A volume whose voxels are brighter by `PLANTED_LABEL_STD` times the index of their class (same shape)."""
    return (image + PLANTED_LABEL_STD * classes * image.std()).astype(np.float32)


def border_table(image: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Mean, deviation and largest value of the air in the 26 blocks of a volume's border, NaN where there is none: (78,).

    Voxels of the `body` (bool) are left out: anatomy that the field of view cuts may tell the label by right.
    """
    cuts = [(0, max(1, round(BORDER * side)), side - max(1, round(BORDER * side)), side) for side in image.shape]
    rows: list[list[float]] = []
    for block in product(range(3), repeat=3):
        if block == (1, 1, 1):
            continue
        where = tuple(slice(cut[part], cut[part + 1]) for cut, part in zip(cuts, block, strict=True))
        air = image[where][~body[where]].astype(float)
        rows.append([air.mean(), air.std(), air.max()] if air.size else [np.nan] * 3)
    return np.array(rows, dtype=float).ravel()
