"""AdrenalMNIST3D as a study: 1,584 gland shapes (64³ voxels) → NIfTI and a label table with the official split.

    .venv/bin/python data/fetch_adrenal.py                 # a try-out: 128 training, 16 validation, 48 test glands
    .venv/bin/python data/fetch_adrenal.py --all           # the whole set: 1,188, 98 and 298

Reads $SCANPRIOR_DATA/study2/adrenalmnist3d_64.npz where it is, else downloads it (2 MB) from Zenodo; both are checked.
Writes data/fetched/adrenal/images/*.nii.gz and data/fetched/adrenal/labels.csv (patient, label, official, split):
`split` is the official one, but every other training gland plays the unlabelled archive (pool).

Source: MedMNIST+ (Yang et al., Scientific Data 2023, doi 10.1038/s41597-022-01721-8; zenodo.org/records/10519652),
CC BY 4.0. The file holds no patient ids: two glands of one person can't be told, so every gland counts as a patient
here, and intervals come out too narrow. The official split is by person; keep it (scheme: given).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import sys
import urllib.request
from pathlib import Path

import nibabel as nib
import numpy as np

URL = "https://zenodo.org/records/10519652/files/adrenalmnist3d_64.npz"
MD5 = "17721accfe9fb005146a47d33bc54b2f"
CLASSES = ("normal", "hyperplasia")
TRY_OUT = {"train": 128, "val": 16, "test": 48}


def fetch() -> bytes:
    """The npz file from $SCANPRIOR_DATA, else from the internet; ends the program when its md5 is another."""
    local = Path(os.environ.get("SCANPRIOR_DATA", "")) / "study2" / "adrenalmnist3d_64.npz"
    if local.is_file():
        content = local.read_bytes()
    else:
        print("downloading adrenalmnist3d_64.npz (2 MB) from zenodo.org")
        with urllib.request.urlopen(URL, timeout=60) as answer:
            content = answer.read()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5:
        sys.exit(f"adrenalmnist3d_64.npz has md5 {found}, expected {MD5}: fetch it again")
    return content


def chosen(labels: np.ndarray, count: int | None) -> np.ndarray:
    """The first `count` rows with the classes as often as in all rows together; all rows when count is None."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    positive = np.flatnonzero(labels == 1)
    share = round(count * len(positive) / len(labels))
    rows = np.concatenate([positive[:share], np.flatnonzero(labels == 0)[: count - share]])
    return np.sort(rows)


def write(folder: Path, content: bytes, counts: dict[str, int | None]) -> int:
    """Write images/ and labels.csv below `folder`, the same bytes every time; returns the number of glands."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("gland_*.nii.gz"):
        old.unlink()
    lines = ["patient,label,official,split"]
    # The file says nothing of voxel size: MedMNIST resampled the glands to cubes, so 1 stands for one voxel side.
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    with np.load(io.BytesIO(content)) as data:
        for split, count in counts.items():
            labels = data[f"{split}_labels"][:, 0]
            volumes = data[f"{split}_images"]
            for place, row in enumerate(chosen(labels, count)):
                name = f"gland_{split}_{row:04d}"
                image = nib.Nifti1Image(volumes[row], affine)
                image.set_sform(affine, 1)
                image.set_qform(affine, 1)
                image.header.set_xyzt_units("mm")
                (images / f"{name}.nii.gz").write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))
                role = "pool" if split == "train" and place % 2 else split
                lines.append(f"{name},{CLASSES[labels[row]]},{split},{role}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - 1


def main() -> None:
    """Fetch, check and write."""
    parser = argparse.ArgumentParser(description="AdrenalMNIST3D as NIfTI files and a label table")
    parser.add_argument("--all", action="store_true", help="all 1,584 glands instead of a try-out of 192")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fetched" / "adrenal")
    options = parser.parse_args()
    number = write(options.out, fetch(), dict.fromkeys(TRY_OUT) if options.all else dict(TRY_OUT))
    print(f"{number} glands written; next: scanprior run config/adrenal.yaml")


if __name__ == "__main__":
    main()
