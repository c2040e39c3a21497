"""A finished folder takes its place whole, also where the working folder lies on another file system than the results."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


def put(folder: Path, target: Path, aside: Path) -> None:
    """Move `folder` to `target` in one rename; what lay there goes to `aside` first, since a kill while it is deleted would leave half.

    No rename leads to another file system: then a copy beside `target`, under a hidden name, takes its place.

    Raises:
        OSError: as the file system says; `target` is then whole or missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _exchange(folder, target, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy, former = (target.with_name(f".{target.name}.{end}") for end in ("part", "former"))
        for leftover in (copy, former):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            shutil.copytree(folder, copy)
        except BaseException:  # a full disk needs the room
            shutil.rmtree(copy, ignore_errors=True)
            raise
        _exchange(copy, target, former)
        shutil.rmtree(former, ignore_errors=True)


def _exchange(folder: Path, target: Path, aside: Path) -> None:
    if target.exists():
        target.replace(aside)
    folder.replace(target)
