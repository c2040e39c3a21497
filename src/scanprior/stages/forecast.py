"""What a study will cost on this machine: seconds of processor per stage, wall time, memory and disk, before any work."""

from __future__ import annotations

import math
import os
import shutil
import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scanprior.config import StudyConfig
from scanprior.energy.objective_names import passes
from scanprior.learning.catalogue import CATALOGUE, CONVOLUTIONAL, MACHINES, ArmName, PriorKind, canary_of
from scanprior.learning.kernels import WIDTH, kernels
from scanprior.study import Study

# Seconds of one core of the machine that all constants were measured on (3 GHz, AVX-512), and what it multiplies per second.
REFERENCE_GFLOPS = 85.0
STARTUP = {"torch": 5.0, "plain": 1.0}  # imports of one process
PER_FILE = {"index": 0.0022, "deidentify": 0.006, "convert": 0.001}
PER_SCAN = {"deidentify": 0.02, "convert": 0.03, "prepare": 0.05, "patches": 0.01}
PER_MEGAVOXEL = {"index": 0.15, "deidentify": 0.05, "convert": 0.05, "prepare": 0.25}
FACE = 1.5  # registration of one head; up to 15 where its header is wrong
HEAD_MM = 120.0  # a field of view beyond this on every side may hold a face
# Training: the schedule of learning.training.Plan, and what a mini-batch costs beside its products.
STEPS, BATCH, VALIDATED = 40, 128, 2000  # an epoch: mini-batches, patches in each, validation patches
PER_STEP = 0.002
CNN_SLOWDOWN = 1.5  # seconds per multiplication of small 3-D kernels, against those of matrix products
CONV_PRIOR = 3.5  # the same while a prior is trained: 2.5 machines, 3.6 with the place, 4.2 autoencoder (13³ patches)
REGION_SHARE = 0.2  # of a prepared volume that dense prediction covers
FEATURE_FIT = 1.5
SERIAL = 12.0  # Snakemake and stages that nothing runs beside


class Size(NamedTuple):
    """What was found: scans, DICOM files, patients, labelled ones, voxels (millions) as stored and as prepared, raw bytes."""

    scans: int
    files: int
    patients: int
    labelled: int
    raw_megavoxels: float
    prepared_megavoxels: float
    heads: int
    raw_mb: float
    sites: int = 1


class Forecast(NamedTuple):
    """Processor seconds per stage, wall seconds on `cores`, peak memory of all processes and disk, in MB."""

    stages: dict[str, float]
    wall: float
    memory_mb: float
    disk_mb: float
    cores: int


def forecast(study: Study, size: Size, *, cores: int | None = None) -> Forecast:
    """Forecast from counts and a 0.2 s measurement of this machine's speed."""
    config = study.config
    cores = cores or os.cpu_count() or 1
    gflops = measured_gflops()
    pace = REFERENCE_GFLOPS / gflops
    jobs = {stage: len(study.jobs(stage)) for stage in ("deidentify", "pretrain", "train")}
    shards = jobs["deidentify"]
    stages = {
        "index": STARTUP["plain"] + PER_FILE["index"] * size.files + PER_MEGAVOXEL["index"] * size.raw_megavoxels,
        "split": STARTUP["plain"],
        "deidentify": _spread("deidentify", size, shards)
        + (FACE * size.heads if config.privacy.faces != "keep" else 0.0),
        "convert": _spread("convert", size, shards),
        "prepare": STARTUP["plain"] * shards
        + PER_SCAN["prepare"] * size.scans
        + PER_MEGAVOXEL["prepare"] * size.prepared_megavoxels,
        "patches": STARTUP["plain"] + PER_SCAN["patches"] * size.scans,
        "pretrain": jobs["pretrain"] * STARTUP["torch"]
        + sum(_pretraining(config, size, job["kind"], job["way"]) for job in study.jobs("pretrain")) / gflops,
        "train": sum(
            _canary(config, size, gflops) if canary_of(job["arm"]) else _arm(config, size, job["arm"], gflops)
            for job in study.jobs("train")
        ),
        "evaluate": STARTUP["plain"] + 0.5 * len(config.arms),
        "report": STARTUP["plain"] + 3.0,
    }
    slow = {name: seconds * (1.0 if name in ("pretrain", "train") else pace) for name, seconds in stages.items()}
    serial = sum(slow[name] for name in ("index", "split", "patches", "evaluate", "report")) + SERIAL
    wall = serial + sum(slow[name] for name in ("deidentify", "convert", "prepare", "train")) / cores
    wall += max(slow["pretrain"] / min(cores, max(jobs["pretrain"], 1)), 0.0)
    volumes = 4 * size.prepared_megavoxels
    memory = cores * (500 + 1.6 * volumes) + 250
    # de-identified copy + NIfTI + float32, allowed mask and label map of every prepared voxel + models and tables
    disk = 1.1 * size.raw_mb + 1.2 * size.raw_megavoxels + 1.5 * volumes + 30
    return Forecast(slow, wall, memory, disk, cores)


