"""How training went and what everything cost, from metrics tables and records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanprior.report.annex import Histogram
from scanprior.report.content import Cost, Curve

ACTIVATIONS = "hidden_activations"
AUTOCORRELATION = "chain_autocorrelation"
POINTS = 80  # of a training curve: more than its figure can show


MEASURES = {
    "reconstruction": "reconstruction error, trained patches",
    "unseen_reconstruction": "reconstruction error, unseen patients",
    "free_energy_gap": "free energy, unseen minus trained patches",
    "activation": "mean activity of hidden units",
    "weight_rms": "size of the weights (root mean square)",
}


def pretraining_curves(metrics: Mapping[str, pd.DataFrame]) -> tuple[Curve, ...]:
    """Curves from metrics tables (key like layer1/reconstruction, step, value), by prior; one panel per measure."""
    found: list[Curve] = []
    rows: Any
    for prior, table in metrics.items():
        for key, rows in table.groupby("key", sort=True):
            layer, _, measure = str(key).rpartition("/")
            rows = rows[np.isfinite(rows["value"])].sort_values("step")
            if layer and not layer.endswith((ACTIVATIONS, AUTOCORRELATION)) and len(rows):
                label = _spaced(layer)
                label = f"{prior}, {label}" if len(metrics) > 1 else label
                panel = MEASURES.get(measure, measure.replace("_", " "))
                rows = _thinned(rows)
                found.append(Curve(panel, label, tuple(rows["step"].astype(float)), tuple(rows["value"].astype(float))))
    order = list(dict.fromkeys([*MEASURES.values(), *(curve.panel for curve in found)]))
    return tuple(sorted(found, key=lambda curve: order.index(curve.panel)))


def chain_curves(metrics: Mapping[str, pd.DataFrame]) -> tuple[Curve, ...]:
    """How much Gibbs chains remember by sweeps, a line per layer that has chains, from metrics tables by prior."""
    found: list[Curve] = []
    for prior, table in metrics.items():
        own: Any = table[table["key"].str.contains(f"/{AUTOCORRELATION}/", regex=False)]
        own = own.sort_values("key")
        for layer, rows in own.groupby(own["key"].str.split("/").str[0]):
            label = f"{prior}, {_spaced(str(layer))}" if len(metrics) > 1 else _spaced(str(layer))
            values = tuple(rows["value"].astype(float))
            found.append(Curve("autocorrelation of Gibbs chains", label, tuple(map(float, range(len(values)))), values))
    return tuple(found)


def activation_histograms(metrics: Any) -> tuple[Histogram, ...]:
    """The last histogram of hidden activations of every layer, from a prior's metrics table (key, step, value)."""
    if metrics is None:
        return ()
    last = metrics.sort_values("step", kind="stable").groupby("key")["value"].last()
    layers = sorted({str(key).split("/")[0] for key in last.index if f"/{ACTIVATIONS}/" in str(key)})
    found: list[Histogram] = []
    for layer in layers:
        own = {
            str(key).rpartition("/")[2]: float(value)
            for key, value in last.items()
            if str(key).startswith(f"{layer}/{ACTIVATIONS}/")
        }
        top = own.pop("top")
        found.append(Histogram(_spaced(layer), top, tuple(own[place] for place in sorted(own))))
    return tuple(found)


def _spaced(layer: str) -> str:
    """layer1 as layer 1."""
    return re.sub(r"(\D)(\d)", r"\1 \2", layer)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most POINTS rows, the first and the last among them."""
    if len(rows) <= POINTS:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, POINTS).round().astype(int))]


def training_curves(histories: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[Curve, ...]:
    """Validation loss by epoch, mean over draws and folds of the chosen trial; a panel per arm, a line per budget.

    histories: arm → draw, budget, fold, trial, epoch, valid_loss. chosen: arm → draw, budget, fold, trial, chosen.
    """
    found: list[Curve] = []
    for arm, history in histories.items():
        if history.empty or arm not in chosen:
            continue
        picked = chosen[arm].loc[chosen[arm]["chosen"].astype(bool), ["draw", "budget", "fold", "trial"]]
        rows = history.merge(picked, on=["draw", "budget", "fold", "trial"])
        for budget, part in rows.groupby("budget"):
            means = part.groupby("epoch")["valid_loss"].mean()
            means = means[np.isfinite(means)]
            if len(means) > 1:
                label = f"{budget} patients"
                found.append(Curve(arm, label, tuple(means.index.astype(float)), tuple(means.astype(float))))
    return tuple(found)


def costs(records: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> tuple[Cost, ...]:
    """Sums over each stage's jobs, the largest memory of any job."""
    found: list[Cost] = []
    for stage in stages:
        own = [record for record in records if record.get("stage") == stage]
        if own:
            keys = ("wall_seconds", "cpu_seconds", "gpu_seconds", "output_mb", "startup_seconds")
            wall, cpu, gpu, disk, startup = (sum(float(record.get(key) or 0) for record in own) for key in keys)
            memory = max(float(record.get("peak_memory_mb") or 0) for record in own)
            found.append(Cost(stage, len(own), wall, cpu, gpu, memory, disk, startup))
    return tuple(found)


def machines(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every machine that made a number, in words."""
    seen: dict[str, None] = {}
    for record in records:
        machine = record.get("machine") or {}
        if machine:
            chip, cores = machine.get("processor", "an unknown processor"), machine.get("cores", "?")
            kind = f"{machine.get('system', '')} {machine.get('machine', '')}".strip()
            seen[f"{chip}, {cores} cores, instruction set {machine.get('instruction_set', 'unknown')} ({kind})"] = None
    return tuple(seen)


def versions(records: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Versions in all records; two versions of one package stand side by side."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in (record.get("versions") or {}).items():
            found.setdefault(name, set()).add(str(version))
    return tuple((name, " and ".join(sorted(found[name]))) for name in sorted(found, key=str.lower))


def seen_of_tested(patients_seen: Iterable[str], split: Mapping[str, Any], context: str) -> int:
    """How many tested patients a prior saw; `context` d<draw>-f<fold> concerns the patients tested there alone."""
    place = re.fullmatch(r"d(\d+)-f(\d+)", context)
    tested = set() if place else set(split.get("test") or ())
    for draw in split["draws"]:
        if place is None or (int(place[1]), int(place[2])) == (draw["draw"], draw["fold"]):
            tested |= set(draw["test"])
    return len(tested & set(patients_seen))
