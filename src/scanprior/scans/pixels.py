"""The stored and the rescaled pixel values of one DICOM image, or the reason why there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian

from scanprior.scans.elements import numbers, text
from scanprior.scans.refused import Refused

TAGS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
        "ModalityLUTSequence", "PixelData")  # fmt: skip


def stored(dataset: Dataset) -> NDArray[np.integer]:
    """The pixel values (rows, columns) as stored: whole numbers, before the rescale.

    Raises:
        Refused: truncated, undecodable.
    """
    meta = getattr(dataset, "file_meta", None)
    syntax = (
        UID(str(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))) if meta is not None else ImplicitVRLittleEndian
    )
    if syntax not in UID_dictionary:  # a maker's own, or none
        raise Refused("undecodable", "the file says of its pixels' encoding nothing that the standard knows")
    if not syntax.is_encapsulated:
        return _native(dataset, big=not syntax.is_little_endian)
    try:
        decoder = get_decoder(syntax)
        array, _ = decoder.as_array(dataset, raw=True, index=0)
    except NotImplementedError:
        raise Refused("undecodable", "no decoder is installed for the way in which the pixels are compressed") from None
    except Exception:  # noqa: BLE001
        # Codecs raise whatever they like (RuntimeError, ValueError, struct.error, their own classes) on broken streams.
        raise Refused("undecodable", "the compressed pixels can't be decoded: cut off or damaged") from None
    return array


def _native(dataset: Dataset, *, big: bool) -> NDArray[np.integer]:
    rows, columns, bits = (int(value[0]) if (value := numbers(dataset, name, 1)) else 0
                           for name in ("Rows", "Columns", "BitsAllocated"))  # fmt: skip
    if bits not in (8, 16, 32) or not rows or not columns:
        raise Refused("undecodable", "size or depth of the pixels is missing or odd (8, 16 or 32 bits are read)")
    content = dataset.PixelData
    needed = rows * columns * bits // 8
    if not isinstance(content, bytes) or len(content) < needed:
        held = len(content) if isinstance(content, bytes) else 0
        raise Refused("truncated", f"the pixels end early: {held} of {needed} bytes are there")
    signed = numbers(dataset, "PixelRepresentation", 1) == (1.0,)
    array = np.frombuffer(
        content, dtype=f"{'>' if big else '<'}{'i' if signed else 'u'}{bits // 8}", count=rows * columns
    )
    used, high = numbers(dataset, "BitsStored", 1), numbers(dataset, "HighBit", 1)
    if used and high and high[0] != used[0] - 1:
        raise Refused("undecodable", "the pixel values don't lie in the lowest bits (HighBit is not BitsStored - 1)")
    unused = bits - int(used[0]) if used and 0 < used[0] < bits else 0
    array = array.astype(array.dtype.newbyteorder("=")).reshape(rows, columns)
    if unused:
        # Old overlays hide in the bits above BitsStored (retired in PS3.3 2004): shift them out, sign extended.
        array = (array << unused) >> unused
    return array


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept from stored to real values (PS3.3 C.11.1); 1 and 0 where the file names none.

    Raises:
        Refused: nonlinear-values (a table takes the place of the line); bad-rescale (illegible numbers, or slope 0).
    """
    if "ModalityLUTSequence" in dataset:
        raise Refused("nonlinear-values", "the values are given by a lookup table instead of slope and intercept")
    pair: list[float] = []
    for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        value = numbers(dataset, name, 1)
        if value is None and text(dataset, name):
            raise Refused("bad-rescale", f"the {name} is not a number")
        pair.append(default if value is None else value[0])
    if pair[0] == 0:
        raise Refused("bad-rescale", "the rescale slope is 0")
    return pair[0], pair[1]