def measured_gflops() -> float:
    """Billions of multiplications and additions per second of one thread, single precision; median of five products."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((512, 1200), np.float32), rng.standard_normal((1200, 600), np.float32)
    times: list[float] = []
    for _ in range(6):
        start = time.process_time()
        _ = a @ b
        times.append(time.process_time() - start)
    return 2 * 512 * 1200 * 600 / max(sorted(times)[2], 1e-5) / 1e9


def sentence(found: Forecast, free_mb: float | None = None) -> str:
    """The forecast as a table with one line below it."""
    lines = [f"  {stage:<11} {seconds:8.0f} s of processor" for stage, seconds in found.stages.items()]
    wall = f"{found.wall / 60:.0f} min" if found.wall >= 90 else f"{found.wall:.0f} s"
    needs = f"{found.memory_mb / 1000:.1f} GB of memory, {_size(found.disk_mb)} of disk"
    lines.append(f"about {wall} on {found.cores} cores, {needs} (within a factor of 2)")
    if free_mb is not None and free_mb < found.disk_mb:
        lines.append(f"only {_size(free_mb)} of disk are free here: make room first")
    return "\n".join(lines)


def free_disk_mb(study: Study) -> float:
    """Free space where the results go."""
    return shutil.disk_usage(study.house).free / 1e6


def _size(mb: float) -> str:
    return f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"


def _spread(stage: str, size: Size, shards: int) -> float:
    work = PER_FILE[stage] * size.files + PER_SCAN[stage] * size.scans + PER_MEGAVOXEL[stage] * size.raw_megavoxels
    return STARTUP["plain"] * shards + work


def _products(config: StudyConfig, classes: int = 3) -> float:
    """Multiplications of one patch going up through the dense network, in billions."""
    sizes = (math.prod(config.patches.size), *config.prior.layers, classes)
    return sum(a * b for a, b in pairwise(sizes)) / 1e9


def _kernel_products(config: StudyConfig) -> float:
    """Multiplications of one patch going through the small convolutional network (learning.network), in billions."""
    total, before = 0.0, 1
    layers = zip(*(kernels(side) for side in config.patches.size), strict=True)
    first, stride, second, third = layers
    sides = config.patches.size
    for width, kernel, step in ((WIDTH, first, stride), (2 * WIDTH, second, (1, 1, 1)), (4 * WIDTH, third, (1, 1, 1))):
        sides = tuple((side - k) // s + 1 for side, k, s in zip(sides, kernel, step, strict=True))
        total += before * width * math.prod(kernel) * math.prod(sides)
        before = width
    return total / 1e9


def _pretraining(config: StudyConfig, size: Size, kind: PriorKind, number: int) -> float:
    """Billions of operations: cd1 makes five products per patch, layer and epoch, and the rest; kernels take longer."""
    share = 1.0
    if config.prior.scope == "disjoint":
        share = (config.evaluation.pool or size.patients - size.labelled) / max(size.patients, 1)
    patches = size.scans * share * config.patches.per_scan
    each = CONV_PRIOR * _kernel_products(config) if kind in CONVOLUTIONAL else _products(config)
    way = config.prior.way(number)
    products = passes(way.objective, way.batch_size) if kind in MACHINES else 5
    return 1.6 * products * 2 * each * patches * way.epochs


def _arm(config: StudyConfig, size: Size, arm: ArmName, gflops: float) -> float:
    """Processor seconds of one arm on one draw."""
    evaluation, together = config.evaluation, config.engine.draws_per_job
    fits = _folds(config, size) * len(evaluation.budgets) * evaluation.trials
    per_patch = 2 * _products(config) / gflops
    if not CATALOGUE[arm].network:
        return STARTUP["plain"] / together + 1.0 + FEATURE_FIT * fits + _dense(config, size, per_patch / 10)
    if arm == "cnn" or CATALOGUE[arm].partner == "cnn":
        per_patch = CNN_SLOWDOWN * 2 * _kernel_products(config) / gflops
    fit = evaluation.epochs * (STEPS * PER_STEP + (3 * STEPS * BATCH + VALIDATED) * per_patch)
    return STARTUP["torch"] / together + fits * fit + _dense(config, size, per_patch)


def _canary(config: StudyConfig, size: Size, gflops: float) -> float:
    """Processor seconds of one canary: one budget of one draw, and few dense predictions."""
    evaluation = config.evaluation
    fits = FEATURE_FIT * _folds(config, size) * evaluation.trials
    tests = _dense(config, size, 2 * _products(config) / gflops / 10) / len(evaluation.budgets)
    return STARTUP["plain"] + 1.0 + fits + (tests if config.task.kind == "patient" else tests / 8)


def _folds(config: StudyConfig, size: Size) -> int:
    """How often every budget of a draw is fitted."""
    scheme = config.evaluation.scheme
    return config.evaluation.folds if scheme == "cv" else size.sites if scheme == "sites" else 1


def _dense(config: StudyConfig, size: Size, per_patch: float) -> float:
    """Whole test scans of a voxel task; a patient task predicts from the patches that are there."""
    evaluation = config.evaluation
    tests = (evaluation.test or size.labelled) * len(evaluation.budgets)
    if config.task.kind == "patient":
        return tests * config.patches.per_scan * per_patch
    return tests * REGION_SHARE * 1e6 * size.prepared_megavoxels / max(size.scans, 1) * per_patch
