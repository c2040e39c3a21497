"""NIfTI files: read with refusal, written with a fresh header and the same bytes every time."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from scanprior.scans.refused import Refused
from scanprior.scans.volume import Volume, spacing_of

SUFFIXES = (".nii.gz", ".nii")
BROKEN = (ImageFileError, HeaderDataError, WrapStructError, ValueError, TypeError)
TO_MM = {"meter": 1000.0, "micron": 0.001}
SAME_SPACING = 0.01  # headers round; a registration that stretches the patient differs by more


def stem(path: Path) -> str:
    """The file's name without .nii or .nii.gz; bytes that are no text (old CDs) are spelled out."""
    name = path.name.encode("utf-8", "backslashreplace").decode("utf-8")
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(name).stem


def is_nifti(path: Path) -> bool:
    """Whether the name is that of a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """Read a 3-D volume from a NIfTI-1 or NIfTI-2 file, scaled as its header says (slope 0 or NaN: not scaled).

    The array keeps the stored whole numbers where nothing is scaled, else it is float32.

    Raises:
        Refused: undecodable, truncated, four-dimensional, colour, no-geometry, conflicting-geometry, non-finite-voxels.
    """
    image = _image(_content(path))
    shape, affine = _grid(image.header)
    if isinstance(image.dataobj, ArrayProxy) and image.dataobj.offset < image.header.sizeof_hdr + 4:
        raise Refused("undecodable", "the header says that the voxels begin inside the header (vox_offset)")
    try:
        array = np.asarray(image.dataobj).reshape(shape)
    except (OSError, ValueError, EOFError):
        raise Refused("truncated", "the file ends before its last voxel") from None
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise Refused(
                "non-finite-voxels", f"{int((~np.isfinite(array)).sum())} voxels are infinite or not a number"
            )
    return Volume(array, affine)


def read_grid(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Shape and affine (4, 4) of a NIfTI file from its header alone; refuses like `read_nifti`."""
    try:
        image = nib.load(path)
    except (OSError, EOFError, zlib.error):
        raise Refused("unreadable", "the file can't be opened or is cut off inside its header") from None
    except BROKEN:
        raise Refused("undecodable", "the file is empty or not a NIfTI image") from None
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair):
        raise Refused("undecodable", "the file is named like a NIfTI image and is none")
    return _grid(image.header)


def _grid(header: nib.Nifti1Header) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    affine = _affine(header)
    shape = tuple(int(side) for side in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise Refused("four-dimensional", f"the image has {len(shape)} dimensions {shape}; one volume of 3 is needed")
    if header.get_data_dtype().kind not in "iuf":
        raise Refused("colour", "the voxels are colours or complex numbers; one number per voxel is needed")
    return (shape[0], shape[1], shape[2]), affine


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Refused("truncated", "the compressed file is cut off or damaged") from None
    except OSError as error:
        raise Refused("unreadable", f"the file can't be opened ({error.strerror})") from None


def _image(content: bytes) -> nib.Nifti1Image:
    """The image, held in memory: a memory map over a cut file would fail later and elsewhere."""
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        try:
            return kind.from_bytes(content)
        except BROKEN:
            continue
    raise Refused("undecodable", "the file is empty or not a NIfTI image")


def _affine(header: nib.Nifti1Header) -> NDArray[np.float64]:
    """The sform if its code is set, else the qform; neither, or two that disagree about axes or spacing, is refused."""
    sform, scode = header.get_sform(coded=True)
    try:
        qform, qcode = header.get_qform(coded=True)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):
        qform, qcode = None, 0
    candidates = [matrix for matrix, code in ((sform, scode), (qform, qcode)) if code and matrix is not None]
    if not candidates:
        raise Refused(
            "no-geometry", "neither sform nor qform says how the voxels lie in the patient (both codes are 0)"
        )
    for matrix in candidates:
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise Refused("no-geometry", "the affine is not finite or has no inverse")
    if len(candidates) == 2 and nib.aff2axcodes(candidates[0]) != nib.aff2axcodes(candidates[1]):
        codes = " and ".join("".join(str(code) for code in nib.aff2axcodes(matrix)) for matrix in candidates)
        raise Refused("conflicting-geometry", f"sform and qform disagree about the axes ({codes})")
    sizes = [spacing_of(matrix) for matrix in candidates]
    if not np.allclose(sizes[0], sizes[-1], rtol=SAME_SPACING):
        said = " and ".join(" × ".join(f"{side:g}" for side in size) for size in sizes)
        raise Refused(
            "conflicting-geometry",
            f"sform and qform disagree about the size of the voxels ({said}); set the code of the wrong one to 0",
        )
    unit, _ = header.get_xyzt_units()
    affine = np.array(candidates[0], dtype=np.float64)
    affine[:3] *= TO_MM.get(str(unit), 1.0)
    return affine


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume with a header made from array and affine alone; gzip without name and time, so the bytes repeat.

    bool becomes uint8, float64 float32. sform and qform have code 1 (scanner); a sheared affine has no qform.
    """
    array = volume.array
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype == np.float64:
        array = array.astype(np.float32)
    image = nib.Nifti1Image(array, volume.affine, dtype=array.dtype)  # said, because 64-bit integers have to be
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, 1)
    image.set_qform(volume.affine, 1)
    if not np.allclose(image.get_qform(), volume.affine, atol=1e-3):
        image.set_qform(None, 0)
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        with path.open("wb") as file, gzip.GzipFile("", "wb", 4, file, mtime=0) as stream:
            stream.write(content)
    else:
        path.write_bytes(content)
