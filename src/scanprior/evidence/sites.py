"""The difference at each site, and at the site that fares worst, with an interval that knows the worst was picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanprior.evidence.interval import Interval


class SiteDelta(NamedTuple):
    """Difference among the tested patients of one site; NaN bounds where `note` says why there is no interval."""

    site: str
    patients: int
    delta: float
    low: float
    high: float
    note: str


class Worst(NamedTuple):
    """The smallest difference among `sites` sites: estimate at the site where it was seen, interval of the true smallest."""

    site: str
    delta: float
    low: float
    high: float
    sites: int


def by_site(
    site: Sequence[str | None], compare: Callable[[NDArray[np.bool_], float], Interval], level: float
) -> tuple[list[SiteDelta], Worst | None]:
    """The differences site by site, in the order of their names, and the worst of them; [] and None with fewer than two.

    site: of each tested patient, None where unknown (left out). compare: patients of one site and a level to an
    interval. The worst site's interval is made of all sites' intervals at a level of 1 − (1 − level) / sites each
    (Bonferroni): when all hold their truth, the smallest low and the smallest high hold the smallest truth. Sites
    without an interval have no say in it, and it says how many had.
    """
    names = sorted({name for name in site if name is not None})
    if len(names) < 2:
        return [], None
    members = {name: np.array([one == name for one in site]) for name in names}
    found = [_delta(name, members[name], compare(members[name], level)) for name in names]
    known = [one.site for one in found if np.isfinite(one.low)]
    if len(known) < 2:
        return found, None
    wider = [compare(members[name], 1 - (1 - level) / len(known)) for name in known]
    worst = int(np.argmin([one.estimate for one in wider]))
    low, high = min(one.low for one in wider), min(one.high for one in wider)
    return found, Worst(known[worst], wider[worst].estimate, low, high, len(known))


def _delta(name: str, members: NDArray[np.bool_], one: Interval) -> SiteDelta:
    return SiteDelta(name, int(members.sum()), one.estimate, one.low, one.high, one.note)
