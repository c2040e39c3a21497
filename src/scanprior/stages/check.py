"""Check a study without doing its work: file, cohort, split, what it could detect, what it will cost."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from scanprior.errors import CohortError
from scanprior.evidence import forecast as detectable
from scanprior.scans.cohort import Cohort
from scanprior.stages import index, split
from scanprior.stages.forecast import HEAD_MM, Size, forecast, free_disk_mb, sentence
from scanprior.study import Study


def check(study: Study) -> str:
    """Everything that can be said before a study runs, as text.

    Raises:
        CohortError: with every problem at once.
    """
    cohort, plan = feasible(study)
    power, size = detectable_gain(study, plan), size_of(study, cohort)
    aside = Counter(item.reason for item in cohort.aside)
    lines = [
        f"{study.path}: the study file and the cohort are good",
        f"cohort: {size.scans} scans of {size.patients} patients, {size.labelled} labelled{_classes(cohort)}",
        "set aside: " + (", ".join(f"{count} {reason}" for reason, count in sorted(aside.items())) or "nothing"),
        *(f"look at this: {warning.sentence}" for warning in cohort.warnings),
        f"split: {len(plan['pool'])} in the pool, {len(plan['labelled'])} lend labels, {_tested(plan)} tested; "
        f"budgets {', '.join(map(str, plan['budgets']))}; draws {study.config.evaluation.draws}",
        f"power: {power.sentence}",
        *(f"  {line}" for line in detectable.table(power).splitlines()),
        "cost:",
        sentence(forecast(study, size), free_disk_mb(study)),
        f"next: scanprior run {study.path}",
    ]
    return "\n".join(lines)


def power(study: Study) -> str:
    """What gain this cohort could detect at all: a sentence, a table and a figure."""
    found = detectable_gain(study, feasible(study)[1])
    return "\n\n".join([found.sentence, detectable.table(found), detectable.figure(found)])


def feasible(study: Study) -> tuple[Cohort, dict[str, Any]]:
    """The cohort from headers and tables alone, and the split that it would get.

    Raises:
        CohortError: with every problem at once.
    """
    cohort = index.check(study)
    return cohort, split.plan(study, index.patient_table(study, cohort))


def detectable_gain(study: Study, plan: dict[str, Any]) -> detectable.Forecast:
    """The forecast of `evidence.forecast` for a split."""
    config = study.config
    return detectable.forecast(
        config.metric, _tested(plan), config.evaluation.draws, margin=config.evaluation.margin, level=config.evaluation.level,  # pyright: ignore[reportArgumentType]
        positives=plan["fewest"] if config.metric == "auc" else None,
    )  # fmt: skip


def size_of(study: Study, cohort: Cohort) -> Size:
    """Counts for the forecast of costs.

    Raises:
        CohortError: there is no scan.
    """
    sources = [scan.source for scan in cohort.scans]
    if not sources:
        raise CohortError("the cohort has no usable scan", hint="look at cohort.scans and cohort.select")
    shapes = [(s.shape or (128, 128, 128), s.spacing or (1.0, 1.0, 1.0)) for s in sources]
    wanted = study.config.prepare.spacing
    prepared = [
        math.prod(n * mm / w for n, mm, w in zip(shape, spacing, wanted, strict=True)) for shape, spacing in shapes
    ]
    heads = sum(all(n * mm >= HEAD_MM for n, mm in zip(shape, spacing, strict=True)) for shape, spacing in shapes)
    return Size(
        scans=len(sources), files=sum(len(s.files) for s in sources if s.kind == "dicom"), patients=len(cohort.patients),
        labelled=sum(p.labelled for p in cohort.patients), raw_megavoxels=sum(math.prod(shape) for shape, _ in shapes) / 1e6,
        prepared_megavoxels=sum(prepared) / 1e6, heads=heads,
        raw_mb=sum(file.stat().st_size for s in sources for file in s.files) / 1e6,
        sites=len({p.site for p in cohort.patients if p.labelled}),
    )  # fmt: skip


def _classes(cohort: Cohort) -> str:
    counts = Counter(p.label for p in cohort.patients if p.label is not None)
    return f" ({', '.join(f'{count} {label}' for label, count in sorted(counts.items()))})" if counts else ""


def _tested(plan: dict[str, Any]) -> int:
    return len({patient for draw in plan["draws"] for patient in draw["test"]})
