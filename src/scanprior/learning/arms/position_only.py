"""What the place of a patch tells without its voxels: in scans that are cut or registered alike, a great deal."""

from __future__ import annotations

from itertools import product

import numpy as np

from scanprior.learning.arm import Settings, Setup, Space, State
from scanprior.learning.bags import Bags
from scanprior.learning.mapped_arm import MappedArm

SPACE: Space = {"inverse_penalty": (1.0, 0.1, 10.0), "degree": (4, 3, 5)}


def arm(setup: Setup) -> MappedArm:
    """Logistic regression on polynomials of the centre's coordinates; no voxel is looked at."""
    return MappedArm(setup, learn, features, SPACE)


def learn(train: Bags, settings: Settings, _seed: int, _setup: Setup) -> State:
    """The largest distance from the volume's centre along each axis, and the polynomials' degree."""
    reach = np.abs(_offset(train, slice(None))).max(axis=0)
    return {"reach": np.maximum(reach, 1.0), "degree": np.array([settings["degree"]])}


def features(bags: Bags, rows: slice, state: State) -> np.ndarray:
    """All products of the three coordinates up to the degree, (rows, k); at most 1.5 times the training data's reach."""
    place = np.clip(_offset(bags, rows) / state["reach"], -1.5, 1.5)
    degree = int(state["degree"][0])
    powers = [one for one in product(range(degree + 1), repeat=3) if 0 < sum(one) <= degree]
    return np.stack([np.prod(place ** np.array(one), axis=1) for one in powers], axis=1)


def _offset(bags: Bags, rows: slice) -> np.ndarray:
    """Voxels from the centre of the volume, as regions are aligned (learning.region): (rows, 3)."""
    return bags.centres[rows] - (bags.store.shapes[bags.scan_rows[rows]] - 1) / 2
