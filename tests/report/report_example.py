"""Contents of reports as studies leave them: a voxel and a patient study, invented figures, every verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scanprior.report.annex import ArmCost, Failure, Histogram, PowerRow, Shortcut, SiteRow, Sites, Worst, WorstSite
from scanprior.report.content import (
    ArmRow,
    Check,
    ClassMean,
    Cost,
    Curve,
    Deidentification,
    Difference,
    Dot,
    Line,
    Montage,
    Multiplier,
    Point,
    PriorFacts,
    Probabilities,
    Provenance,
    Quarantined,
    ReportContent,
    Study,
    Verdict,
)

ARMS = ("dbn", "scratch", "mlp", "cnn", "logistic", "pca_logistic", "dbn_bernoulli", "scratch_bernoulli")
GAINS = {
    "dbn": 0.02,
    "scratch": 0.0,
    "mlp": -0.01,
    "cnn": 0.025,
    "logistic": -0.12,
    "pca_logistic": -0.09,
    "dbn_bernoulli": -0.03,
    "scratch_bernoulli": -0.05,
}
VERDICTS = {
    "helps": (0.021, 0.012, 0.030, None),
    "harms": (-0.019, -0.031, -0.008, None),
    "equivalent": (0.004, 0.001, 0.007, None),
    "inconclusive": (0.006, -0.004, 0.016, 140),
}


def scores(arms: tuple[str, ...], budgets: tuple[int, ...], draws: int) -> tuple[tuple[Point, ...], tuple[Dot, ...]]:
    """Curves and the dots of their draws."""
    rng = np.random.default_rng(3)
    points, dots = [], []
    for arm in arms:
        for budget in budgets:
            draw = 0.62 + 0.055 * np.log2(budget) + GAINS[arm] + rng.normal(0, 0.011, draws)
            dots += [Dot(arm, budget, float(score)) for score in draw]
            points.append(Point(arm, budget, draw.mean(), draw.mean() - 0.017, draw.mean() + 0.016))
    return tuple(points), tuple(dots)


def differences(arm: str, other: str, delta: float, half: float, budgets: tuple[int, ...]) -> tuple[Difference, ...]:
    rows = [Difference(arm, other, None, delta, delta - half, delta + half, 0.0004)]
    for place, budget in enumerate(budgets):
        centre = delta * (1.6 - 0.3 * place)
        rows.append(Difference(arm, other, budget, centre, centre - 1.5 * half, centre + 1.5 * half, 0.02, 0.08))
    return tuple(rows)


def cube_slices(count: int, side: int = 13) -> np.ndarray:
    rng = np.random.default_rng(5)
    axis = np.linspace(-1, 1, side)
    x, y = np.meshgrid(axis, axis)
    found = [np.sin(3 * (x * np.cos(a) + y * np.sin(a)) + b) for a, b in rng.uniform(0, 6.28, (count, 2))]
    return np.array(found + rng.normal(0, 0.15, (count, side, side)), np.float32)


def failure(patient: str) -> Failure:
    """A noisy disc with a true and a shifted predicted map."""
    x, y = np.meshgrid(np.arange(40), np.arange(36))
    maps = [
        (((x - c) ** 2 + (y - 17) ** 2 < 80) + ((x - c) ** 2 + (y - 12) ** 2 < 20)).astype(np.uint8)
        for c in (18, 22, 20)
    ]
    image = np.random.default_rng(7).normal(maps[0] * 2.0, 1.0).astype(np.float32)
    return Failure(
        patient, "dbn 0.510, scratch 0.460", image, tuple(zip(("truth", "dbn", "scratch"), maps, strict=True))
    )


def voxel_content(outcome: str = "helps") -> ReportContent:
    """The hippocampus study with figures that are invented."""
    budgets = (2, 4, 8, 16, 40)
    delta, low, high, needed = VERDICTS[outcome]
    points, dots = scores(ARMS, budgets, 5)
    study = Study(
        name="hippocampus",
        task="voxel",
        classes=("anterior", "posterior"),
        metric="dice",
        arms=ARMS,
        budgets=budgets,
        draws=5,
        scheme="holdout",
        scope="disjoint",
        trials=4,
        patch_size=(13, 13, 13),
        setup=(
            ("spacing", "1 × 1 × 1 mm"),
            ("intensity", "zscore"),
            ("patch", "13 × 13 × 13 voxels, 400 per scan"),
            ("prior", "600-300, rectified, cd1, 15 epochs"),
            ("evaluation", "holdout, 60 test patients, 5 draws"),
        ),
    )
    verdict = Verdict(
        outcome=outcome,
        primary=Difference("dbn", "scratch", None, delta, low, high, 0.0004),
        margin=0.01,
        level=0.95,  # type: ignore[arg-type]
        patients=60,
        draws=5,
        multiplier=Multiplier(1.7, 1.2, 2.6),
        patients_needed=needed,
    )
    main = (verdict.primary, *differences("dbn", "scratch", delta, (high - low) / 2, budgets)[1:])
    return ReportContent(
        study=study,
        verdict=verdict,
        points=points,
        dots=dots,
        best_other="cnn",
        differences=(
            *main,
            *differences("dbn", "cnn", -0.006, 0.009, ()),
            *differences("dbn_bernoulli", "scratch_bernoulli", 0.018, 0.012, ()),
        ),
        arms=tuple(
            ArmRow(arm, "learning rate 0.001, weight decay 0.01", 4, 380.0 + 11 * n) for n, arm in enumerate(ARMS)
        ),
        dice=tuple(
            ClassMean(arm, name, budget, 0.7 + GAINS[arm] + 0.02 * k)
            for arm in ARMS
            for name in study.classes
            for k, budget in enumerate(budgets)
        ),
        worst=Worst(
            "Dice",
            ("patient", "site", "dbn", "scratch"),
            tuple((f"P-{n:010x}", "AB"[n % 2], 0.51 + 0.02 * n, 0.46 + 0.03 * n) for n in range(8)),
        ),
        failures=tuple(failure(f"P-{n:010x}") for n in range(2)),
        sites=Sites(
            (SiteRow("A", 38, 0.024, 0.012, 0.036, ""), SiteRow("B", 22, 0.015, -0.004, 0.034, "")),
            WorstSite("B", 0.015, -0.009, 0.037, 2),
            held_out=False,
        ),
        best_of=tuple(Line(arm, (1.0, 2.0, 3.0, 4.0), (0.6, 0.63, 0.64, 0.645 + GAINS[arm])) for arm in ARMS),
        power_rows=(
            PowerRow("little", 0.012, 0.71, 0.93, 60, 5),
            PowerRow("as usual", 0.022, 0.31, 0.22, 210, 20),
            PowerRow("much", float("nan"), 0.08, 0.0, None, None),
        ),
        power="With 60 test patients and 5 draws, four of five such studies would find a true gain of 0.022 Dice.",
        arm_costs=tuple(ArmCost(arm, 5, 380.0 + 11 * n, 700.0, 0.0, 0.0023) for n, arm in enumerate(ARMS)),
        checks=(
            Check("canary", "permuted labels", True, "Dice 0.21 with permuted labels, chance is 0.20 ± 0.03."),
            Check("leak", "patients on two sides", True, "no patient and no volume is on both sides."),
        ),
        cohort=(
            ("patients", "170"),
            ("scans", "260"),
            ("labelled patients", "100"),
            ("modality", "MR"),
            ("scanners", "A (260 scans)"),
            ("sites", "not given"),
            ("age", "not given"),
            ("sex", "not given"),
        ),
        classes=(("anterior", "170 patients"), ("posterior", "170 patients")),
        quarantine=(
            Quarantined("index", "F-0a1b2c3d4e", None, "not-an-image", "a PDF document, not an image"),
            Quarantined("convert", "S-00ff00ff00", "P-0000000001", "missing-slice", "slice 17 of 40 is missing"),
            Quarantined("convert", "S-11ff00ff00", "P-0000000002", "missing-slice", "slice 3 of 40 is missing"),
        ),
        deidentification=Deidentification(
            "research",
            "auto",
            "auto",
            (
                ("files written", "2 601"),
                ("files in quarantine", "7"),
                ("scans with a face removed", "36"),
                ("scans of which nothing was removed", "224"),
                ("attributes removed", "61 204"),
            ),
            faces_removed=36,
            faces_kept=224,
        ),
        patches=Montage(tuple((name, cube_slices(14)) for name in ("background", "anterior", "posterior"))),
        filters=Montage((("units 1 to 16", cube_slices(16)), ("units 17 to 32", cube_slices(16))), signed=True),
        reconstructions=Montage((("patch", cube_slices(14)), ("from the prior", 0.8 * cube_slices(14)))),
        samples=Montage((("from noise", cube_slices(8)), ("from patches", cube_slices(8)))),
        priors=(
            PriorFacts("prior", "rectified, 2197-600-300", 70, 105, 42_000, 0),
            PriorFacts("prior-bernoulli", "bernoulli, 2197-600-300", 70, 105, 42_000, 0),
        ),
        scope_counts=(("pool: seen by the prior, labels put aside", "70"), ("labelled", "40"), ("tested", "60")),
        activations=(
            Histogram("layer 1", 1.0, (0.7, 0.2, 0.06, 0.04)),
            Histogram("layer 2", 3.5, (0.5, 0.3, 0.2, 0.0)),
        ),
        pretraining=tuple(
            Curve(
                "reconstruction error",
                f"{prior}, layer {layer}",
                tuple(range(1, 16)),
                tuple(0.9 / layer * np.exp(-np.arange(15) / 5) + 0.2),
            )
            for prior in ("rectified", "bernoulli")
            for layer in (1, 2)
        ),
        training=tuple(
            Curve(arm, f"{budget} patients", tuple(range(1, 7)), tuple(1.2 * np.exp(-np.arange(6) / 3) + 1 / budget))
            for arm in ARMS[:4]
            for budget in budgets
        ),
        costs=tuple(
            Cost(stage, jobs, wall, 1.6 * wall, 0, 700.0 + wall / 10, wall / 3)
            for stage, jobs, wall in (
                ("index", 1, 12.0),
                ("deidentify", 4, 51.0),
                ("convert", 4, 40.0),
                ("prepare", 4, 31.0),
                ("patches", 1, 6.0),
                ("split", 1, 3.2),
                ("pretrain", 2, 630.0),
                ("train", 40, 3020.0),
                ("evaluate", 1, 9.0),
            )
        ),
        provenance=Provenance(
            split_sha256="3f" * 32,
            plan_sha256="c4" * 32,
            frozen=True,
            versions=(("python", "3.11.9"), ("scanprior", "0.1.0"), ("torch", "2.13.0")),
            machines=("an invented processor, 2 cores, instruction set avx2 (Linux x86_64)",),
            code=(("index", "00aa11bb22cc33dd"),),
            outputs=(("split/split.json", "ab" * 32),),
        ),
    )


def patient_content(outcome: str = "inconclusive") -> ReportContent:
    """The demo with figures that are invented: simulated, one prior, fewer arms."""
    base, budgets, arms = voxel_content(outcome), (8, 16, 24), ("dbn", "scratch", "mlp", "logistic")
    points, dots = scores(arms, budgets, 5)
    assert base.verdict is not None
    verdict = replace(
        base.verdict, patients=36, margin=0.015, multiplier=Multiplier(1.3, 0.5, 4.0, censored=("low", "high"))
    )
    study = replace(
        base.study,
        name="demo",
        task="patient",
        classes=("healthy", "lesion"),
        metric="auc",
        arms=arms,
        budgets=budgets,
        scheme="cv",
        simulated=True,
    )
    rates = tuple(np.linspace(0, 1, 11))
    roc = [
        Line(
            arm,
            rates,
            tuple(x**power for x in rates),
            tuple(0.8 * x**power for x in rates),
            tuple(min(1.0, 1.15 * x**power) for x in rates),
        )
        for arm, power in (("dbn", 0.4), ("scratch", 0.5))
    ]
    bins = [
        Line(arm, (0.1, 0.4, 0.8), (0.2, 0.35, 0.7), (0.05, 0.2, 0.5), (0.4, 0.6, 0.9)) for arm in ("dbn", "scratch")
    ]
    benefit = [Line(arm, (0.1, 0.5, 0.9), (0.45, 0.3, 0.02)) for arm in ("dbn", "scratch")]
    everyone = Line("everyone", (0.1, 0.5, 0.9), (0.44, 0.0, -4.0))
    calibration = (("dbn", 0.81, -0.12, 0.171), ("scratch", 0.72, 0.1, 0.19))
    recalled = [Line(arm, rates[1:], tuple(1 - 0.4 * x for x in rates[1:])) for arm in ("dbn", "scratch")]
    probabilities = Probabilities(
        roc=tuple(roc),
        precision_recall=(*recalled, Line("guessing", (0.1, 1.0), (0.5, 0.5))),
        reliability=tuple(bins),
        net_benefit=(*benefit, everyone),
        calibration=calibration,
    )
    return replace(
        base,
        study=study,
        verdict=verdict,
        probabilities=probabilities,
        worst=replace(base.worst, meaning="probability given to the true class") if base.worst else None,
        arms=tuple(row for row in base.arms if row.arm in arms),
        points=points,
        dots=dots,
        dice=(),
        failures=(),
        shortcuts=(Shortcut("site", 2, 0.92, 0.5, 0.002, True), Shortcut("sex", 2, 0.53, 0.5, 1.0, False)),
        best_other="mlp",
        differences=tuple(row for row in base.differences if row.other == "scratch" and row.budget in (None, 8, 16)),
        classes=(("healthy", "18 patients"), ("lesion", "18 patients")),
        filters=None,
        training=base.training[:10],
    )
