"""What age, sex, scanner, site and the study's own covariates tell without any image."""

from __future__ import annotations

import numpy as np

from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Settings, Setup, Space, State
from scanprior.learning.bags import Bags
from scanprior.learning.mapped_arm import MappedArm

SPACE: Space = {"inverse_penalty": (1e-1, 1e-2, 1.0, 10.0)}


def arm(setup: Setup) -> MappedArm:
    """Logistic regression on the covariates of the bags; no voxel is looked at."""
    return MappedArm(setup, learn, features, SPACE, per_bag=True)


def learn(train: Bags, _settings: Settings, _seed: int, _setup: Setup) -> State:
    """The median of every covariate over the training patients who have it."""
    table = _table(train)
    known = ~np.isnan(table).all(axis=0)
    middle = np.zeros(table.shape[1])
    middle[known] = np.nanmedian(table[:, known], axis=0)
    return {"median": middle}


def features(bags: Bags, rows: slice, state: State) -> np.ndarray:
    """Every covariate, the median where it is missing, and whether it is missing: (bags, 2 k)."""
    table = _table(bags)[rows]
    missing = np.isnan(table)
    return np.concatenate([np.where(missing, state["median"], table), missing], axis=1)


def _table(bags: Bags) -> np.ndarray:
    if bags.covariates is None:
        raise ScanpriorError(
            "the arm covariates needs to know the patients; a patch alone has none", hint="use it in patient tasks"
        )
    return bags.covariates
