"""Pretraining by two processes: one prior, and a run that was killed ends with the same bytes as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scanprior.learning.pretraining import pretrain

RUN = """
import hashlib, os, sys, time
from pathlib import Path
import torch
from scanprior.energy.replicas import replicas
from scanprior.learning import pretraining, pretraining_loop
from scanprior.learning.prior import save_prior
torch.set_num_threads(1)
pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
generator = torch.Generator().manual_seed(0)
data = torch.randn(330, 6, generator=generator) @ torch.randn(6, 27, generator=generator)
seeds = lambda *names: int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")
def log(values, step):
    print(step, flush=True)
    time.sleep(float(sys.argv[3]))
result = pretraining.pretrain(lambda rows: data[rows], len(data), patch_size=(3, 3, 3), seeds=seeds,
    work=Path(sys.argv[1]), layers=(12, 8), hidden="bernoulli", objective="pcd1", epochs=3, batch_size=5, log=log,
    held_out=torch.arange(0, 330, 15), devices=2)
save_prior(result.prior, Path(f"{sys.argv[2]}-{replicas()[0]}"), {})
"""


def start(work: Path, out: Path, *, pause: float = 0.0) -> subprocess.Popen[str]:
    script = out.with_name("run.py")  # a file, because Lightning starts it anew for the second process
    script.write_text(RUN)
    return subprocess.Popen(
        [sys.executable, str(script), str(work), str(out), str(pause)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip


class Stop(BaseException):
    """Not an Exception, so that nothing on the way treats it as one of its own."""


def stop_late(values: dict[str, float], step: int) -> None:
    if step > 20:
        raise Stop


def test_killed_in_the_middle_two_processes_end_with_the_same_bytes(tmp_path):
    whole, killed = start(tmp_path / "whole", tmp_path / "a"), start(tmp_path / "killed", tmp_path / "b", pause=0.1)
    assert killed.stdout is not None
    seen = [int(killed.stdout.readline()) for _ in range(7)]
    os.killpg(killed.pid, signal.SIGKILL)  # both processes
    killed.wait()
    assert 0 < seen[-1] < 3 * 62, "it was meant to be killed within the first layer"
    last = start(tmp_path / "killed", tmp_path / "b")
    steps = [[int(line) for line in process.stdout or ()] for process in (last, whole)]
    assert whole.wait() == last.wait() == 0
    assert steps[0][0] > seen[-2], "finished blocks were trained again"
    assert steps[0] == steps[1][-len(steps[0]) :]
    priors = {(tmp_path / f"{name}-{place}" / "prior.safetensors").read_bytes() for name in "ab" for place in (0, 1)}
    assert len(priors) == 1


def test_a_checkpoint_of_two_is_not_continued_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr("scanprior.learning.pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    options = {"patch_size": (3, 3, 3), "seeds": lambda *names: 1, "work": tmp_path, "layers": (4,), "batch_size": 10}

    data = torch.randn(200, 27, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Stop):
        pretrain(lambda rows: data[rows], 200, epochs=3, log=stop_late, **options)
    file = tmp_path / "layer-1.ckpt"
    saved = torch.load(file, weights_only=True)
    torch.save({**saved, "replicas": [{}, {}]}, file)
    with pytest.raises(ValueError, match="begun by 2 processes and can't be continued by 1"):
        pretrain(lambda rows: data[rows], 200, epochs=3, **options)
