"""A tiny hospital: 18 invented patients of 20 voxels a side, so that the whole pipeline runs in seconds a stage."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

SURNAMES = ["Kowalczyk", "Vandermeulen", "Ozturkoglu", "Bergstrasser", "Castellanos", "Dimitriadis", "Eriksdottir",
            "Fitzwilliam", "Gudjohnsen", "Hrvatskova", "Iwanowicz", "Jovanovicz", "Katzenelson", "Lefrancois",
            "Mkhitaryan", "Novosibirsk", "Oberhauser", "Papadimitri"]  # fmt: skip
LABELLED, SIDE = 12, 20

PATIENT = """
study: tiny
cohort: {scans: hospital, labels: hospital/labels.csv, columns: {patient: id, label: diagnosis}, simulated: true}
task: {kind: patient, positive: lesion}
privacy: {faces: keep}
prepare: {spacing: [2, 2, 2]}
patches: {size: [5, 5, 5], per_scan: 32}
prior: {layers: [16, 8], epochs: EPOCHS, ways: [{objective: cd2}]}
arms: [dbn, scratch, logistic]
evaluation: {scheme: cv, folds: 2, draws: 2, budgets: [4, 6], trials: 2, margin: 0.05}
engine: {shards: 2, accelerator: cpu, draws_per_job: 2}
"""

VOXEL = """
study: tinyvoxel
cohort: {scans: hospital/scans, label_maps: hospital/maps, simulated: true}
task: {kind: voxel, classes: {1: core, 2: rim}, region_dilation: 2}
privacy: {faces: keep}
prepare: {spacing: [2, 2, 2]}
patches: {size: [5, 5, 5], per_scan: 60}
prior: {layers: [16, 8], epochs: 2}
arms: [dbn, scratch_bernoulli, dbn_bernoulli, scratch, cnn, pca_logistic]
evaluation: {scheme: holdout, test: 4, pool: 6, draws: 2, budgets: [2, 4], trials: 1, margin: 0.02}
engine: {shards: 2, accelerator: cpu}
"""


def hospital_id(number: int) -> str:
    return f"MRN{7301 + 37 * number:06d}X"


def volume(number: int, lesion: bool) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid body with noise, and its label map: a bright core within a dim rim."""
    rng = np.random.default_rng(number)
    axis = np.linspace(-1, 1, SIDE)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    shift = rng.uniform(-0.15, 0.15, 3)
    radius = np.sqrt((x - shift[0]) ** 2 + (1.1 * (y - shift[1])) ** 2 + (z - shift[2]) ** 2)
    labels = np.zeros(radius.shape, np.uint8)
    labels[radius < 0.55], labels[radius < 0.3] = 2, 1
    image = 300 * (radius < 0.9) + 150 * (labels == 2) + (400 if lesion else 250) * (labels == 1)
    return (image + rng.normal(0, 40, image.shape)).clip(0).astype(np.int16), labels


def write_dicom(folder: Path, number: int, array: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for k in range(SIDE):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = MRImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.999.{number}.1.{k + 1}"
        slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.StudyInstanceUID = f"1.2.826.0.1.3680043.10.999.{number}"
        slice_.SeriesInstanceUID = slice_.StudyInstanceUID + ".1"
        slice_.FrameOfReferenceUID = slice_.StudyInstanceUID + ".9"
        slice_.PatientName, slice_.PatientID = f"{SURNAMES[number]}^Ana", hospital_id(number)
        slice_.PatientBirthDate, slice_.StudyDate, slice_.PatientSex = "19610402", "20190311", "F"
        slice_.StudyID = slice_.AccessionNumber = f"ACC{number:05d}Q"
        slice_.InstitutionName, slice_.SeriesDescription, slice_.Modality = "Klinikum Unterfoehring", "T1 ax", "MR"
        slice_.ImageType, slice_.InstanceNumber = ["ORIGINAL", "PRIMARY", "M"], k + 1
        slice_.Rows = slice_.Columns = SIDE
        slice_.PixelSpacing, slice_.SliceThickness = [2, 2], 2
        slice_.ImageOrientationPatient, slice_.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * k]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.PixelData = np.ascontiguousarray(array[:, :, k].T).tobytes()
        slice_.save_as(folder / f"IM{(k * 7) % SIDE:04d}", enforce_file_format=True)


