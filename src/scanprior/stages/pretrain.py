"""Stage pretrain: patches of the patients that the scope allows → a prior with its card and pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, LongTensor, Tensor

from scanprior.energy.velocity import Diverged
from scanprior.errors import StageError
from scanprior.learning.catalogue import PriorKind, hidden_of_prior
from scanprior.learning.kinds import pretrainer
from scanprior.learning.patch_prior import PatchPrior
from scanprior.learning.prior import save_prior
from scanprior.learning.same_bits import same_bits
from scanprior.patches.store import PatchStore
from scanprior.pipeline import job_name
from scanprior.stages.stage import open_stage
from scanprior.study import Study

HELD_OUT = 20  # one patient in so many is not trained on, to see whether the prior only learns its patients by heart
FILTERS = 64
SHOWN = 8
SWEEPS = 200


def run(study: Study, *, kind: PriorKind, context: str, way: int = 0) -> None:
    """Train the prior of a kind for `context` (all, or d<draw>-f<fold>), in one of the study's ways.

    Raises:
        StageError: the scope leaves no patches, a test patient would be seen, or training diverged.
    """
    same_bits()
    wildcards: dict[str, Any] = {"kind": kind, "context": context, "way": way}
    where = f"pretrain ({kind}, {context}{f', way {way}' if way else ''})"
    with open_stage(study, "pretrain", job=job_name(**wildcards), **wildcards) as stage:
        config = study.config
        split = json.loads((study.folder("split") / "split.json").read_text())
        scans = pd.read_parquet(study.folder("patches") / "scans.parquet")
        patients = prior_patients(split, config.prior.scope, context, sorted_patients(scans))
        scans, index = _patches(scans, pd.read_parquet(study.folder("patches") / "index.parquet"), patients)
        if len(index) < 2:
            raise StageError(
                f"{where}: scope {config.prior.scope} leaves {len(patients)} patients with "
                f"{len(scans)} scans and {len(index)} patches; a prior needs at least two patches",
                hint="set evaluation.pool, add patients without labels, or choose prior.scope: inductive",
            )
        size = config.patches.size
        store = PatchStore.open([study.results / image for image in scans["image"]], size)
        rows, centres = index["row"].to_numpy(), index[["i", "j", "k"]].to_numpy(np.int64)
        held_out = _held_out(scans["patient"].to_numpy()[rows], stage.seed("pretrain", "held out patients"))

        def gather(chosen: LongTensor) -> Tensor:
            return torch.from_numpy(store.gather(rows[chosen.numpy()], centres[chosen.numpy()]))

        offsets = (centres - (store.shapes[rows] - 1) / 2) * np.array(config.prepare.spacing)
        # Beyond a scan's edge its last voxel is repeated, which tells the place without a look at the structures.
        offsets[~store.inside(rows, centres)] = np.nan

        def places(chosen: LongTensor) -> Tensor:
            return torch.from_numpy(offsets[chosen.numpy()].astype(np.float32))

        settings, hidden = config.prior.way(way), hidden_of_prior(kind, config.prior.hidden)
        try:
            prior, measured = pretrainer(kind)(
                gather, len(index), patch_size=size, seeds=stage.seed, work=stage.work / "training",
                layers=settings.layers, hidden=hidden, objective=settings.objective, centered=settings.centered,
                epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.learning_rate,
                sparsity=settings.sparsity, held_out=held_out, places=places, log=stage.log, progress=stage.progress,
                accelerator=config.engine.accelerator,
            )  # fmt: skip
        except ValueError as error:
            raise StageError(f"{where}: {error}") from None
        except Diverged as error:
            raise StageError(
                f"{where}: {error}",
                hint="lower its learning rate (prior.learning_rate, or that of the way), or leave it out",
            ) from None
        card = {
            "study": study.name, "simulated": config.cohort.simulated, "scope": settings.scope, "context": context, "way": way,
            "patients": len(patients), "scans": len(scans), "patches": len(index),
            "spacing": list(config.prepare.spacing),
            "intensity": config.prepare.intensity, "measured": measured,
            "training": {"hidden": hidden, "objective": settings.objective, "epochs": settings.epochs,
                         "batch_size": settings.batch_size, "learning_rate": settings.learning_rate or "default",
                         "sparsity": settings.sparsity,
                         "patches_held_out": 0 if held_out is None else len(held_out), "seed": config.seed},
        }  # fmt: skip
        save_prior(prior, stage.folder, card)
        _write_pictures(prior, gather, held_out, len(index), stage.folder, stage.seed("pretrain", "pictures"))
        stage.note(scope=settings.scope, context=context, patients_seen=patients, patches=len(index), **measured)


def prior_patients(split: dict[str, Any], scope: str, context: str, everyone: list[str]) -> list[str]:
    """The patients whose scans the prior of `context` may see, in the order of `everyone`.

    disjoint: the pool; inductive: and those who may train (of the fold, in cross-validation); transductive: everyone.

    Raises:
        StageError: a test patient (disjoint: any labelled patient) would be among them.
    """
    if scope == "transductive":
        return everyone
    allowed, draws = set(split["pool"]), split["draws"]
    forbidden = set(split["test"]) | (set(split["labelled"]) if scope == "disjoint" else set())
    if context != "all":
        match = re.fullmatch(r"d(\d+)-f(\d+)", context)
        draws = [] if match is None else [d for d in draws if (d["draw"], d["fold"]) == (int(match[1]), int(match[2]))]
        if not draws:
            raise StageError(
                f"pretrain: the split has no draw and fold called {context!r}", hint="all, or d<draw>-f<fold>"
            )
    for draw in draws:
        forbidden |= set(draw["test"])
        if scope == "inductive":
            allowed |= set(draw["order"])
        else:
            forbidden |= set(draw["order"])
    if scope == "inductive" and context == "all":
        allowed |= set(split["labelled"])
    both = sorted(allowed & forbidden)
    if both:
        raise StageError(
            f"pretrain: scope {scope} must not see test patients; {len(both)} are on both sides: {', '.join(both[:5])}",
            hint="under cross-validation an inductive prior belongs to one draw and fold; make the split again",
        )
    return [patient for patient in everyone if patient in allowed]


def sorted_patients(scans: pd.DataFrame) -> list[str]:
    """Patients in the order of their first scan (rank of the voxels): a new key changes no place."""
    return list(dict.fromkeys(scans.sort_values("order", kind="stable")["patient"]))


def _patches(scans: pd.DataFrame, index: pd.DataFrame, patients: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scans of `patients`, and their prior patches with the scan's new row in the column `row`."""
    places = np.flatnonzero(scans["patient"].isin(patients).to_numpy())
    new = np.full(len(scans), -1)
    new[places] = np.arange(len(places))
    row = new[index["scan_row"].to_numpy()]
    chosen = (index["use"] == "prior").to_numpy() & (row >= 0)
    return scans.iloc[places].reset_index(drop=True), index[chosen].assign(row=row[chosen]).reset_index(drop=True)


