"""Class indices of a label map: 0 is background, k the k-th class that the study names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_indices(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """The label map with `values[k − 1]` replaced by k and every other value by 0; uint8, same shape."""
    indices = np.zeros(labels.shape, dtype=np.uint8)
    for index, value in enumerate(values, start=1):
        indices[labels == value] = index
    return indices
