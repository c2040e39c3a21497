"""kill -9 in any stage: the same command goes on, finished epochs are not trained again, the bytes are the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

pytestmark = pytest.mark.workflow


def start(house: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "scanprior.cli", "run", "tiny.yaml", "--cores", "2"]
    return subprocess.Popen(
        command, cwd=house, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=tiny.environment(house),
    )  # fmt: skip


def checkpoint_every_block(house: Path) -> None:
    """Give `house` its own code, with a checkpoint after every block: the tiny prior is done before ten seconds are."""
    tiny.copy_source(house)
    file = house / "src/scanprior/learning/pretraining_loop.py"
    tiny.edit(file, "\nSECONDS_BETWEEN_CHECKPOINTS = 10.0", "\nSECONDS_BETWEEN_CHECKPOINTS = 0.0")


def kill_when(house: Path, stage: str, ready: str) -> None:
    """Start the study and kill its whole process group with SIGKILL once `stage` has begun and `ready` is in its live log."""
    process = start(house)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        logs = list((house / "work/tiny" / stage).rglob("log.jsonl")) if (house / "work/tiny" / stage).exists() else []
        if any(ready in log.read_text() for log in logs if log.exists()):
            break
        if process.poll() is not None:
            raise AssertionError(f"the study ended before {stage} could be killed")
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.5)  # a stage ends half a second after its engine at the latest


@pytest.mark.parametrize(("stage", "ready"), [("convert", ""), ("pretrain", '"step": 1'), ("train", "loss")])
def test_kill_and_go_on(house: Path, tmp_path: Path, stage: str, ready: str) -> None:
    tiny.build(tmp_path)
    if stage == "pretrain":
        checkpoint_every_block(tmp_path)
    (tmp_path / "private/tiny").mkdir(parents=True)
    shutil.copy(house / "private/tiny/key", tmp_path / "private/tiny/key")
    kill_when(tmp_path, stage, ready)
    tiny.scanprior(tmp_path, "run", "tiny.yaml", "--cores", "2")
    assert tiny.outcome(tmp_path) == tiny.outcome(house)
    records = [json.loads(f.read_text()) for f in (tmp_path / "results/tiny").rglob("record.json")]
    resumed = [record for record in records if record["stage"] == stage and record["resumed"]]
    assert bool(resumed) == (stage != "convert")
    if stage == "pretrain":
        # A block may be logged and not yet in a checkpoint when the kill comes: no more than that one is done again.
        # (Training logs finished epochs again from its files; tests/learning proves that none is trained twice.)
        for record in resumed:
            assert len({step for _, step in record["repeated"]}) <= 1
