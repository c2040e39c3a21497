"""Objectives by the names that a study file gives them (`scanprior.energy.objective_names`)."""

from __future__ import annotations

from scanprior.energy.langevin import Langevin
from scanprior.energy.objective_names import TEMPERED_CHAINS, read_objective
from scanprior.energy.objectives import CD, PCD, Objective
from scanprior.energy.tempering import Tempered


def objective_named(name: str, *, batch_size: int) -> Objective:
    """The objective called `name`; persistent chains are as many as rows of a mini-batch, tempered ones 32 per temperature.

    Raises:
        ValueError: no objective is called so.
    """
    kind, number, sampled = read_objective(name)
    match kind:
        case "cd":
            return CD(number, sample_visible=sampled)
        case "pcd":
            return PCD(number, chains=batch_size)
        case "pt":
            return Tempered(number, TEMPERED_CHAINS)
        case _:
            return Langevin(number, chains=batch_size)
