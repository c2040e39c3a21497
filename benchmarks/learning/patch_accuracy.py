"""How good the arms are at naming the centre voxel of a patch: the strength of the comparison, before any Dice.

SCANPRIOR_DATA=… python benchmarks/learning/patch_accuracy.py [ARM …] [--prior FOLDER] [--background uniform]

Hippocampus, 13³ patches of 60 unseen patients, 3 balanced classes, balanced accuracy, 3 draws, default settings (no tuning).
`--background uniform` samples the background as the reference figures below did; the pipeline takes three quarters of it
within 4 voxels of the foreground, which is harder. Reference (shared/FACTS.md, point 10; 2, 4, 8 patients): PCA-100 and
logistic .693 .743; rectified net .790 .860 .889; noisy rectified stack .804 .858 .891; small 3-D CNN .804 .881 .911.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import nibabel
import numpy as np
import torch

from scanprior.learning.arm import Setup, validation
from scanprior.learning.bags import Bags
from scanprior.learning.prior import load_prior
from scanprior.learning.registry import make_arm
from scanprior.learning.tuning import trial_settings
from scanprior.patches import sampling
from scanprior.patches.preparation import Prepared, prepare
from scanprior.patches.resampling import Grid
from scanprior.patches.store import PatchStore

SIZE, BUDGETS, DRAWS, TEST, POOL = (13, 13, 13), (2, 4, 8), 3, 60, 70


def read(file: Path) -> Grid:
    """A volume of the cohort."""
    image = nibabel.load(file)
    return Grid(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine))


def load(folder: Path) -> tuple[list[int], list[Prepared]]:
    """Patient number (scans 2k − 1 and 2k are one person) and prepared scan of every file."""
    files = sorted((folder / "images").glob("*.nii*"), key=number)
    scans = [
        prepare(read(f), read(folder / "labels" / f.name), None, spacing=(1, 1, 1), intensity="zscore") for f in files
    ]
    return [(number(f) + 1) // 2 for f in files], scans


def number(file: Path) -> int:
    """The scan's number in its file name."""
    return int(file.name.split("_")[-1].split(".")[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", default=["pca_logistic", "logistic", "scratch", "mlp", "cnn"])
    parser.add_argument(
        "--prior", type=Path, help="folder of a prior, for the arm dbn (its pool must not be tested here)"
    )
    parser.add_argument("--background", choices=["near", "uniform"], default="near")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.background == "uniform":
        sampling.NEAR = 1000
    patients, scans = load(Path(os.environ["SCANPRIOR_DATA"]) / "hippocampus")
    store = PatchStore([scan.image for scan in scans], SIZE)
    drawn = [
        sampling.balanced_positions(scan.allowed, scan.labels, 3, 400, np.random.default_rng(row))
        for row, scan in enumerate(scans)
        if scan.labels is not None
    ]
    rows = np.repeat(np.arange(len(scans)), [len(targets) for _, targets in drawn])
    centres, targets = (np.concatenate(part) for part in zip(*drawn, strict=True))
    owner = np.array(patients)[rows]

    def bags(chosen: np.ndarray) -> Bags:
        kept = np.isin(owner, chosen)
        return Bags.of_patches(store, rows[kept], centres[kept], targets[kept])

    order = np.random.default_rng(1).permutation(np.unique(patients))
    test, labelled = bags(order[:TEST]).thinned(12_000), order[TEST + POOL :]
    for name in options.arms:
        hidden = "bernoulli" if name.endswith("_bernoulli") else "rectified"
        prior = load_prior(options.prior) if name.startswith("dbn") else None
        arm = make_arm(name, Setup(3, SIZE, (600, 300), hidden, prior))
        settings, found = trial_settings(arm.space, 0, lambda *_names: 0), []
        for budget in BUDGETS:
            scores = []
            for draw in range(DRAWS):
                chosen = np.random.default_rng(100 + draw).permutation(labelled)[:budget]
                valid = np.arange(budget) % 4 == 1
                fit = arm.fit(bags(chosen[~valid]), bags(chosen[valid]), draw, settings=settings)
                scores.append(validation(fit.predictor.bag_logits(test), test.targets, pooled=False)[1])
            found.append(f"{budget}: {np.mean(scores):.3f} ± {np.std(scores):.3f}")
        print(f"{name:18s} {'   '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
