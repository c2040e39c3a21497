"""What a study's run costs beside its work: process start-up, Snakemake and the MLflow recorder.

    python benchmarks/engine/overhead.py [config/demo.yaml] [--limit 60]

runs the study from scratch in a temporary folder on two cores, watches the processor time of every process, and prints the
overhead (start-up of all stages until their work begins, the engine, the recorder; seconds of the run on two cores) beside
the limit, as a ratio.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HOUSE = Path(__file__).parents[2]


def main() -> None:
    """Run, watch, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", nargs="?", default="config/demo.yaml")
    parser.add_argument("--limit", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        shutil.copytree(HOUSE / "config", house / "config")
        (house / "data").symlink_to(HOUSE / "data")
        started = time.monotonic()
        spent = watch([sys.executable, "-m", "scanprior.cli", "run", options.study, "--cores", "2"], house)
        wall = time.monotonic() - started
        name = next((house / "results").iterdir()).name
        records = [json.loads(f.read_text()) for f in (house / "results" / name).rglob("record.json")
                   if "mlflow-artifacts" not in f.parts]  # fmt: skip
    startup = sum(record["startup_seconds"] for record in records)
    engine, recorder = spent["snakemake"], spent["track"]
    overhead = (startup + engine + recorder) / 2
    print(
        f"{len(records)} jobs, wall {wall:.0f} s on 2 cores, work {sum(r['cpu_seconds'] for r in records):.0f} s of processor time"
    )
    print(f"start-up {startup:.1f} s, engine {engine:.1f} s, recorder {recorder:.1f} s of processor time")
    print(f"overhead on 2 cores {overhead:.1f} s, limit {options.limit:.0f} s, ratio {overhead / options.limit:.2f}")


def watch(command: list[str], house: Path) -> dict[str, float]:
    """Processor seconds by kind of process until the command ends; raises when it fails."""
    process = subprocess.Popen(command, cwd=house)
    seen: dict[int, tuple[str, float]] = {}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        for child in [root, *root.children(recursive=True)]:
            try:
                words, times = child.cmdline(), child.cpu_times()
            except psutil.Error:
                continue
            kind = next((k for k in ("stage", "track", "snakemake") if k in words), "run")
            seen[child.pid] = (kind, times.user + times.system)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"the study ended with {process.returncode}")
    total = dict.fromkeys(("stage", "track", "snakemake", "run"), 0.0)
    for kind, seconds in seen.values():
        total[kind] += seconds
    return total


if __name__ == "__main__":
    main()
