"""Which settings an arm tries: its defaults, then every value in turn, and from the eleventh trial on what the earlier ones suggest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from scanprior.learning.arm import Settings, Space

DRAWN = 10  # trials before the scores of the earlier ones count, as in Optuna's own default
ASKED = 50  # times for settings that were not tried yet


def trial_settings(space: Space, trial: int, seeds: Callable[..., int]) -> Settings:
    """The settings of a trial: trial 0 takes the defaults, later ones go through every setting's values in a seeded order.

    No value returns before the others have had their turn (Latin hypercube: McKay, Beckman & Conover 1979). The order
    depends on the setting's name alone, so arms that share a setting try the same values; but for a trial that would repeat
    an earlier one of the same arm, which draws others, while there are any.
    """
    tried: list[Settings] = []
    for number in range(trial + 1):
        settings = {name: _in_turn(name, values, number, seeds) for name, values in space.items()}
        for again in range(ASKED if settings in tried else 0):
            settings = {
                name: values[
                    int(np.random.default_rng(seeds("setting", name, "again", number, again)).integers(len(values)))
                ]
                for name, values in space.items()
            }
            if settings not in tried:
                break
        tried.append(settings)
    return tried[trial]


def _in_turn(name: str, values: Sequence[float], trial: int, seeds: Callable[..., int]) -> float:
    turn, place = divmod(trial, len(values))
    rng = np.random.default_rng(seeds("setting", name, turn))
    order = rng.permutation(len(values)) if turn else [0, *1 + rng.permutation(len(values) - 1)]
    return values[int(order[place])]


def next_settings(space: Space, tried: Sequence[tuple[Settings, float]], seeds: Callable[..., int]) -> Settings:
    """The settings of the trial after those that were `tried` (settings and validation score, the higher the better).

    The first ten are `trial_settings`; later ones come from a tree-structured Parzen estimator (Bergstra et al. 2011), seeded
    by the trial, so that a study that was killed goes on with the same ones.
    """
    trial = len(tried)
    if trial < DRAWN:
        return trial_settings(space, trial, seeds)
    import optuna  # takes half a second, which studies with fewer trials are spared

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ordered = {name: sorted(values) for name, values in space.items()}
    allowed: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.IntDistribution(0, len(values) - 1) for name, values in ordered.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seeds("setting", "estimator", trial), n_startup_trials=DRAWN)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for settings, score in tried:
        if math.isfinite(score):
            places = {name: ordered[name].index(value) for name, value in settings.items()}
            study.add_trial(optuna.trial.create_trial(params=places, distributions=allowed, value=score))
    settings: Settings = {}
    for _ in range(ASKED):
        settings = {name: ordered[name][place] for name, place in study.ask(allowed).params.items()}
        if settings not in [one for one, _ in tried]:  # the same again would be the same fit
            break
    return settings
