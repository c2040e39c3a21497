"""Whether probabilities mean what they say: calibration slope and intercept, Brier score, reliability, net benefit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.metrics import FLOOR, Array


class Calibration(NamedTuple):
    """Slope 1 and intercept 0 are perfect; a slope below 1 is overconfidence. NaN where the data can't determine it."""

    slope: float
    intercept: float  # calibration in the large: log-odds by which the predictions are too low, slope held at 1
    brier: float
    patients: int


class Bin(NamedTuple):
    """Patients with similar predictions: what was predicted, what happened, with Wilson's interval."""

    predicted: float
    observed: float
    low: float
    high: float
    patients: int


def calibration(probability: Array, label: NDArray[np.int64]) -> Calibration:
    """Logistic recalibration (Cox 1958) of (patients,) probabilities of the positive class; NaN is left out."""
    p, y = _known(probability, label)
    nan = float("nan")
    if len(p) == 0 or y.min() == y.max():
        return Calibration(nan, nan, _brier(p, y) if len(p) else nan, len(p))
    logit = np.log(p / (1 - p))
    ill, well = p[y == 1], p[y == 0]
    # Predictions that separate the classes, either way round, or are all alike, have no finite slope.
    free = ill.min() < well.max() and well.min() < ill.max()
    slope = _fit(np.stack([np.ones_like(logit), logit], 1), y, 0.0)[1] if free else nan
    return Calibration(slope, _fit(np.ones((len(y), 1)), y, logit)[0], _brier(p, y), len(p))


def reliability(probability: Array, label: NDArray[np.int64], bins: int = 5) -> list[Bin]:
    """Equally filled bins of (patients,) predictions, from low to high."""
    p, y = _known(probability, label)
    order = np.argsort(p, kind="stable")
    found: list[Bin] = []
    for rows in np.array_split(order, min(bins, len(p))) if len(p) else []:
        low, high = _wilson(float(y[rows].mean()), len(rows))
        found.append(Bin(float(p[rows].mean()), float(y[rows].mean()), low, high, len(rows)))
    return found


def net_benefit(probability: Array, label: NDArray[np.int64], thresholds: Array) -> tuple[Array, Array]:
    """Net benefit of acting on p ≥ t, and of acting on everyone, for each threshold (Vickers & Elkin 2006).

    TP/n − FP/n · t/(1 − t); acting on nobody has 0. thresholds inside (0, 1).
    """
    p, y = _known(probability, label)
    odds = thresholds / (1 - thresholds)
    act = p[None] >= thresholds[:, None]
    model = (act & (y == 1)).mean(1) - (act & (y == 0)).mean(1) * odds
    return model, y.mean() - (1 - y.mean()) * odds


def _known(probability: Array, label: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    known = ~np.isnan(probability)
    return np.clip(probability[known], FLOOR, 1 - FLOOR), label[known]


def _brier(p: Array, y: NDArray[np.int64]) -> float:
    return float(np.square(p - y).mean())


def _fit(design: Array, y: NDArray[np.int64], offset: Array | float) -> list[float]:
    """Logistic regression by Newton's method with halved steps; unpenalised."""
    beta = np.zeros(design.shape[1])

    def loss(at: Array) -> float:
        eta = design @ at + offset
        return float(np.sum(np.logaddexp(0.0, eta) - y * eta))

    for _ in range(100):
        mean = 1 / (1 + np.exp(-np.clip(design @ beta + offset, -500, 500)))
        hessian = design.T @ (design * np.maximum(mean * (1 - mean), 1e-12)[:, None])
        step = np.linalg.solve(hessian, design.T @ (y - mean))
        while loss(beta + step) > loss(beta) + 1e-12 and np.abs(step).max() > 1e-10:
            step = step / 2
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    return beta.tolist()


def _wilson(share: float, number: int, z: float = 1.959964) -> tuple[float, float]:
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)) / (1 + z**2 / number)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
