"""Measure face removal on real heads: python benchmarks/privacy/faces.py [POSES] [RESULTS.jsonl] [PICTURES/] [--seed 7]

Every head with a face of SCANPRIOR_DATA/heads (NIfTI and DICOM) is looked at as it is and POSES times changed: header
turned by 5-180 degrees and moved, contrast as it is, bent, inverted or like a CT, some cropped. A face counts as left
when less than 90 % of the skin is removed that a checked fit of the untouched head names. The brain that must not lose a
voxel is found by thresholds and erosion alone, without template and registration. Prints the figures beside their targets.
Poses, crops and contrasts are drawn from the seed: what was mended on one seed is believed on another.
RESULTS are appended and read again, so that an interrupted run goes on; PICTURES (outside the repository: they show
faces) gets a rendering of each head as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scanprior.privacy.atlas import head_atlas, onto, prepare
from scanprior.privacy.face import agreed, look
from scanprior.privacy.picture import before_and_after
from scanprior.privacy.refused import Refused
from scanprior.privacy.template import mean_head
from scanprior.scans.headers import quiet, read_images
from scanprior.scans.series import assemble

DATA = Path(os.environ.get("SCANPRIOR_DATA", Path(__file__).parents[3] / "shared/data"))
CONTRASTS = ("plain", "bent", "inverted", "ct")
Scan = tuple[np.ndarray, np.ndarray]


def load(path: Path) -> Scan:
    """Voxels and affine of a NIfTI file or a folder with one DICOM series."""
    if path.is_dir():
        with quiet():
            volume = assemble(read_images(sorted(path.iterdir()))).volume
        return np.asarray(volume.array, dtype=np.float32), np.asarray(volume.affine, dtype=float)
    image = nib.load(path)
    return np.asarray(image.dataobj).astype(np.float32).squeeze(), np.asarray(image.affine, dtype=float)


def brain_of(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The brain of a T1 head without any template: the largest deep piece of tissue brighter than fluid in the top 115 mm,
    closed over its ventricles and furrows, and a margin of the skull away from the skin."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = np.percentile(array, [1, 99.5])
    unit = ndimage.gaussian_filter(np.clip((array - low) / (high - low), 0, 1), 1.0 / spacing)
    head = ndimage.binary_fill_holes(unit > 0.12)
    level = np.percentile(unit[head], 25)
    room = ndimage.distance_transform_edt(head, sampling=spacing) > 11
    up = np.argmax(np.abs(affine[2, :3]))
    heights = np.arange(array.shape[up]) * affine[2, up]
    seen = head.any(axis=tuple(axis for axis in range(3) if axis != up))
    near = heights > heights[seen].max() - 115
    room &= near.reshape([-1 if axis == up else 1 for axis in range(3)])
    fat = 1.4 * np.median(unit[room & (unit > level)])  # behind the eyes; white matter is at most so bright
    deep = ndimage.distance_transform_edt((unit > level) & (unit < fat) & room, sampling=spacing) > 4.5
    labels, _ = ndimage.label(deep)
    core = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    grown = ndimage.distance_transform_edt(~core, sampling=spacing) < 9
    return (
        (ndimage.distance_transform_edt(ndimage.binary_fill_holes(grown), sampling=spacing) > 5) & room & (unit < fat)
    )


def like_ct(unit: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hounsfield units from T1: air, fat and skin near the surface, bone where T1 is dark under it, brain."""
    head = ndimage.binary_fill_holes(ndimage.binary_closing(unit > 0.12, iterations=2))
    depth = ndimage.distance_transform_edt(head, sampling=spacing)
    made = np.where(unit > 0.12, 20 + 40 * unit, 0)
    made = np.where((depth < 8) & (unit > 0.5), -80, made)
    made = np.where((depth > 3) & (depth < 28) & (unit < 0.25), 900, made)
    return np.where(head, made, -1000) + rng.normal(0, 12, unit.shape)


