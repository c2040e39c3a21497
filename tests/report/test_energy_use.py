"""What the arms took, and the estimate of their energy."""

from __future__ import annotations

import pytest

from scanprior.report.energy_use import ASSUMPTION, CORE_WATTS, GPU_WATTS, arm_costs, kilowatt_hours
from scanprior.report.numbers import energy

RECORDS = [
    {"stage": "train", "job": "cnn/draw-0", "wall_seconds": 10.0, "cpu_seconds": 20.0, "gpu_seconds": 4.0},
    {"stage": "train", "job": "dbn/draw-0", "wall_seconds": 1.0, "cpu_seconds": 2.0},
    {"stage": "train", "job": "cnn/draw-1", "wall_seconds": 30.0, "cpu_seconds": 40.0, "gpu_seconds": None},
    {"stage": "pretrain", "job": "rectified/all", "wall_seconds": 5.0, "cpu_seconds": 6.0},
    {"stage": "index", "job": "", "wall_seconds": 99.0},
]


def test_jobs_are_summed_by_arm_and_pretraining_comes_first() -> None:
    rows = arm_costs(RECORDS)
    assert [(row.arm, row.jobs, row.wall_seconds, row.cpu_seconds, row.gpu_seconds) for row in rows] == [
        ("pretraining, rectified", 1, 5.0, 6.0, 0.0),
        ("cnn", 2, 40.0, 60.0, 4.0),
        ("dbn", 1, 1.0, 2.0, 0.0),
    ]
    assert rows[1].kwh == pytest.approx((60 * CORE_WATTS + 4 * GPU_WATTS) / 3.6e6)


def test_an_hour_of_one_core_is_its_watts_and_the_assumption_says_them() -> None:
    assert kilowatt_hours(3600, 0) == pytest.approx(CORE_WATTS / 1000)
    assert f"{CORE_WATTS:g}" in ASSUMPTION
    assert f"{GPU_WATTS:g}" in ASSUMPTION


def test_energy_is_written_with_two_digits() -> None:
    assert [energy(value) for value in (0.00042, 0.0035, 0.035, 1.24, 0.0, None)] == [
        "0.42\u202fWh", "3.5\u202fWh", "35\u202fWh", "1.2\u202fkWh", "0\u202fWh", "–"]  # fmt: skip
