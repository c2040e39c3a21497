"""Who is tested, who lends labels, and in which order: patients only, made once, hashed, shared by all arms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

from scanprior.evidence.allocation import fold_rows, gather, interleave, take, take_stratified

Row = TypeVar("Row")
Seeds = Callable[..., int]
TRAIN_MIN, TEST_MIN = 2, 2


class Patients(NamedTuple):
    """The cohort; row number = rank of the patient's voxels (`order`), so that no name has a say in a split."""

    label: tuple[int, ...]  # class index; 0 for all labelled patients of a voxel task; -1 = unlabelled
    group: tuple[int, ...]  # patients with the same number may be one person
    given: tuple[str | None, ...]  # train | val | test | pool, where the study's table says so
    site: tuple[str | None, ...] = ()  # needed by the scheme `sites`


class Request(NamedTuple):
    """What the study asks for."""

    scheme: Literal["holdout", "cv", "given", "sites"]  # sites: one is tested, the others lend labels, each in turn
    classes: tuple[str, ...]  # names; one entry for a voxel task
    budgets: tuple[int, ...]
    draws: int
    folds: int = 3
    test: int = 0
    pool: int = 0


class Draw(NamedTuple):
    """One seeded choice: rows in the order in which they lend their labels, and the rows that are tested."""

    draw: int
    fold: int
    order: tuple[int, ...]
    test: tuple[int, ...]


class Split(NamedTuple):
    """All sides and draws, as rows; `withheld` patients, who may be one person with a labelled one, are never used."""

    pool: tuple[int, ...]
    labelled: tuple[int, ...]
    test: tuple[int, ...]
    withheld: tuple[int, ...]
    draws: tuple[Draw, ...]


