"""Trials: the defaults first, values in turn that arms share, and from the eleventh on what the scores suggest."""

from __future__ import annotations

import hashlib
import importlib
import math
import pkgutil
from functools import partial
from typing import Any

import numpy as np
import pytest

from scanprior.learning import arms
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
        tried = [trial_settings(SPACE, trial, named) for trial in range(3)]
        assert tried[0] == trial_settings(SPACE, 0, seeds)
        for name, values in SPACE.items():
            assert sorted(one[name] for one in tried[: len(values)]) == sorted(values)
    orders = {trial_settings(SPACE, 1, partial(seeds, study))["rate"] for study in range(50)}
    assert orders == {0.2, 0.3}


SPACES = {
    module.name: space
    for module in pkgutil.iter_modules(arms.__path__)
    if (space := getattr(importlib.import_module(f"{arms.__name__}.{module.name}"), "SPACE", None))
}


@pytest.mark.parametrize("arm", SPACES)
def test_no_arm_tries_the_same_again_while_there_is_anything_else(arm: str) -> None:
    space = SPACES[arm]
    combinations = math.prod(len(values) for values in space.values())
    for study in range(100):
        tried = [tuple(trial_settings(space, trial, partial(seeds, study)).values()) for trial in range(DRAWN)]
        assert len(set(tried)) == min(DRAWN, combinations)


def test_arms_go_on_sharing_after_one_of_them_would_have_repeated() -> None:
    """With the setting more that an arm with a prior has, nothing repeats; the arm without redraws that one trial alone."""
    small, large = SPACES["cnn"], SPACES["conv_dbn"]
    apart = []
    for study in range(100):
        named = partial(seeds, study)
        both = [[trial_settings(one, trial, named) for trial in range(6)] for one in (small, large)]
        apart.append([trial for trial, (a, b) in enumerate(zip(*both, strict=True)) if a != {key: b[key] for key in a}])
    assert all(not {0, 1, 2} & set(trials) for trials in apart)
    assert 0 < sum(map(len, apart)) < 0.2 * 600
    assert any(trials == [3] for trials in apart)


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
    rng = np.random.default_rng(0)
    drawn = [peak({name: float(rng.choice(values)) for name, values in WIDE.items()}) for _ in range(200)]
    assert np.mean([score for _, score in found[DRAWN:]]) > np.quantile(drawn, 0.75)
    assert all(settings["rate"] in WIDE["rate"] for settings, _ in found)


def test_the_same_scores_suggest_the_same_settings_after_a_kill() -> None:
    found = tried(DRAWN + 4)
    assert next_settings(WIDE, found, seeds) == next_settings(WIDE, list(found), seeds)
    assert tried(DRAWN + 4) == found


def test_a_trial_that_diverged_suggests_nothing() -> None:
    found = tried(DRAWN + 2, broken=3)
    assert len(found) == DRAWN + 2 and all(0 <= settings["decay"] <= 1 for settings, _ in found)
