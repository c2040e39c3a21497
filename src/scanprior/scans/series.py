"""One DICOM series as one volume: sorted, checked, rescaled; refused when in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from scanprior.scans.pixels import rescale, stored
from scanprior.scans.refused import Refused
from scanprior.scans.slices import geometry, slice_of
from scanprior.scans.volume import Volume

__all__ = ["Refused", "Stack", "assemble"]


class Stack(NamedTuple):
    """A volume: `volume.array[i, j, k]` is the rescaled pixel (row j, column i) of `datasets[order[k]]`."""

    volume: Volume
    order: tuple[int, ...]


def assemble(datasets: Sequence[Dataset]) -> Stack:
    """Build the volume of one series from its data sets, in whatever sequence they come.

    k runs along the slice normal, the cross product of the row and column directions. Values are slope × stored +
    intercept of each slice; they stay int16 or int32 when all of these are whole numbers, else they become float32.

    Raises:
        Refused: what `geometry`, `stored` and `rescale` refuse; no series is ever guessed into shape.
    """
    # pydicom gives what it could read of a file that is cut off, and says nothing: the pixels come last.
    if cut := sum("PixelData" not in dataset for dataset in datasets):
        raise Refused("truncated", f"{cut} of {len(datasets)} files end before their pixels, or hold none")
    grid = geometry([slice_of(dataset) for dataset in datasets])
    columns, rows, count = grid.shape
    lines = [rescale(dataset) for dataset in datasets]
    # Sixteen stored bits times these stay exact in 32 bits.
    whole = all(s.is_integer() and i.is_integer() and abs(s) * 2**16 + abs(i) < 2**31 for s, i in lines)
    array = np.empty((columns, rows, count), dtype=np.int32 if whole else np.float32, order="F")
    for k, index in enumerate(grid.order):
        pixels = stored(datasets[index])
        if pixels.shape != (rows, columns):
            raise Refused("undecodable", f"the pixels decode to {pixels.shape}, the header says {(rows, columns)}")
        slope, intercept = lines[index]
        if whole and pixels.dtype.itemsize > 2:
            whole, array = False, array.astype(np.float32)
        if whole:
            array[:, :, k] = pixels.T.astype(np.int32) * int(slope) + int(intercept)
        else:
            array[:, :, k] = pixels.T * slope + intercept
    limits = np.iinfo(np.int16)
    if whole and limits.min <= array.min() and array.max() <= limits.max:
        array = array.astype(np.int16)
    return Stack(Volume(array, grid.affine), grid.order)
