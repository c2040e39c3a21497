"""Calibrate and measure face removal on real heads: OMP_NUM_THREADS=1 python benchmarks/privacy/faces.py [POSES]

Each head of SCANPRIOR_DATA/heads is looked at as it is, and POSES times turned, moved, with other contrast, noise
and crops; a face counts as left when less than 90 % of the skin that a carefully checked fit of the untouched head
names is removed. Prints verdicts, seconds, and the lowest information that was accepted and the highest that was
refused.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from scanprior.privacy.face import agreed, look
from scanprior.privacy.fit import head_atlas, onto, prepare
from scanprior.privacy.refused import Refused
from scanprior.privacy.template import mean_head

DATA = Path(os.environ.get("SCANPRIOR_DATA", Path(__file__).parents[3] / "shared/data"))


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine of a NIfTI file."""
    image = nib.load(path)
    return np.asarray(image.dataobj).astype(np.float32).squeeze(), np.asarray(image.affine, dtype=float)


def changed(
    array: np.ndarray, affine: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float, str]:
    """A turned header (5-30 or 60-180 degrees), and one of: as it is, gamma and noise, inverted tissue contrast,
    cropped."""
    degrees = float(rng.choice([5, 10, 15, 20, 30, 60, 90, 180], p=[0.15, 0.2, 0.2, 0.15, 0.1, 0.05, 0.1, 0.05]))
    axis = rng.normal(size=3)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    turn[:3, 3] = rng.uniform(-25, 25, 3)
    low, high = np.percentile(array, [1, 99.8])
    unit = np.clip((array - low) / (high - low), 0, 1)
    kind = str(rng.choice(["plain", "gamma", "inverted", "cropped"]))
    if kind == "gamma":
        array = unit ** rng.uniform(0.6, 1.6) + rng.normal(0, 0.02, unit.shape).astype(np.float32)
    elif kind == "inverted":
        array = np.where(unit > 0.12, 1.12 - unit, unit) + rng.normal(0, 0.02, unit.shape).astype(np.float32)
    elif kind == "cropped":
        axis_index = int(rng.integers(3))
        cut = int(rng.uniform(0.08, 0.15) * array.shape[axis_index])
        array = np.take(array, np.arange(cut, array.shape[axis_index]), axis=axis_index)
        shift = np.eye(4)
        shift[axis_index, 3] = cut
        affine = affine @ shift
    return array.astype(np.float32), turn @ affine, degrees, kind


def main(poses: int) -> None:
    """Look at every head as it is, and at `poses` changed copies of each."""
    rng = np.random.default_rng(7)
    head = mean_head()
    for file in sorted((DATA / "heads").glob("*.nii.gz")):
        array, affine = load(file)
        begun = time.process_time()
        try:
            seen = look(array, affine)
            verdict = f"{seen.verdict} {seen.information:.3f}"
        except Refused as refused:
            verdict = f"REFUSED {refused.sentence}"
        print(f"{file.name[:30]:<31}{time.process_time() - begun:5.2f} s  {verdict}", flush=True)
    results: list[tuple[str, float, str, str, float, float]] = []
    for file in sorted((DATA / "heads").glob("face*.nii.gz")):
        array, affine = load(file)
        truth = agreed(prepare(array, affine), head_atlas())
        if truth is None:
            print("no reference for", file.name)
            continue
        for _ in range(poses):
            one, grid, degrees, kind = changed(array, affine, rng)
            true_map = grid @ np.linalg.inv(affine) @ truth.used.matrix
            if kind == "cropped":
                true_map = truth.used.matrix
                turn = grid[:3, :3] @ np.linalg.inv(affine[:3, :3])
                start = np.eye(4)
                start[:3, :3] = turn
                offset = np.array([0.0, 0.0, 0.0])
                for axis in range(3):
                    offset[axis] = array.shape[axis] - one.shape[axis]
                start[:3, 3] = grid[:3, 3] - turn @ (affine[:3, :3] @ offset + affine[:3, 3])
                true_map = start @ truth.used.matrix
            begun = time.process_time()
            try:
                seen = look(one, grid)
            except Refused:
                results.append((file.name, degrees, kind, "refused", 0.0, time.process_time() - begun))
                continue
            share = 1.0
            if seen.removed is not None:
                skin = onto(head.skin, head.affine, true_map, one.shape, grid) & (one > np.percentile(one, 40))
                share = float((seen.removed & skin).sum() / max(skin.sum(), 1))
            results.append((file.name, degrees, kind, seen.verdict, share, time.process_time() - begun))
            if seen.verdict != "removed" or share < 0.9:
                print(
                    "  look at",
                    file.name[:24],
                    degrees,
                    kind,
                    seen.verdict,
                    f"removed {share:.2f} information {seen.information:.3f}",
                    flush=True,
                )
    for low, high in ((0, 31), (31, 181)):
        part = [row for row in results if low <= row[1] < high]
        refused = sum(row[3] == "refused" for row in part)
        left = sum(row[3] not in ("refused", "removed") or (row[3] == "removed" and row[4] < 0.9) for row in part)
        print(
            f"turned {low}-{high - 1} degrees: {len(part)} looked at, {refused} refused, {left} accepted with a face left"
        )
    if results:
        print(f"seconds: mean {np.mean([row[5] for row in results]):.2f}, most {max(row[5] for row in results):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
