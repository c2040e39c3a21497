"""The tiny study, run once for all test files that look at it, on whichever worker comes first."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def finished_house(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A working folder in which the tiny study has been run from scratch to the report; nobody may change it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tiny-house"  # the parent is common to all workers
    whole = folder.with_suffix(".whole")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # another worker's run that failed
            folder.mkdir()
            tiny.build(folder)
            tiny.scanprior(folder, "run", "tiny.yaml", "--cores", "2")
            whole.touch()
    return folder


@pytest.fixture(scope="module")
def house(finished_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished working folder for one test file."""
    folder = tmp_path_factory.mktemp("house") / "house"
    shutil.copytree(finished_house, folder, symlinks=True)
    return folder
