"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[_name] = "1"

_default = HOUSE.parent / "shared" / "data"
if "SCANPRIOR_DATA" not in os.environ and _default.is_dir():
    os.environ["SCANPRIOR_DATA"] = str(_default)


@pytest.fixture(scope="session")
def scanprior_data() -> Path:
    """The folder of real scans; without it the test is skipped with a sentence."""
    folder = Path(os.environ.get("SCANPRIOR_DATA", ""))
    if not os.environ.get("SCANPRIOR_DATA") or not folder.is_dir():
        pytest.skip("SCANPRIOR_DATA names no folder: what needs real scans is not tested here")
    return folder
