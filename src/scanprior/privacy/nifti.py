"""NIfTI files with a header made anew from shape, type, scaling and affine: no text field, extension, name or time
survives."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from scanprior.privacy.refused import Refused

SUFFIXES = (".nii.gz", ".nii")
_READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    struct.error,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    KeyError,
)
_LARGEST = 4 << 30
_MILLIMETRES = {"meter": 1e3, "micron": 1e-3}


class Stored(NamedTuple):
    """A NIfTI image as stored: raw voxels and their scaling (slope, intercept; nibabel takes it out of the header), the
    header, the affine in mm, and how many text fields and extensions it carried.
    """

    voxels: NDArray[np.generic]
    scaling: tuple[float, float]
    header: nib.Nifti1Header
    affine: NDArray[np.float64]
    removed: int


def is_nifti(path: Path) -> bool:
    """Whether the name is that of a single-file NIfTI image."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> Stored:
    """Read a NIfTI-1 or NIfTI-2 file; voxels stay as stored, scaling apart.

    Raises:
        Refused: broken or of a number type that holds no intensities.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(_LARGEST)
        kind = (
            nib.Nifti2Image
            if int.from_bytes(content[:4], "little") == 540 or content[:4] == b"\0\0\2\x1c"
            else nib.Nifti1Image
        )
        image = kind.from_bytes(content)
        old = image.header
        if old.get_data_dtype().kind not in "iuf":
            raise Refused("not-an-image", "the NIfTI file holds colours or complex numbers, not intensities")
        proxy: Any = image.dataobj
        voxels = np.array(proxy.get_unscaled())
        scaling = (float(proxy.slope), float(proxy.inter))
    except _READ_ERRORS:
        raise Refused("unreadable", "the file ends early or is not valid NIfTI") from None
    text = sum(
        bool(bytes(old[field].tobytes()).strip(b"\0 "))
        for field in ("descrip", "aux_file", "intent_name")
        if field in old
    )
    text += sum(bool(bytes(old[field].tobytes()).strip(b"\0 ")) for field in ("db_name", "data_type") if field in old)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(_units(old)[0], 1.0)
    return Stored(voxels, scaling, old, affine, text + len(old.extensions))


def encode_nifti(stored: Stored, *, compress: bool = True) -> bytes:
    """The bytes of a fresh NIfTI-1 file with the same voxels, scaling and geometry; gzip without name and time."""
    old = stored.header
    voxels = stored.voxels.astype(stored.voxels.dtype.newbyteorder("="))
    image = nib.Nifti1Image(voxels, None, dtype=voxels.dtype)  # said, because 64-bit integers have to be
    header = image.header
    for which in ("sform", "qform"):
        code = int(old[f"{which}_code"])
        try:
            matrix = getattr(old, f"get_{which}")()
            if code and np.isfinite(matrix).all():
                getattr(image, f"set_{which}")(matrix, code if code in (1, 2, 3, 4) else 1)
        except (ValueError, HeaderDataError, np.linalg.LinAlgError):
            continue
    zooms = np.abs(np.nan_to_num([float(zoom) for zoom in old.get_zooms()], nan=1.0))
    header.set_zooms([float(np.clip(zoom, 0, 1e6)) for zoom in zooms])
    space, time = _units(old)
    header.set_xyzt_units(
        space if space in ("mm", "meter", "micron") else "mm", time if time in ("sec", "msec", "usec") else None
    )
    header["scl_slope"], header["scl_inter"] = stored.scaling if stored.scaling != (1.0, 0.0) else (np.nan, np.nan)
    header["vox_offset"] = 352  # right behind the header and its four bytes "no extensions"
    content = (
        header.binaryblock[:348]
        + b"\0\0\0\0"
        + stored.voxels.astype(stored.voxels.dtype.newbyteorder("<")).tobytes(order="F")
    )
    if not compress:
        return content
    target = io.BytesIO()
    with gzip.GzipFile("", "wb", 4, target, mtime=0) as stream:
        stream.write(content)
    return target.getvalue()


def _units(header: nib.Nifti1Header) -> tuple[str, str]:
    """Units of space and time; "unknown" where the code is none of the standard's."""
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return str(space), str(time)


def scaled(stored: Stored) -> NDArray[np.float32]:
    """The intensities as numbers."""
    slope, intercept = stored.scaling
    values = stored.voxels.astype(np.float32)
    return values if (slope, intercept) == (1.0, 0.0) else values * np.float32(slope) + np.float32(intercept)
