"""The head that others are compared with: pydeface's mean head and face mask, and what is derived from them once.

pydeface 2.1.0 (MIT, R. Poldrack and others) ships an average of adult T1 heads with their faces and a mask of the
face. The package is installed without its dependencies and only its two volumes are read.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as _ndimage

from scanprior.errors import ScanpriorError

ndimage: Any = _ndimage  # its stubs allow None and tuples where arrays come back
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
INSTALL = "python -m pip install --no-deps pydeface==2.1.0 (requirements/face.txt has its digest)"


@dataclass(frozen=True)
class Head:
    """Mean head at 2 mm in RAS order: intensities, the affine of the grid (mm, RAS+), and masks.

    `skull_cap` is the brain and 10 mm around it; `skin` is the face's tissue within 16 mm of the air in front of it.
    """

    values: Floats
    affine: NDArray[np.float64]
    brain: Mask
    skull_cap: Mask
    face: Mask
    skin: Mask


@cache
def mean_head() -> Head:
    """Read the template; 0.6 s, once per process.

    Raises:
        ScanpriorError: the package pydeface is not installed; the message says how to install it.
    """
    image = nib.Nifti1Image.from_filename(_locate("mean_reg2mean.nii.gz"))
    kept = nib.Nifti1Image.from_filename(_locate("facemask.nii.gz"))
    values, affine = block_mean(np.asarray(image.dataobj), np.asarray(image.affine, dtype=np.float64), (2, 2, 2))
    face = np.asarray(kept.dataobj)[::2, ::2, ::2] < 0.5
    head = ndimage.binary_fill_holes(values > 60)
    brain = _brain(values, head)
    # Going back from the front: within 8 voxels (16 mm) of the first tissue.
    depth = np.cumsum(head[:, ::-1], axis=1)[:, ::-1]
    skin = head & face & (depth <= 8)
    return Head(values, affine, brain, ndimage.binary_dilation(brain, iterations=5), face, skin)


def block_mean(
    array: NDArray[np.generic], affine: NDArray[np.float64], factors: tuple[int, int, int]
) -> tuple[Floats, NDArray[np.float64]]:
    """Average blocks of voxels; the affine of the coarser grid keeps every place where it was."""
    steps = np.minimum(factors, array.shape)
    trimmed = [side // step * step for side, step in zip(array.shape, steps, strict=True)]
    blocks: list[int] = [part for side, step in zip(trimmed, steps, strict=True) for part in (side // step, step)]
    inside = array[: trimmed[0], : trimmed[1], : trimmed[2]]
    # One memory layout, because the order of sums decides their last bits, and those the path of the registration.
    coarse = np.ascontiguousarray(inside, dtype=np.float32).reshape(blocks).mean(axis=(1, 3, 5))
    moved = affine.copy()
    moved[:3, :3] = affine[:3, :3] * steps
    moved[:3, 3] += affine[:3, :3] @ ((np.asarray(steps) - 1) / 2)
    return np.ascontiguousarray(coarse, dtype=np.float32), moved


def _brain(values: Floats, head: Mask) -> Mask:
    """The brain of the mean head: grey and white matter at least 9 mm inside the skin and above the skull base.

    Gives 1.24 litres, none of them inside the face mask; the numbers hold for this template only.
    """
    j, k = np.arange(values.shape[1])[:, np.newaxis], np.arange(values.shape[2])
    deep = ndimage.distance_transform_edt(head) * 2 > 9
    above = 2 * k > 70 + np.maximum(0, (2 * j - 140) * 0.38)
    room = deep & above
    core = ndimage.binary_erosion((values > 190) & room, iterations=2)
    labels, _ = ndimage.label(core)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    grown = ndimage.binary_dilation(largest, iterations=2) & room
    return ndimage.binary_fill_holes(ndimage.binary_closing(grown, iterations=3))


def _locate(name: str) -> Path:
    try:
        files = importlib.metadata.files("pydeface") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise ScanpriorError("the head template for removing faces is not installed", hint=INSTALL)
