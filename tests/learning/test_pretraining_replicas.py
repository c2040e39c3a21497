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
import hashlib, sys, time
from pathlib import Path
import torch
from scanprior.learning import convolutional_pretraining, pretraining, pretraining_loop
from scanprior.learning.prior import save_prior
pretraining_loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
generator = torch.Generator().manual_seed(0)
way, work, out, pause = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
size = (7, 5, 5) if way == "placed" else (3, 3, 3)
data = torch.randn(600, 6, generator=generator) @ torch.randn(6, size[0] * size[1] * size[2], generator=generator)
def log(values, step):
    print(step, flush=True)
    time.sleep(pause)
how = dict(patch_size=size, work=work, epochs=3, log=log, held_out=torch.arange(0, 600, 15), devices=2,
    seeds=lambda *names: int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big"))
if way == "placed":
    result = convolutional_pretraining.pretrain_placed(lambda rows: data[rows], 600, batch_size=20,
        places=lambda rows: data[rows, :3], width=4, **how)
else:
    result = pretraining.pretrain(lambda rows: data[rows], 600, layers=(12, 8), hidden="bernoulli", batch_size=9,
        objective=way, **how)
save_prior(result.prior, Path(f"{out}-{torch.distributed.get_rank()}"), {"measured": result.measured})
"""


def start(way: str, work: Path, out: Path, *, pause: float = 0.0) -> subprocess.Popen[str]:
    script = out.with_name("run.py")  # a file, because Lightning starts it anew for the second process
    script.write_text(RUN)
    return subprocess.Popen(
        [sys.executable, str(script), way, str(work), str(out), str(pause)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
    )  # fmt: skip


class Stop(BaseException):
    """Not an Exception, so that nothing on the way treats it as one of its own."""


def stop_late(values: dict[str, float], step: int) -> None:
    if step > 20:
        raise Stop


@pytest.mark.parametrize("way", ["pcd1", "denoising", "placed"])
def test_killed_in_the_middle_two_processes_end_with_the_same_bytes(tmp_path, way):
    whole, killed = (
        start(way, tmp_path / "whole", tmp_path / "a"),
        start(way, tmp_path / "killed", tmp_path / "b", pause=0.1),
    )
    assert killed.stdout is not None
    seen = [int(killed.stdout.readline()) for _ in range(15 if way != "placed" else 9)]  # into the second layer
    os.killpg(killed.pid, signal.SIGKILL)  # both processes
    killed.wait()
    last = start(way, tmp_path / "killed", tmp_path / "b")
    steps = [[int(line) for line in process.stdout or ()] for process in (last, whole)]
    assert whole.wait() == last.wait() == 0
    assert steps[1].index(seen[-1]) > len(steps[1]) // 4, "it was meant to be killed after the first layer"
    assert steps[0][0] > seen[-2], "finished blocks were trained again"
    assert steps[0] == steps[1][-len(steps[0]) :]
    for file in ("prior.safetensors", "card.json"):
        assert len({(tmp_path / f"{name}-{place}" / file).read_bytes() for name in "ab" for place in (0, 1)}) == 1, file


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
