"""Build the demo cohort with the recipe that lies under data/demo of the project."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scanprior.engine import source_tree
from scanprior.errors import ScanpriorError


def build(folder: Path | None) -> str:
    """Build the simulated hospital folder (default data/demo/raw) and return one sentence; a folder with files is left alone.

    Raises:
        ScanpriorError: the recipe or its template head is missing, or the folder holds something else.
    """
    recipe = source_tree() / "data" / "demo" / "build.py"
    spec = importlib.util.spec_from_file_location("demo_recipe", recipe)
    if spec is None or spec.loader is None or not recipe.is_file():
        raise ScanpriorError("the recipe of the demo cohort is not here", hint="run this in a clone of the project")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    target = folder or Path("data/demo/raw")
    if module.is_built(target):
        return f"{target}: there already; delete it to build it anew"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("patients"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("demo cohort", total=None)
        try:
            module.build(target, progress=lambda done, total: progress.update(task, completed=done, total=total))
        except (module.NotOursError, module.TemplateMissingError) as error:
            raise ScanpriorError(str(error), hint="make env installs the template; or name another folder") from None
    return f"{target}: the demo cohort is built (simulated patients); next: scanprior run config/demo.yaml"