def changed(
    array: np.ndarray, affine: np.ndarray, contrast: str, *, crop: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[slice, ...], np.ndarray, float]:
    """A changed scan: voxels, affine, the part of the original grid that was kept, the header's turn, its degrees."""
    degrees = float(rng.choice([5, 10, 15, 20, 30, 60, 90, 180], p=[0.15, 0.2, 0.2, 0.15, 0.1, 0.05, 0.1, 0.05]))
    axis = rng.normal(size=3)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    turn[:3, 3] = rng.uniform(-25, 25, 3)
    low, high = np.percentile(array, [1, 99.8])
    unit = np.clip((array - low) / (high - low), 0, 1)
    noise = rng.normal(0, 0.02, unit.shape)
    made = {
        "plain": lambda: array,
        "bent": lambda: unit ** rng.uniform(0.6, 1.6) + noise,
        "inverted": lambda: np.where(unit > 0.12, 1.12 - unit, unit) + noise,
        "ct": lambda: like_ct(unit, np.linalg.norm(affine[:3, :3], axis=0), rng),
    }[contrast]()
    kept = [slice(None)] * 3
    if crop:
        side = int(rng.integers(3))
        cut = int(rng.uniform(0.08, 0.15) * array.shape[side])
        kept[side] = slice(cut, None) if rng.random() < 0.5 else slice(0, array.shape[side] - cut)
    shift = np.eye(4)
    shift[:3, 3] = [part.start or 0 for part in kept]
    return made[tuple(kept)].astype(np.float32), turn @ affine @ shift, tuple(kept), turn, degrees


def judged(array: np.ndarray, grid: np.ndarray, skin: np.ndarray, brain: np.ndarray) -> dict[str, Any]:
    """Look at a scan whose face's skin and brain are known: verdict, share of the skin removed, brain voxels lost."""
    begun = time.process_time()
    try:
        seen = look(array, grid)
    except Refused as refused:
        return {"verdict": "refused", "share": 0.0, "lost": 0, "seconds": time.process_time() - begun,
                "why": str(refused)}  # fmt: skip
    seconds = time.process_time() - begun
    removed = np.zeros(array.shape, dtype=bool) if seen.removed is None else seen.removed
    share = float((removed & skin).sum() / max(skin.sum(), 1))
    return {"verdict": seen.verdict, "share": share, "lost": int((removed & brain).sum()), "seconds": seconds,
            "information": seen.information}  # fmt: skip


def controls() -> list[tuple[str, np.ndarray, np.ndarray, bool]]:
    """Scans that show no head: (name, voxels, affine, whether the header names another body part)."""
    rng = np.random.default_rng(3)
    found = []
    for file in sorted((DATA / "hippocampus/images").glob("*.nii.gz"))[:10]:
        found.append(("hippocampus crop", *load(file), False))
    glands = np.load(DATA / "study2/adrenalmnist3d_64.npz")["train_images"]
    for gland in glands[:5]:
        found.append(("adrenal gland", gland.astype(np.float32), np.eye(4), False))
    i, j, k = np.indices((96, 70, 80)) - np.array([48, 35, 40]).reshape(3, 1, 1, 1)
    torso = ((i / 44) ** 2 + (j / 30) ** 2 < 1) * 1.0
    lungs = ((np.abs(i) - 20) / 14) ** 2 + (j / 20) ** 2 + (k / 34) ** 2 < 1
    body = torso * (0.5 + 0.1 * rng.random(torso.shape)) * ~lungs + 0.02 * rng.random(torso.shape)
    found.append(("torso, header says chest", body.astype(np.float32), np.diag([4.0, 4, 4, 1]), True))
    found.append(("torso, header says nothing", body.astype(np.float32), np.diag([4.0, 4, 4, 1]), False))
    ball = (i**2 + j**2 + k**2 < 26**2) * (1 + 0.3 * rng.random(torso.shape))
    found.append(("ball of noise", ball.astype(np.float32), np.diag([4.0, 4, 4, 1]), False))
    for file in sorted((DATA / "study2/ds002748_bids").rglob("*_T1w.nii.gz")):
        found.append(("stripped brain", *load(file), False))
    for file in sorted((DATA / "heads").glob("noface*.nii.gz")):
        found.append(("defaced head", *load(file), False))
    return found


