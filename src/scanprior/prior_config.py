"""The study file's section on the prior, and the other ways to train it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scanprior.energy import objective_names
from scanprior.learning.catalogue import Hidden
from scanprior.section import Section


class Way(Section):
    """Another way to train the prior: what is left out is as in `prior`."""

    objective: str | None = None
    centered: bool | None = None
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    sparsity: float | None = Field(None, gt=0, lt=0.5)


class PriorConfig(Section):
    """The stack of restricted Boltzmann machines."""

    layers: tuple[int, ...] = Field((600, 300), min_length=1, description="hidden units per layer")
    hidden: Hidden = Field("rectified", description="rectified: noisy rectified linear units (Nair & Hinton 2010)")
    objective: str = Field(
        "cd1",
        json_schema_extra={"pattern": objective_names.PATTERN},
        description="cd1, cd5 …; cd5-sampled: with drawn reconstructions; of Bernoulli hidden units also pcd1 …: persistent "
        "chains, pt10: parallel tempering at 10 temperatures, and, of one layer, langevin10: Gibbs-Langevin steps",
    )
    centered: bool = Field(
        True, description="machines subtract their units' mean activations (Melchior, Fischer & Wiskott 2016)"
    )
    epochs: int = Field(15, ge=1)
    batch_size: int = Field(100, ge=1)
    learning_rate: float | None = Field(None, gt=0, description="none: the default of the unit type")
    sparsity: float | None = Field(
        None, gt=0, lt=0.5,
        description="share of the patches that a Bernoulli hidden unit is to be on for, e.g. 0.07; none: as it comes, about a half",
    )  # fmt: skip
    scope: Literal["disjoint", "inductive", "transductive"] = Field(
        "disjoint", description="whose scans the prior sees: unlabelled patients only; and the training patients; all"
    )

    ways: tuple[Way, ...] = Field(
        (),
        max_length=9,
        description="other ways to train it, e.g. [{epochs: 30}, {objective: cd5-sampled}] (also centered, batch_size, "
        "learning_rate, sparsity); which one an arm starts from is one more setting that its trials choose",
    )

    @model_validator(mode="after")
    def _known(self) -> PriorConfig:
        for number, objective in enumerate([self.objective, *(way.objective for way in self.ways)]):
            try:
                objective_names.read_objective(objective or self.objective)
            except ValueError as error:
                raise ValueError(f"{f'ways, number {number}, ' if number else ''}objective: {error}") from None
        return self

    def refusals(self, hidden: Hidden) -> dict[str, str]:
        """Why machines with these hidden units can't be trained so, by field."""
        reasons: dict[str, str] = {}
        reason = objective_names.refusal(self.objective, hidden, len(self.layers))
        if reason is not None:
            reasons["objective"] = reason
        if self.sparsity is not None and hidden != "bernoulli":
            reasons["sparsity"] = (
                f"only Bernoulli hidden units are on or off, these are {hidden}: leave it out, or use Bernoulli hidden units"
            )
        return reasons

    def way(self, number: int) -> PriorConfig:
        """The settings of a way: 0 is the prior as it stands, 1 the first of `ways`, …"""
        if number == 0:
            return self
        return self.model_copy(update=self.ways[number - 1].model_dump(exclude_none=True))