class SplitError(Exception):
    """The cohort can't carry the study; one sentence for each reason, all at once."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = tuple(sentences)


def members(order: Sequence[Row], budget: int, block: int) -> tuple[list[Row], list[Row]]:
    """The training and validation patients of one budget: the first `budget` of `order`, in blocks of `block`.

    `block` is the number of classes (patient task) or 1 (voxel task), written into split.json. Block number k (from 0)
    is validation when k % 4 == 1, so that every smaller budget's sides are part of a larger one's.

    Example:
        >>> members("abcdefgh", 6, 2)
        (['a', 'b', 'e', 'f'], ['c', 'd'])
    """
    train: list[Row] = []
    valid: list[Row] = []
    for position, row in enumerate(order[:budget]):
        (valid if position // block % 4 == 1 else train).append(row)
    return train, valid


def make_split(patients: Patients, request: Request, seeds: Seeds) -> Split:
    """Share the patients out as `request` says; the same rows, labels and seeds always give the same split.

    Raises:
        SplitError: with one sentence for each reason why this cohort can't carry the request.
    """
    sides = _sides(patients, request, seeds)
    problems = _count_problems(patients, request, sides)
    if problems:
        raise SplitError(problems)
    split = sides._replace(draws=tuple(_draws(patients, request, sides, seeds)))
    problems = _draw_problems(patients, request, split)
    if problems:
        raise SplitError(problems)
    return split


def digest(split: Split, budgets: Sequence[int]) -> str:
    """sha256 over the rows (not the names) of every side and draw: equal under any pseudonym key."""
    return hashlib.sha256(json.dumps([split, list(budgets)]).encode()).hexdigest()


def _sides(patients: Patients, request: Request, seeds: Seeds) -> Split:
    """Pool, labelled and test rows; the pool is drawn before anything looks at a label."""
    rows = range(len(patients.label))
    evaluated = [row for row in rows if patients.label[row] >= 0]
    unlabelled = [row for row in rows if patients.label[row] < 0]
    test: list[int] = []
    if request.scheme == "given":
        given = patients.given
        test = [row for row in evaluated if given[row] == "test"]
        pool = [row for row in evaluated if given[row] == "pool"]
        labelled = [row for row in evaluated if given[row] not in ("test", "pool")]
        unlabelled = [row for row in unlabelled if given[row] != "test"]
    else:
        pool = take(evaluated, patients.group, request.pool, seeds("split", "pool"))
        labelled = [row for row in evaluated if row not in set(pool)]
        if request.scheme == "holdout" and request.test < len(labelled):
            test = take_stratified(labelled, patients.group, patients.label, request.test, seeds("split", "test"))
            labelled = [row for row in labelled if row not in set(test)]
    used = {patients.group[row] for row in (*labelled, *test)}
    archive = [row for row in (*pool, *unlabelled) if patients.group[row] not in used]
    seen = {*archive, *labelled, *test}
    withheld = [row for row in rows if row not in seen]
    return Split(tuple(sorted(archive)), tuple(labelled), tuple(test), tuple(withheld), ())


def _draws(patients: Patients, request: Request, sides: Split, seeds: Seeds) -> list[Draw]:
    draws: list[Draw] = []
    for draw in range(request.draws):
        if request.scheme not in ("cv", "sites"):
            order = interleave(sides.labelled, patients.group, patients.label, seeds("split", "draw", draw))
            draws.append(Draw(draw, 0, tuple(order), sides.test))
            continue
        if request.scheme == "sites":
            parts = _site_rows(patients, sides)
        else:
            parts = fold_rows(
                sides.labelled, patients.group, patients.label, request.folds, seeds("split", "folds", draw)
            )
        for fold, tested in enumerate(parts):
            rest = [row for row in sides.labelled if row not in set(tested)]
            order = interleave(rest, patients.group, patients.label, seeds("split", "draw", draw, fold))
            draws.append(Draw(draw, fold, tuple(order), tuple(tested)))
    return draws


def _site_rows(patients: Patients, sides: Split) -> list[list[int]]:
    """Labelled rows of each site, sites by name."""
    names = sorted({name for row in sides.labelled if (name := patients.site[row]) is not None})
    return [[row for row in sides.labelled if patients.site[row] == name] for name in names]


def _count_problems(patients: Patients, request: Request, sides: Split) -> list[str]:
    """What can be told from the numbers alone, before any draw is made."""
    problems: list[str] = []
    total = sum(label >= 0 for label in patients.label)
    block = len(request.classes)
    if request.budgets[0] < 2 * block:
        blocks = f" ({block} classes: one patient of each to train, one of each to validate)" if block > 1 else ""
        problems.append(
            f"evaluation.budgets: the smallest is {request.budgets[0]}, the least that can be is {2 * block}{blocks}."
        )
    if request.scheme == "given":
        problems += _given_problems(patients, sides)
    elif request.pool + request.test * (request.scheme == "holdout") >= total:
        asked = f"test {request.test} + pool {request.pool}" if request.scheme == "holdout" else f"pool {request.pool}"
        problems.append(f"evaluation: {asked} leaves nobody to lend labels, since {total} patients are labelled.")
        return problems
    if request.scheme == "sites" and (problems := problems + _site_problems(patients, sides)):
        return problems
    most = len(gather(sides.labelled, patients.group))
    most -= -(-most // request.folds) if request.scheme == "cv" else 0
    if request.scheme == "sites":
        most = len(sides.labelled) - max(map(len, _site_rows(patients, sides)))
    if request.budgets[-1] > most:
        problems.append(_too_large(request.budgets[-1], most))
    for index, name in enumerate(request.classes):
        what = f"class {name}: " if block > 1 else ""
        persons = len(gather((r for r in sides.labelled if patients.label[r] == index), patients.group))
        tested = sum(patients.label[row] == index for row in sides.test)
        if request.scheme == "cv" and persons < request.folds + TRAIN_MIN:
            problems.append(
                f"{what}{persons} labelled patients are too few for {request.folds} folds; "
                f"at least {request.folds + TRAIN_MIN} are needed (one to test in each fold, "
                f"{TRAIN_MIN} to train and validate)."
            )
        if request.scheme in ("holdout", "given") and persons < TRAIN_MIN:
            problems.append(
                f"{what}{persons} labelled patients lend labels, at least {TRAIN_MIN} are needed to train and validate."
            )
        if request.scheme in ("holdout", "given") and tested < TEST_MIN:
            problems.append(f"{what}{tested} patients are tested, at least {TEST_MIN} are needed.")
    return problems


def _site_problems(patients: Patients, sides: Split) -> list[str]:
    """Why sites can't be tested one by one."""
    unknown = sum(patients.site[row] is None for row in sides.labelled)
    found = len(_site_rows(patients, sides))
    problems: list[str] = []
    if unknown:
        problems.append(f"evaluation.scheme: sites needs the site of every labelled patient, {unknown} have none.")
    if found < 2:
        problems.append(f"evaluation.scheme: sites needs at least 2 sites, the labelled patients have {found}.")
    where: dict[int, set[str | None]] = {}
    for row in sides.labelled:
        where.setdefault(patients.group[row], set()).add(patients.site[row])
    if torn := sum(len(names) > 1 for names in where.values()):
        problems.append(
            f"cohort.together: {torn} groups that may be one person lie at two sites; leave one patient out."
        )
    return problems


def _given_problems(patients: Patients, sides: Split) -> list[str]:
    shared = {patients.group[row] for row in sides.labelled} & {patients.group[row] for row in sides.test}
    if not shared:
        return []
    return [
        f"cohort.together: the given split puts {len(shared)} groups that may be one person on both sides; "
        "mend the split column."
    ]


def _draw_problems(patients: Patients, request: Request, split: Split) -> list[str]:
    """What only the draws can tell: groups may leave a side smaller or a class rarer than the numbers promised."""
    problems: list[str] = []
    smallest = min(len(draw.order) for draw in split.draws)
    if request.budgets[-1] > smallest:
        problems.append(_too_large(request.budgets[-1], smallest))
    for index, name in enumerate(request.classes):
        what = f" of class {name}" if len(request.classes) > 1 else ""
        if any(sum(patients.label[row] == index for row in draw.test) < 1 for draw in split.draws):
            problems.append(f"evaluation: a test side has no patient{what}; fewer folds or fewer groups are needed.")
        if any(sum(patients.label[row] == index for row in draw.order) < TRAIN_MIN for draw in split.draws):
            problems.append(
                f"evaluation: a training side has fewer than {TRAIN_MIN} patients{what}; fewer folds are needed."
            )
    return problems


def _too_large(budget: int, most: int) -> str:
    return f"evaluation.budgets: the largest is {budget}, but the smallest training side has {most} patients."
