"""The tiny study, run once for each test file that looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the tiny study has been run from scratch to the report."""
    folder = tmp_path_factory.mktemp("house")
    tiny.build(folder)
    tiny.scanprior(folder, "run", "tiny.yaml", "--cores", "2")
    return folder
