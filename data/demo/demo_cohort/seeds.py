"""Randomness by name: every number of the cohort comes from a seed that says what it is for."""

from __future__ import annotations

import hashlib

import numpy as np

RECIPE = "scanprior demo cohort 1"


def generator(*names: str | int) -> np.random.Generator:
    """A generator that depends on the recipe's version and on `names` only."""
    return np.random.default_rng(int.from_bytes(_digest(names)[:16], "big"))


def digits(count: int, *names: str | int) -> str:
    """`count` (at most 60) decimal digits that follow from `names`, the first never zero."""
    text = str(int.from_bytes(_digest(names), "big")).rjust(70, "7")[-count:]
    return ("7" + text[1:]) if text[0] == "0" else text


def letters(count: int, *names: str | int) -> str:
    """`count` (at most 64) upper-case hexadecimal characters that follow from `names`."""
    return _digest(names).hex().upper()[:count]


def _digest(names: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256("/".join([RECIPE, *map(str, names)]).encode()).digest()
