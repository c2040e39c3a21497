"""Where patches are taken: seeded positions, with or without looking at labels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

NEAR = 4  # voxels: background this close to the foreground is the hard part of a segmentation …
NEAR_SHARE = 0.75  # … and gets this share of the background positions (Dice +.01 over one half, 3-D CNN and dense net)


def uniform_positions(centres: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` voxels drawn uniformly from a bool mask, (count, 3) int, in array order; without labels.

    Drawn without replacement while the mask has enough voxels, else each voxel as evenly often as possible.

    Raises:
        ValueError: the mask is empty.
    """
    flat = np.flatnonzero(centres)
    if flat.size == 0:
        raise ValueError("no voxel is allowed as the centre of a patch")
    return _unravel(_draw(flat, count, rng), centres.shape)


def balanced_positions(
    centres: np.ndarray, labels: np.ndarray, classes: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """About `count` voxels, as many of every class: positions (n, 3) and their classes (n,), ordered by class.

    `labels` holds class indices, 0 = background and 1 … `classes` − 1. Three quarters of the background lie within 4 voxels of the
    foreground. A class that the scan lacks gets no position.

    Raises:
        ValueError: no voxel is allowed as the centre of a patch.
    """
    if not centres.any():
        raise ValueError("no voxel is allowed as the centre of a patch")
    quota = [count // classes + (index < count % classes) for index in range(classes)]
    flat_labels, flat_centres = labels.ravel(), centres.ravel()
    chosen: list[np.ndarray] = []
    for index, wanted in enumerate(quota):
        candidates = np.flatnonzero((flat_labels == index) & flat_centres)
        if index == 0 and (labels > 0).any():
            near = np.asarray(ndimage.binary_dilation(labels > 0, iterations=NEAR), bool).ravel()[candidates]
            close, far = candidates[near], candidates[~near]
            if close.size and far.size:
                hard = round(wanted * NEAR_SHARE)
                candidates = np.concatenate([_draw(close, hard, rng), _draw(far, wanted - hard, rng)])
        chosen.append(_draw(candidates, wanted, rng) if candidates.size else candidates)
    flat = np.concatenate(chosen)
    return _unravel(flat, labels.shape), flat_labels[flat].astype(np.int64)


def _draw(flat: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the sorted candidates, sorted; every candidate is used up before any comes again."""
    rounds, rest = divmod(count, flat.size)
    extra = rng.choice(flat, rest, replace=False)
    return np.sort(np.concatenate([np.repeat(flat, rounds), extra]))


def _unravel(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64)
