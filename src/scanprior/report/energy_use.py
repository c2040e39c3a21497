"""What the arms took and the energy that they may have used: an estimate from processor time, with its assumptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scanprior.report.annex import ArmCost

# Power of one busy core and of one graphics processor of unknown kind, in watts: the values for "any" model in the tables of
# Green Algorithms (Lannelongue et al., Advanced Science 2021). Makers' figures per core range from 4 to 24 watts.
CORE_WATTS, GPU_WATTS = 12.0, 200.0
ASSUMPTION = (
    f"Energy: processor time × {CORE_WATTS:g} W per busy core and GPU time × {GPU_WATTS:g} W, the values that Green Algorithms "
    "(Lannelongue et al. 2021) takes for models it does not know; makers’ figures per core range from 4 to 24 W. Memory, cooling "
    "and idle machines are not counted, nor is anything measured at the socket."
)


def arm_costs(records: Iterable[Mapping[str, Any]]) -> tuple[ArmCost, ...]:
    """Sums over the jobs of each prior and then of each arm, from the records of pretraining and training."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: record.get("stage") != "pretrain"):
        name, _, rest = str(record.get("job", "")).partition("/")
        if record.get("stage") == "pretrain":
            rows.setdefault(f"pretraining, {name}", []).append(record)
        elif record.get("stage") == "train" and rest:
            rows.setdefault(name, []).append(record)
    return tuple(_sum(name, jobs) for name, jobs in rows.items())


def _sum(name: str, jobs: list[Mapping[str, Any]]) -> ArmCost:
    wall, cpu, gpu = (
        sum(float(job.get(key) or 0) for job in jobs) for key in ("wall_seconds", "cpu_seconds", "gpu_seconds")
    )
    return ArmCost(name, len(jobs), wall, cpu, gpu, kilowatt_hours(cpu, gpu))


def kilowatt_hours(cpu_seconds: float, gpu_seconds: float) -> float:
    """Energy of busy processors under the assumption above."""
    return (cpu_seconds * CORE_WATTS + gpu_seconds * GPU_WATTS) / 3.6e6
