"""Build the demo cohort with the recipe that lies under data/demo of the project."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from rich.progress import Progress

from scanprior.engine import source_tree
from scanprior.errors import ScanpriorError


def build(folder: Path | None) -> str:
    """Build the simulated hospital folder (default data/demo/raw) and return one sentence; a folder with files is left alone."""
    recipe = source_tree() / "data" / "demo" / "build.py"
    if not recipe.is_file():
        raise ScanpriorError("the recipe of the demo cohort is not here", hint="run this in a clone of the project")
    target = folder or Path("data/demo/raw")
    if target.is_dir() and any(target.iterdir()):
        return f"{target}: there already; delete the folder to build it anew"
    sys.path.insert(0, str(recipe.parent))  # the recipe's modules import each other by name
    spec = importlib.util.spec_from_file_location("build", recipe)
    if spec is None or spec.loader is None:
        raise ScanpriorError("the recipe of the demo cohort can't be read", hint="restore data/demo from git")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with Progress(transient=True) as progress:
        task = progress.add_task("demo cohort", total=None)
        module.build(target, progress=lambda done, total: progress.update(task, completed=done, total=total))
    return f"{target}: the demo cohort is built (simulated patients); next: scanprior run config/demo.yaml"
