"""Trials: the defaults first, values in turn that arms share, and from the eleventh on what the scores suggest."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import numpy as np

from scanprior.learning.arm import Settings
from scanprior.learning.tuning import DRAWN, next_settings, trial_settings

SPACE: Any = {"rate": (0.1, 0.2, 0.3), "decay": (1.0, 2.0)}
WIDE: Any = {"rate": tuple(np.linspace(0, 1, 21)), "decay": tuple(np.linspace(0, 1, 21))}


def seeds(*names: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big")


def test_the_first_trial_takes_the_defaults_and_others_share_what_arms_share() -> None:
    assert trial_settings(SPACE, 0, seeds) == {"rate": 0.1, "decay": 1.0}
    tried = [trial_settings(SPACE, trial, seeds) for trial in range(1, 30)]
    assert {one["rate"] for one in tried} == {0.1, 0.2, 0.3}
    other = {"extra": (5.0,), **SPACE}
    assert [trial_settings(other, trial, seeds)["rate"] for trial in range(1, 30)] == [one["rate"] for one in tried]


def test_no_value_returns_before_the_others_had_their_turn() -> None:
    for study in range(50):
        named = partial(seeds, study)
        tried = [trial_settings(SPACE, trial, named) for trial in range(12)]
        assert tried[0] == trial_settings(SPACE, 0, seeds)
        for name, values in SPACE.items():
            turns = np.array([one[name] for one in tried]).reshape(-1, len(values))
            assert (np.sort(turns) == sorted(values)).all()
    orders = {
        tuple(trial_settings(SPACE, trial, partial(seeds, study))["rate"] for trial in range(6)) for study in range(50)
    }
    assert len(orders) == 12  # two after the default, six after them


def peak(settings: Settings) -> float:
    return -((settings["rate"] - 0.7) ** 2) - (settings["decay"] - 0.2) ** 2


def tried(number: int, *, broken: int | None = None) -> list[tuple[Settings, float]]:
    found: list[tuple[Settings, float]] = []
    for trial in range(number):
        settings = next_settings(WIDE, found, seeds)
        found.append((settings, float("nan") if trial == broken else peak(settings)))
    return found


def test_the_first_ten_are_the_draws_by_name_and_later_ones_learn_from_scores() -> None:
    found = tried(DRAWN + 20)
    assert [settings for settings, _ in found[:DRAWN]] == [trial_settings(WIDE, n, seeds) for n in range(DRAWN)]
    drawn = [peak(trial_settings(WIDE, number, seeds)) for number in range(1000, 1200)]
    assert np.mean([score for _, score in found[DRAWN:]]) > np.quantile(drawn, 0.75)
    assert all(settings["rate"] in WIDE["rate"] for settings, _ in found)


def test_the_same_scores_suggest_the_same_settings_after_a_kill() -> None:
    found = tried(DRAWN + 4)
    assert next_settings(WIDE, found, seeds) == next_settings(WIDE, list(found), seeds)
    assert tried(DRAWN + 4) == found


def test_a_trial_that_diverged_suggests_nothing() -> None:
    found = tried(DRAWN + 2, broken=3)
    assert len(found) == DRAWN + 2 and all(0 <= settings["decay"] <= 1 for settings, _ in found)
