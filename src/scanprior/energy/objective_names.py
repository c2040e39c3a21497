"""The names that a study file gives to objectives, and which units each can train: read without loading torch.

cd5: contrastive divergence with 5 sweeps; cd5-sampled: with drawn reconstructions in the place of means. pcd1: persistent
chains. pt10: parallel tempering with 10 temperatures. langevin10: 10 Gibbs-Langevin steps.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PATTERN = r"^(cd[1-9]\d?(-sampled)?|pcd[1-9]\d?|pt([2-9]|[1-9]\d)|langevin[1-9]\d?)$"
ALLOWED = "cd1, cd2, … (cd1-sampled, …), pcd1, pcd2, …, pt2, pt3, … and langevin1, langevin2, …"
TEMPERED_CHAINS = 32  # at each temperature


class ObjectiveName(NamedTuple):
    """What a name says."""

    kind: str
    """cd, pcd, pt or langevin"""
    number: int
    """sweeps per update (cd, pcd), temperatures (pt), or steps per update (langevin)"""
    sampled: bool


def read_objective(name: str) -> ObjectiveName:
    """The parts of a name.

    Raises:
        ValueError: no objective is called so.
    """
    if re.fullmatch(PATTERN, name) is None:
        raise ValueError(f"no objective is called {name!r}; allowed are {ALLOWED}")
    kind, number, sampled = re.findall(r"([a-z]+)(\d+)(-sampled)?", name)[0]
    return ObjectiveName(kind, int(number), bool(sampled))


def refusal(name: str, hidden: str, layers: int) -> str | None:
    """Why the objective can't train a stack of `layers` machines whose hidden units are `hidden`; none: it can.

    hidden: bernoulli or rectified. The first machine's visible units are Gaussian.
    """
    kind = read_objective(name).kind
    if kind == "cd":
        return None
    if hidden == "rectified":
        why = {
            "pcd": "lets the chains of rectified units run to infinity",
            "langevin": "lets the chains of rectified units run to infinity",
            "pt": "swaps chains by their energies, which rectified units don't have in closed form",
        }
        return f"{name} {why[kind]}: use cd1, cd2, …, or Bernoulli hidden units"
    if kind == "langevin" and layers > 1:
        return f"{name} moves Gaussian units, and only the first of {layers} layers sees any: use cd1, pcd1 or pt10"
    return None


def passes(name: str, batch_size: int) -> float:
    """How often an update multiplies by the weights per row of a mini-batch: both phases, and the gradient's product."""
    kind, number, _ = read_objective(name)
    if kind == "pt":
        return 2.0 + (2 * number + 2) * TEMPERED_CHAINS / batch_size
    return 3.0 + 2.0 * number
