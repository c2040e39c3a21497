"""The demo recipe, loaded by path as the command line does it, and one tiny cohort for all tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

RECIPE = Path(__file__).parents[2] / "data" / "demo" / "build.py"


@pytest.fixture(scope="session")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scanprior_demo_build", RECIPE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(recipe: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients at 4 mm; the truth lies in the folder beside it."""
    folder = tmp_path_factory.mktemp("demo") / "raw"
    recipe.build(folder, patients=8, spacing_mm=4.0)
    return folder