def _held_out(patient_of_row: np.ndarray, seed: int) -> LongTensor | None:
    """Rows of one patient in HELD_OUT, none when there are fewer patients."""
    patients = list(dict.fromkeys(patient_of_row))
    count = len(patients) // HELD_OUT
    if count == 0:
        return None
    chosen = np.random.default_rng(seed).permutation(len(patients))[:count]
    unseen = np.isin(patient_of_row, [patients[place] for place in chosen])
    return torch.from_numpy(np.flatnonzero(unseen))  # pyright: ignore[reportReturnType]


@torch.no_grad()
def _write_pictures(
    prior: PatchPrior, gather: Any, held_out: LongTensor | None, rows: int, folder: Path, seed: int
) -> None:
    """Filters (n, …); reconstructions: data and theirs (2, n, *size); samples: from noise and data (2, n, *size)."""
    generator = Generator().manual_seed(seed)
    shown = held_out if held_out is not None else torch.arange(rows)
    data = gather(shown[torch.randperm(len(shown), generator=generator)[:SHOWN].sort().values])
    patches = {"reconstructions": torch.stack([data, prior.reconstruct(data)])}
    if prior.generates:
        starts = (None, data)
        drawn = [prior.generate(len(data), generator, sweeps=SWEEPS, start=start) for start in starts]
        patches["samples"] = torch.stack(drawn)
    np.save(folder / "filters.npy", prior.filters(FILTERS).numpy())
    for name, tensor in patches.items():
        np.save(folder / f"{name}.npy", tensor.unflatten(-1, prior.patch_size).numpy())