def main(poses: int, results: Path | None, pictures: Path | None, seed: int) -> None:
    """Look at every head as it is, at `poses` changed copies of each drawn from `seed`, and at the controls."""
    done: dict[str, dict[str, Any]] = {}
    if results is not None and results.exists():
        done = {row["case"]: row for row in map(json.loads, results.read_text().splitlines())}
    rows: list[dict[str, Any]] = []

    def keep(case: str, row: dict[str, Any]) -> None:
        rows.append({"case": case, **row})
        if results is not None and case not in done:
            with results.open("a") as stream:
                stream.write(json.dumps(rows[-1]) + "\n")

    head = mean_head()
    heads = [*sorted((DATA / "heads").glob("face*.nii.gz")), *sorted((DATA / "heads").glob("dicom_face*"))]
    for number, file in enumerate(heads):
        name = file.name.split(".")[0]
        array, affine = load(file)
        truth = agreed(prepare(array, affine), head_atlas())
        assert truth is not None, f"no reference for {name}"
        tissue = array > np.percentile(array, 40)
        skin = onto(head.skin, head.affine, truth.used.matrix, array.shape, affine) & tissue
        brain = brain_of(array, affine)
        litres = float(brain.sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1e6
        if pictures is not None:
            seen = look(array, affine)
            (pictures / f"{name}.png").write_bytes(before_and_after(array, affine, seen.removed))
            (pictures / f"{name}-brain.png").write_bytes(before_and_after(array, affine, brain))
        for pose in range(-1, poses):
            case = f"{name} {pose}"
            if case in done:
                keep(case, {key: value for key, value in done[case].items() if key != "case"})
                continue
            if pose < 0:
                row = judged(array, affine, skin, brain) | {"contrast": "as it is", "degrees": 0.0, "crop": False}
            else:
                rng = np.random.default_rng([seed, number, pose])
                contrast, crop = CONTRASTS[pose % 4], pose % 3 == 2
                one, grid, part, _, degrees = changed(array, affine, contrast, crop=crop, rng=rng)
                row = judged(one, grid, skin[part], brain[part]) | {
                    "contrast": contrast,
                    "degrees": degrees,
                    "crop": crop,
                }
            keep(case, row | {"litres": litres})
            if pose < 0 or row["verdict"] != "removed" or row["share"] < 0.9 or row["lost"]:
                print(f"{case:<34}{row['contrast']:<9}{row['degrees']:5.0f} deg {'crop' if row['crop'] else '    '} {row['verdict']:<12}"
                      f"skin {row['share']:.3f} brain lost {row['lost']} of {litres:.2f} l {row['seconds']:.1f} s", flush=True)  # fmt: skip
    touched = 0
    for name, array, affine, elsewhere in controls():
        try:
            seen = look(array, affine, elsewhere=elsewhere)
        except Refused:
            print(f"control {name}: refused")
            continue
        touched += seen.removed is not None
        print(f"control {name}: {seen.verdict}")
    report(rows, touched)


def report(rows: list[dict[str, Any]], touched: int) -> None:
    """Print the figures beside their targets, in all and by contrast."""

    def left(row: dict[str, Any]) -> bool:
        return row["verdict"] != "refused" and (row["verdict"] != "removed" or row["share"] < 0.9)

    for contrast in sorted({row["contrast"] for row in rows}):
        part = [row for row in rows if row["contrast"] == contrast]
        refused = sum(row["verdict"] == "refused" for row in part)
        print(f"{contrast:<10}{len(part):4} scans, {refused} quarantined, {sum(map(left, part))} with a face left")
    refused = sum(row["verdict"] == "refused" for row in rows)
    times = [row["seconds"] for row in rows]
    adult = [row["seconds"] for row in rows if "1mm" in row["case"]]
    print(f"faces emptied or quarantined: {sum(not left(row) for row in rows)} of {len(rows)} (target: all)")
    print(f"quarantined: {100 * refused / len(rows):.1f} % (target: at most 10)")
    print(f"brain voxels lost: {sum(row['lost'] for row in rows)} (target: 0)")
    print(f"controls touched: {touched} (target: 0)")
    print(f"seconds: mean {np.mean(times):.1f}, most {max(times):.1f}; 1 mm head: mean {np.mean(adult):.1f}, most "
          f"{max(adult):.1f} (target: at most 20)")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("poses", type=int, nargs="?", default=0)
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    main(asked.poses, asked.results, asked.pictures, asked.seed)
