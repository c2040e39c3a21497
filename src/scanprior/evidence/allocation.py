"""Sharing patients out to sides and orders: seeded, stratified by class, whole groups at a time.

Every choice is made by hashing (seed, row), not by a library's random stream, so that no version of any package can
change a split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence


def shuffled(rows: Iterable[int], seed: int) -> list[int]:
    """The rows in an order that depends on nothing but `seed` and the rows' own numbers."""
    return sorted(rows, key=lambda row: (hashlib.sha256(f"{seed}:{row}".encode()).digest(), row))


def gather(rows: Iterable[int], group: Sequence[int]) -> dict[int, list[int]]:
    """Rows by group, groups and rows rising."""
    found: dict[int, list[int]] = defaultdict(list)
    for row in sorted(rows):
        found[group[row]].append(row)
    return dict(sorted(found.items()))


def take(rows: Iterable[int], group: Sequence[int], size: int, seed: int) -> list[int]:
    """Up to `size` rows as whole groups, without a look at any label; fewer only where no group fits the rest."""
    groups = gather(rows, group)
    taken: list[int] = []
    for name in shuffled(groups, seed):
        if len(taken) + len(groups[name]) <= size:
            taken += groups[name]
    return sorted(taken)


def take_stratified(rows: Iterable[int], group: Sequence[int], label: Sequence[int], size: int, seed: int) -> list[int]:
    """As `take`, with the classes in the proportions of `rows` (largest remainder, at least 2 of each)."""
    rows = list(rows)
    quota = _quotas(_counts(rows, label), size)
    groups = gather(rows, group)
    taken: list[int] = []
    for name in shuffled(groups, seed):
        wanted = _counts(groups[name], label)
        if all(quota[kind] >= number for kind, number in wanted.items()):
            taken += groups[name]
            for kind, number in wanted.items():
                quota[kind] -= number
    return sorted(taken)


def fold_rows(
    rows: Iterable[int], group: Sequence[int], label: Sequence[int], folds: int, seed: int
) -> list[list[int]]:
    """Share whole groups out to `folds` sides, so that each class is as even as the groups allow.

    Greedy: bigger groups first, then class by class; each goes to the fold that has fewest of its classes, then fewest
    patients. With single patients no two folds differ by more than one in any class.
    """
    groups = gather(rows, group)
    place = {name: rank for rank, name in enumerate(shuffled(groups, seed))}
    queue = sorted(
        groups, key=lambda name: (-len(groups[name]), sorted(label[row] for row in groups[name]), place[name])
    )
    sides: list[list[int]] = [[] for _ in range(folds)]
    have: list[dict[int, int]] = [defaultdict(int) for _ in range(folds)]
    for name in queue:
        wanted = _counts(groups[name], label)
        side = min(range(folds), key=lambda f: (sum(have[f][kind] * n for kind, n in wanted.items()), len(sides[f]), f))
        sides[side] += groups[name]
        for kind, number in wanted.items():
            have[side][kind] += number
    return [sorted(side) for side in sides]


def interleave(rows: Iterable[int], group: Sequence[int], label: Sequence[int], seed: int) -> list[int]:
    """One member of each group, in blocks of one patient per class; inside a block the classes come in any order.

    A group is patients who may be one person: as labels they count once, so that none is trained on and validated on.
    When a class is used up, the others go on.
    """
    members = gather(rows, group)
    single = [shuffled(members[name], seed)[0] for name in members]
    queues: dict[int, list[int]] = defaultdict(list)
    for row in shuffled(single, seed):
        queues[label[row]].append(row)
    order: list[int] = []
    for position in range(max(map(len, queues.values()), default=0)):
        block = [queue[position] for queue in queues.values() if position < len(queue)]
        order += shuffled(block, seed + 1)
    return order


def _counts(rows: Iterable[int], label: Sequence[int]) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    for row in rows:
        counts[label[row]] += 1
    return dict(sorted(counts.items()))


def _quotas(counts: Mapping[int, int], size: int) -> dict[int, int]:
    """`size` places shared out in proportion to `counts`; 2 for each class where there is room for that."""
    total = sum(counts.values())
    exact = {kind: size * number / total for kind, number in counts.items()}
    floor = min(2, size // max(len(counts), 1))
    quota = {kind: min(counts[kind], max(floor, int(exact[kind]))) for kind in counts}
    while sum(quota.values()) < min(size, total):
        kind = max((k for k in counts if quota[k] < counts[k]), key=lambda k: (exact[k] - quota[k], -k))
        quota[kind] += 1
    while sum(quota.values()) > size:
        kind = min((k for k in counts if quota[k] > floor), key=lambda k: (exact[k] - quota[k], k))
        quota[kind] -= 1
    return quota
