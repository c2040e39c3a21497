"""report: the files of a study → one self-contained report.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scanprior.errors import StageError
from scanprior.pipeline import STEPS, job_name
from scanprior.prior_config import PriorConfig
from scanprior.report import checks, cohort, effort, outcome
from scanprior.report.content import Check, PriorFacts, Provenance, ReportContent, Table
from scanprior.report.content import Study as StudyFacts
from scanprior.report.energy_use import arm_costs
from scanprior.report.facts import facts
from scanprior.report.journal import as_csv, checklists
from scanprior.report.methods import methods
from scanprior.report.numbers import count, score
from scanprior.report.page import render
from scanprior.stages import pictures
from scanprior.stages.stage import open_stage, read_quarantine
from scanprior.study import Study


def run(study: Study) -> None:
    """Write report/report.html (also at the study's top), the methods paragraph and the filled checklists.

    Raises:
        StageError: the verdict, the split or the table of patients is missing.
    """
    with open_stage(study, "report") as stage:
        content = gather(study)
        (stage.folder / "report.html").write_text(render(content), encoding="utf-8")
        known = facts(content)
        (stage.folder / "methods.md").write_text(f"{methods(known)}\n", encoding="utf-8")
        for checklist in checklists(known):
            (stage.folder / f"{checklist.stem}.csv").write_text(as_csv(checklist), encoding="utf-8")
        stage.top("report.html")


def gather(study: Study) -> ReportContent:
    """Everything that the page shows."""
    config, index = study.config, study.folder("index")
    verdict, split = _json(study.results / "verdict.json"), _json(study.folder("split") / "split.json")
    if not verdict or not split or not (index / "patients.parquet").exists():
        raise StageError("report: verdict, split or patients are missing", hint=f"scanprior run {study.path}")
    patients = pd.read_parquet(index / "patients.parquet").sort_values("order", kind="stable")
    scans = pd.read_parquet(index / "scans.parquet")
    scores = pd.read_parquet(study.folder("evaluate") / "scores.parquet")
    validation = {arm: _draws(study, arm, "validation") for arm in config.arms}
    histories = {arm: _draws(study, arm, "history") for arm in config.arms}
    records = [_json(folder / "record.json") for folder in study.inputs("report")]
    folders = [folder for folder in study.inputs("report") if folder.name.startswith("prior")]
    priors = {folder.name: folder for folder in sorted(folders, key=lambda folder: folder.name != "prior")}
    first = study.results / "prior"
    first = first if first.name in priors else next(iter(priors.values()), first)
    found = outcome.read_verdict(verdict)
    compared = [found.primary.arm, found.primary.other] if found else list(config.arms[:2])
    power, power_rows = checks.read_power(verdict)
    worst = outcome.worst_patients(scores, patients, compared)
    tables = ((name, _table(folder / "metrics.parquet")) for name, folder in list(priors.items())[:4])
    metrics = {name: table for name, table in tables if table is not None}
    return ReportContent(
        study=_facts(study, split),
        verdict=found,
        no_verdict=str(verdict.get("sentence", "")),
        points=outcome.points(pd.read_parquet(study.folder("evaluate") / "curves.parquet")),
        dots=outcome.dots(scores),
        differences=outcome.read_differences(verdict),
        best_other=verdict.get("best_without_prior"),
        arms=outcome.read_arms(verdict, validation, _training_seconds(records)),
        dice=outcome.dice_per_class(scores),
        worst=worst,
        failures=pictures.failures(study, worst, compared),
        probabilities=outcome.read_probabilities(_probability_tables(study), compared),
        gaps=outcome.read_gaps(verdict, _json(study.folder("evaluate") / "summary.json"), _skipped(records)),
        checks=checks.read_checks(verdict) + _suspects(records),
        shortcuts=checks.read_shortcuts(_table(study.folder("evaluate") / "shortcuts.parquet")),
        power=power,
        power_rows=power_rows,
        sites=checks.read_sites(verdict),
        best_of=outcome.read_best_of(_table(study.folder("evaluate") / "best_of.parquet")),
        cohort=cohort.cohort_table(patients, scans),
        classes=cohort.label_table(patients) if config.task.kind == "patient" else _mapped(study, scans),
        quarantine=cohort.quarantined(read_quarantine(study, *STEPS)),
        deidentification=cohort.deidentification(
            [summary for folder in _shards(study, "deidentify") if (summary := _json(folder / "summary.json"))],
            _series(study), profile=config.privacy.profile, faces=config.privacy.faces, text=config.privacy.text,
            public_key=config.privacy.key == "public",
        ),
        patches=pictures.patches(study),
        filters=pictures.filters(first),
        activations=effort.activation_histograms(_table(first / "metrics.parquet")),
        reconstructions=pictures.pairs(first / "reconstructions.npy", ("patches", "from the prior")),
        samples=pictures.pairs(first / "samples.npy", ("from noise", "from patches")),
        priors=tuple(_prior(name, folder, split) for name, folder in priors.items()),
        scope_counts=_scope_counts(split),
        pretraining=effort.pretraining_curves(metrics), chains=effort.chain_curves(metrics),
        training=effort.training_curves(histories, validation),
        costs=effort.costs(records, list(STEPS)),
        arm_costs=arm_costs(records),
        provenance=_provenance(study, verdict, split, records),
    )  # fmt: skip


def _pretraining(prior: PriorConfig) -> str:
    """How machines are trained, in words."""
    rate = f", learning rate {prior.learning_rate:g}" if prior.learning_rate else ""
    centering = "" if prior.centered else " without centering"
    sparse = f", hidden units on for {100 * prior.sparsity:g} % of the patches" if prior.sparsity else ""
    return f"{prior.objective}{centering}, {prior.epochs} epochs, mini-batches of {prior.batch_size}{rate}{sparse}"


def _facts(study: Study, split: dict[str, Any]) -> StudyFacts:
    config = study.config
    prior, patches, evaluation = config.prior, config.patches, config.evaluation
    task = config.task
    classes = (
        tuple(task.classes[value] for value in sorted(task.classes))
        if task.kind == "voxel"
        else tuple(split["classes"])
    )
    tested = f"{len(split['test'])} patients put aside"
    if evaluation.scheme == "cv":
        tested = f"{evaluation.folds}-fold cross-validation"
    if evaluation.scheme == "sites":
        sites = len({part["fold"] for part in split["draws"]})
        tested = f"each of {sites} sites in turn, by models without a label of it"
    setup = (
        ("voxel size", " × ".join(f"{side:g}" for side in config.prepare.spacing) + " mm"),
        ("intensity", config.prepare.intensity),
        ("patches", f"{' × '.join(map(str, patches.size))} voxels, {patches.per_scan} per scan"),
        ("prior", f"{' – '.join(map(str, prior.layers))} hidden units, {prior.hidden}"),
        ("pretraining", _pretraining(prior)),
        *((f"pretraining, way {number}", _pretraining(prior.way(number))) for number in range(1, 1 + len(prior.ways))),
        ("test", f"{tested} ({evaluation.scheme})"),
        ("draws", str(evaluation.draws)),
        ("budgets", ", ".join(map(str, evaluation.budgets))),
        ("margin", score(evaluation.margin)),
        ("trials per arm", str(evaluation.trials)),
        (
            "training of networks",
            f"{evaluation.epochs} epochs of 40 mini-batches, the best on validation patients kept",
        ),
    )
    return StudyFacts(
        name=study.name, task=config.task.kind, classes=classes, metric=config.metric, arms=tuple(config.arms),
        budgets=tuple(evaluation.budgets), draws=evaluation.draws, scheme=evaluation.scheme, scope=prior.scope,
        trials=evaluation.trials, patch_size=tuple(patches.size), simulated=config.cohort.simulated, quick=config.quick,
        setup=setup,
    )  # fmt: skip


def _training_seconds(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Wall seconds of each arm over all draws; they stand in the records, since the verdict must not vary with the load."""
    total: dict[str, float] = {}
    for record in records:
        if record.get("stage") == "train":
            arm = str(record.get("job", "")).partition("/")[0]
            total[arm] = total.get(arm, 0.0) + float(record.get("wall_seconds") or 0)
    return total


def _skipped(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Arm → draw, fold and budget → why there was nothing to train."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        cells = (record.get("notes") or {}).get("skipped") or {} if record.get("stage") == "train" else {}
        arm, _, draw = record.get("job", "").partition("/")
        for cell, reason in cells.items():
            found.setdefault(arm, {})[f"{draw.replace('-', ' ')}, {cell}"] = reason
    return found


def _suspects(records: Sequence[dict[str, Any]]) -> tuple[Check, ...]:
    """What the index found doubtful without being able to prove it."""
    found: list[Check] = []
    for record in records:
        if record.get("stage") == "index":
            found += [
                Check("leak", "suspect", None, str(text)) for text in (record.get("notes") or {}).get("suspects") or ()
            ]
    return tuple(found)


def _mapped(study: Study, scans: Any) -> Table:
    maps = int(scans["has_map"].astype(bool).sum())
    names = study.config.task.classes.values() if study.config.task.kind == "voxel" else ()
    classes = tuple((f"class {number}", name) for number, name in enumerate(names, 1))
    return (("scans with a label map", count(maps)), *classes)


def _scope_counts(split: dict[str, Any]) -> Table:
    tested = {patient for draw in split["draws"] for patient in draw["test"]} | set(split["test"])
    counts = [
        ("pool (no labels, or labels put aside)", len(split["pool"])),
        ("may lend labels", len(split["labelled"])),
        ("tested in some draw", len(tested)),
        ("withheld", len(split.get("withheld") or ())),
    ]
    return tuple((name, count(number)) for name, number in counts if number or name != "withheld")


def _described(card: dict[str, Any]) -> str:
    """The units of a dense prior, or the maps and kernels of a convolutional one."""
    layers = card.get("layers") or []
    if card.get("family") == "convolutional":
        kernels = [f"{layer['channels'][1]} x {'x'.join(map(str, layer['kernel']))}" for layer in layers]
        return f"{card['model']} {' - '.join(kernels)}"
    sizes = [str(layers[0]["visible"]["size"]), *(str(layer["hidden"]["size"]) for layer in layers)] if layers else []
    return f"{(card.get('training') or {}).get('hidden', '')} {'-'.join(sizes)}".strip()


def _prior(name: str, folder: Path, split: dict[str, Any]) -> PriorFacts:
    card, notes = _json(folder / "card.json"), _json(folder / "record.json").get("notes") or {}
    seen = notes.get("patients_seen")
    return PriorFacts(
        name=name, description=_described(card),
        patients=card.get("patients"), scans=card.get("scans"), patches=card.get("patches"),
        test_overlap=None if seen is None else effort.seen_of_tested(seen, split, str(card.get("context", "all"))),
    )  # fmt: skip


def _provenance(
    study: Study, verdict: dict[str, Any], split: dict[str, Any], records: Sequence[dict[str, Any]]
) -> Provenance:
    plan = verdict.get("plan") or {}
    code = {record["stage"]: record["code"] for record in records if record.get("code")}
    outputs: list[tuple[str, str]] = []
    for stage in ("index", "split", "evaluate"):
        digests = _json(study.folder(stage) / "digests.json")
        outputs += [(f"{stage}/{name}", digests[name]) for name in sorted(digests)]
    for folder in study.inputs("report"):
        if folder.name.startswith("prior"):
            digest = _json(folder / "digests.json").get("prior.safetensors", "")
            outputs.append((f"{folder.name}/prior.safetensors", digest))
    return Provenance(
        split_sha256=split.get("sha256"), plan_sha256=plan.get("sha256"), frozen=bool(plan.get("frozen")),
        deviations=tuple(plan.get("deviations") or ()),
        versions=effort.versions(records), machines=effort.machines(records), code=tuple(code.items()),
        outputs=tuple(outputs), seed=study.config.seed,
    )  # fmt: skip


def _draws(study: Study, arm: str, name: str) -> pd.DataFrame:
    """A table of all draws of an arm with a column `draw`; empty when there is none."""
    frames: list[pd.DataFrame] = []
    for draw in range(study.config.evaluation.draws):
        file = study.folder("train", job_name(arm=arm, draw=draw)) / f"{name}.parquet"
        if file.exists():
            frames.append(pd.read_parquet(file).assign(draw=draw))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _probability_tables(study: Study) -> dict[str, pd.DataFrame]:
    files = {
        name: study.folder("evaluate") / f"{name}.parquet"
        for name in ("roc", "precision_recall", "reliability", "net_benefit", "calibration")
    }
    return {name: pd.read_parquet(file) for name, file in files.items() if file.exists()}


def _series(study: Study) -> pd.DataFrame:
    files = [folder / "series.parquet" for folder in _shards(study, "deidentify")]
    frames = [pd.read_parquet(file) for file in files if file.exists()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _shards(study: Study, stage: str) -> list[Path]:
    return [study.folder(stage, job_name(**job)) for job in study.jobs(stage)]


def _table(file: Path) -> pd.DataFrame | None:
    return pd.read_parquet(file) if file.exists() else None


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
