"""An easy problem: spheres of two brightnesses in noise, with label maps, as bags of patches; and stand-in priors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanprior.learning.bags import Bags
from scanprior.patches.sampling import balanced_positions, uniform_positions
from scanprior.patches.store import PatchStore

SIZE = (7, 7, 5)
SHAPE = (18, 20, 16)


def scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Volume and class map: a dark ball of class 1 and a bright one of class 2."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.3, SHAPE)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for index, (value, centre) in enumerate([(-2.0, (6, 6, 7)), (2.5, (11, 13, 8))], start=1):
        inside = ((grid - np.array(centre) - rng.integers(-1, 2, 3)) ** 2).sum(-1) <= 12
        image[inside] += value
        labels[inside] = index
    return image.astype(np.float32), labels


def voxel_bags(seeds: list[int], count: int = 60) -> Bags:
    scans = [scan(seed) for seed in seeds]
    store = PatchStore([image for image, _ in scans], SIZE)
    rows, centres, targets = [], [], []
    for row, (image, labels) in enumerate(scans):
        positions, classes = balanced_positions(
            np.ones(image.shape, bool), labels, 3, count, np.random.default_rng(row)
        )
        rows.append(np.full(len(positions), row))
        centres.append(positions)
        targets.append(classes)
    return Bags.of_patches(store, np.concatenate(rows), np.concatenate(centres), np.concatenate(targets))


def patient_bags(seeds: list[int], count: int = 40) -> Bags:
    """Odd seeds are of class 1: they have the bright ball, the others don't."""
    volumes = []
    for seed in seeds:
        image, labels = scan(seed)
        volumes.append(image if seed % 2 else np.where(labels == 2, 0, image).astype(np.float32))
    store = PatchStore(volumes, SIZE)
    centres = [uniform_positions(np.ones(SHAPE, bool), count, np.random.default_rng(row)) for row in range(len(seeds))]
    number = np.repeat(np.arange(len(seeds)), count)
    targets = np.array(seeds) % 2
    rng = np.random.default_rng(seeds[0])
    age = 50 + 10 * targets + rng.normal(0, 4, len(seeds))
    covariates = np.stack([age, rng.normal(size=len(seeds)), np.full(len(seeds), np.nan)], axis=1)
    return Bags(store, number, np.concatenate(centres), number, targets, covariates)


def write_prepared(folder: Path, name: str, image: np.ndarray, labels: np.ndarray | None) -> None:
    np.save(folder / f"{name}.image.npy", image)
    np.save(folder / f"{name}.allowed.npy", np.ones(image.shape, bool))
    if labels is not None:
        np.save(folder / f"{name}.label.npy", labels)
