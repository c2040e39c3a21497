"""Build the demo cohort: real anatomy, invented people, delivered the way hospitals deliver.

    python data/demo/build.py [DIR]            # default: data/demo/raw; the truth goes to DIR-truth

Every run on one machine writes the same bytes. Nobody in it exists.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from demo_cohort import anatomy, tables, traps
from demo_cohort.anatomy import TemplateMissingError
from demo_cohort.delivery import deliver
from demo_cohort.plan import Patient, extra, plan
from demo_cohort.planted import Planted, planted

BROKEN = ("missing-slice", "truncated", "duplicate-slice", "truncated-nifti")
Progress = Callable[[int, int], None]


class NotOursError(Exception):
    """The folder holds something that this recipe did not make."""


def truth_folder(folder: Path) -> Path:
    """Where the lesion masks, truth.csv and planted.json of the cohort in `folder` lie: beside it, never inside."""
    return folder.with_name(folder.name + "-truth")


def is_built(folder: Path) -> bool:
    """Whether a cohort of this recipe lies in `folder`, its truth beside it."""
    return folder.is_dir() and any(folder.iterdir()) and (truth_folder(folder) / "planted.json").exists()


def build(
    folder: Path, *, patients: int = 60, progress: Progress | None = None, spacing_mm: float = 2.0
) -> list[Planted]:
    """Write the raw files of `patients` good and five broken patients to `folder`; return all planted identifiers.

    An older cohort in `folder` is replaced. Both folders appear complete or not at all.

    Raises:
        NotOursError: the folder holds something else.
        TemplateMissingError: pydeface is not installed.
    """
    folder = Path(folder).absolute()
    truth = truth_folder(folder)
    if folder.exists() and any(folder.iterdir()) and not is_built(folder):
        raise NotOursError(
            "the folder for the demo cohort is not empty and was not made by this recipe: name another one"
        )
    raw, known = (path.with_name(path.name + ".partial") for path in (folder, truth))
    for path in (raw, known):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    items = _write(raw, known, patients, progress or _quiet, spacing_mm)
    for built, path in ((raw, folder), (known, truth)):
        shutil.rmtree(path, ignore_errors=True)
        built.rename(path)
    return items


def _write(raw: Path, known: Path, count: int, progress: Progress, spacing_mm: float) -> list[Planted]:
    good = plan(count)
    kinds = (*BROKEN, "screenshot")
    broken = [extra(count, number, nifti=kind == "truncated-nifti") for number, kind in enumerate(kinds)]
    screenshots = [p.person.number for p in good if not p.nifti and not p.labelled][:2]
    everybody = [*good, *broken]
    progress(0, len(everybody))
    deliver_one = partial(deliver, raw, known, spacing_mm)
    # every patient's bytes depend on its own number only, so that they may be made in any order, by any number of processes
    with ProcessPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        made = [pool.submit(deliver_one, p, screenshot=p.person.number in screenshots) for p in good]
        made += [pool.submit(deliver_one, p, trap=kind) for p, kind in zip(broken, kinds, strict=True)]
        for done, one in enumerate(as_completed(made), start=1):
            one.result()
            progress(done, len(everybody))
    _papers(raw, good, broken)
    items = planted(everybody, raw)
    tables.write_truth(known, good, items)
    return items


def _papers(raw: Path, good: list[Patient], broken: list[Patient]) -> None:
    with_nifti = [p for p in (*good, *broken) if p.nifti]
    tables.write_labels(raw, good)
    tables.write_subjects(raw, with_nifti)
    traps.write_report(raw, good[len(good) // 2])
    traps.write_readme(raw)
    traps.write_dicomdir(raw, [p for p in good if not p.nifti and p.layout == "pacs"])


def _quiet(_done: int, _total: int) -> None:
    pass


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\rdemo cohort: {done} of {total} patients", end=end, file=sys.stderr, flush=True)


def main() -> int:
    """Build the cohort where the command line says; 0 when done, 1 when it can't be built."""
    parser = argparse.ArgumentParser(description="Build the demo cohort: real anatomy, invented people.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent / "raw", metavar="DIR")
    folder: Path = parser.parse_args().folder
    try:
        items = build(folder, progress=_show)
    except (TemplateMissingError, NotOursError) as problem:
        print(problem, file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{size / 1e6:.0f} MB of raw files in {folder}, {len(items)} planted identifiers in {truth_folder(folder)}")
    low, high = anatomy.RADIUS_MM
    print(f"lesions: {100 * anatomy.CONTRAST:+.0f} % of white matter, radius {low:g} to {high:g} mm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
