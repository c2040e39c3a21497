"""Dice overlap of a predicted label map with the true one."""

from __future__ import annotations

import numpy as np


def dice(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Dice of classes 1 … `classes` − 1, float64: 2 |A ∩ B| / (|A| + |B|), and 1 where both are empty."""
    scores = np.ones(classes - 1)
    for index in range(1, classes):
        a, b = predicted == index, truth == index
        total = int(a.sum()) + int(b.sum())
        if total:
            scores[index - 1] = 2 * int((a & b).sum()) / total
    return scores