def build(house: Path, *, epochs: int = 3) -> None:
    """The folder `hospital` and the study file `tiny.yaml` (patient task): 14 patients in NIfTI, 4 in DICOM."""
    raw = house / "hospital"
    rows = ["id;diagnosis"]
    for number, name in enumerate(SURNAMES):
        lesion = number % 2 == 0
        array, _ = volume(number, lesion)
        if number % 5 == 0:
            write_dicom(raw / f"export{number}" / "DICOM", number, array)
        else:
            image = nib.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0]))
            image.header["descrip"] = f"{name} T1".encode()
            raw.mkdir(parents=True, exist_ok=True)
            nib.save(image, raw / f"{hospital_id(number)}.nii.gz")
        if number < LABELLED:
            rows.append(f"{hospital_id(number)};{'lesion' if lesion else 'normal'}")
    (raw / "labels.csv").write_text("\n".join(rows) + "\n")
    (house / "tiny.yaml").write_text(PATIENT.replace("EPOCHS", str(epochs)))


def build_voxel(house: Path) -> None:
    """Scans and label maps of 14 patients in NIfTI, and the study file `tinyvoxel.yaml`."""
    for folder in ("scans", "maps"):
        (house / "hospital" / folder).mkdir(parents=True)
    for number in range(14):
        array, labels = volume(number, lesion=False)
        for folder, values in (("scans", array), ("maps", labels)):
            nib.save(
                nib.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])),
                house / "hospital" / folder / f"{hospital_id(number)}.nii.gz",
            )
    (house / "tinyvoxel.yaml").write_text(VOXEL)


def planted() -> list[str]:
    """Everything that must not be found outside private/ and the hospital's own folder."""
    words = [*SURNAMES, "19610402", "Unterfoehring", "1.2.826.0.1.3680043.10.999"]
    return words + [hospital_id(n) for n in range(len(SURNAMES))] + [f"ACC{n:05d}Q" for n in range(0, len(SURNAMES), 5)]


def scanprior(
    house: Path, *arguments: str, check: bool = True, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run the command line in `house`."""
    return _call(house, [sys.executable, "-m", "scanprior.cli", *arguments], check, timeout)


def snakemake(
    house: Path, *arguments: str, check: bool = True, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a bare snakemake with the project's Snakefile in `house`."""
    source = house / "Snakefile" if (house / "Snakefile").exists() else Path(__file__).parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(source), "--cores", "2", *arguments]
    return _call(house, command, check, timeout)


def _call(house: Path, command: list[str], check: bool, timeout: float) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=timeout, env=environment(house))
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


def environment(house: Path) -> dict[str, str]:
    """The variables of this process, with the code in `house` before the installed one where it has its own."""
    own = {"PYTHONPATH": str(house / "src")} if (house / "src").is_dir() else {}
    return {**os.environ, **own}


def copy_source(house: Path) -> None:
    """A copy of the code in `house`, for tests that edit it; PYTHONPATH prefers it to the installed one."""
    root = Path(__file__).parents[2]
    for name in ("src", "workflow", "profiles"):
        shutil.copytree(root / name, house / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", house / "Snakefile")


def edit(file: Path, old: str, new: str) -> None:
    """Put `new` in the place of the first `old` in `file`, which must have it."""
    text = file.read_text()
    assert old in text, f"{file.name} has changed; point the test at another line"
    file.write_text(text.replace(old, new, 1))


def build_bids(house: Path) -> None:
    """A BIDS folder of twelve subjects with a T1w scan each and a group in participants.tsv."""
    root = house / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.9.0"}')
    rows = ["participant_id\tage\tsex\tgroup"]
    for number in range(12):
        array, _ = volume(number, lesion=number % 2 == 0)
        folder = root / f"sub-{number + 1:02d}" / "anat"
        folder.mkdir(parents=True)
        image = nib.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0]))
        image.set_sform(image.affine, 1)
        nib.save(image, folder / f"sub-{number + 1:02d}_T1w.nii.gz")
        rows.append(f"sub-{number + 1:02d}\t{30 + number}\tF\t{'patient' if number % 2 == 0 else 'control'}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")


def outcome(house: Path) -> dict[str, str]:
    """Digest of every result file but records and report, which hold times."""
    found: dict[str, str] = {}
    for file in (house / "results/tiny").rglob("digests.json"):
        folder = file.parent.relative_to(house / "results/tiny").as_posix()
        if folder != "report":
            found |= {f"{folder}/{name}": value for name, value in json.loads(file.read_text()).items()}
    return found


def searchable(file: Path) -> str:
    """A file as text, whatever it is packed in."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).to_csv()
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("latin-1") + data.decode("utf-16-le", errors="ignore")
