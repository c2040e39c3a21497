"""Which arms and which kinds of prior there are: what each starts from, what it is compared with, which tasks it serves.

No library is imported here, so that whoever reads a study file learns this without loading one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

Hidden = Literal["rectified", "bernoulli"]
# A stack of machines of one hidden kind; the same on patches whose voxels were shuffled; a denoising autoencoder; a stack
# of convolutional machines, the same taught to tell a patch's place, and a convolutional denoising autoencoder.
PriorKind = Literal["rectified", "bernoulli", "shuffled", "autoencoder", "conv", "conv_placed", "conv_autoencoder"]
TaskKind = Literal["patient", "voxel"]
ArmName = Literal["dbn", "scratch", "mlp", "cnn", "logistic", "pca_logistic",
                  "dbn_rectified", "dbn_bernoulli", "scratch_rectified", "scratch_bernoulli",
                  "autoencoder", "shuffled_prior", "moments", "random_features", "covariates", "position_only",
                  "conv_dbn", "conv_dbn_placed", "conv_autoencoder"]  # fmt: skip
CONVOLUTIONAL: tuple[PriorKind, ...] = (
    "conv",
    "conv_placed",
    "conv_autoencoder",
)  # rectified, whatever the study's own
MACHINES: tuple[PriorKind, ...] = ("rectified", "bernoulli", "shuffled", "conv", "conv_placed")  # not autoencoders
CanaryName = Literal["permuted", "planted", "border"]
HIDDEN: tuple[Hidden, ...] = get_args(Hidden)
ARMS: tuple[ArmName, ...] = get_args(ArmName)


class Entry(NamedTuple):
    """One arm."""

    prior: PriorKind | Literal["own"] | None = None  # own: of the study's hidden kind
    partner: ArmName | None = None  # the same network without the prior
    tasks: tuple[TaskKind, ...] = ("patient", "voxel")
    control: bool = False  # shows what else could explain a gain; never the primary comparison
    network: bool = True  # loads torch


CATALOGUE: dict[ArmName, Entry] = {
    "dbn": Entry(prior="own", partner="scratch"),
    "scratch": Entry(),
    "mlp": Entry(),
    "cnn": Entry(),
    "logistic": Entry(network=False),
    "pca_logistic": Entry(network=False),
    "dbn_rectified": Entry(prior="rectified", partner="scratch_rectified"),
    "dbn_bernoulli": Entry(prior="bernoulli", partner="scratch_bernoulli"),
    "scratch_rectified": Entry(),
    "scratch_bernoulli": Entry(),
    "autoencoder": Entry(prior="autoencoder", partner="scratch"),
    "shuffled_prior": Entry(prior="shuffled", partner="scratch", control=True),
    "moments": Entry(prior="own", partner="scratch", control=True),
    "random_features": Entry(control=True, network=False),
    "covariates": Entry(tasks=("patient",), control=True, network=False),
    "position_only": Entry(tasks=("voxel",), control=True, network=False),
    "conv_dbn": Entry(prior="conv", partner="cnn"),
    "conv_dbn_placed": Entry(prior="conv_placed", partner="cnn"),
    "conv_autoencoder": Entry(prior="conv_autoencoder", partner="cnn"),
}


# Runs whose right answer is known, each through the training of an arm that is quick and can learn its answer by heart.
CANARIES: dict[CanaryName, tuple[ArmName, tuple[TaskKind, ...]]] = {
    "permuted": ("logistic", ("patient", "voxel")),
    "planted": ("logistic", ("patient", "voxel")),
    "border": ("covariates", ("patient",)),
}
CANARY = "canary_"  # job names of the stage train: canary_permuted, …


def canary_of(arm: str) -> CanaryName | None:
    """The canary that a job of the stage train runs, none for an arm."""
    return next((name for name in CANARIES if arm == CANARY + name), None)


def stem(arm: str) -> str:
    """The arm without the hidden kind at its end: scratch of scratch_bernoulli."""
    name, _, kind = arm.rpartition("_")
    return name if kind in HIDDEN else arm


def hidden_of(arm: str, own: Hidden) -> Hidden:
    """The hidden kind of an arm's network: its suffix, or the study's `own`."""
    if arm.endswith("_bernoulli"):
        return "bernoulli"
    return "rectified" if arm.endswith("_rectified") else own


def hidden_of_prior(kind: PriorKind, own: Hidden) -> Hidden:
    """The hidden kind of the networks that a prior starts."""
    return kind if kind == "rectified" or kind == "bernoulli" else own


def hidden_of_machines(kind: PriorKind, own: Hidden) -> Hidden:
    """The hidden kind of the machines that `prior.objective` trains for a prior."""
    return "rectified" if kind in CONVOLUTIONAL else hidden_of_prior(kind, own)


def prior_of(arm: ArmName, own: Hidden) -> PriorKind | None:
    """The kind of prior that an arm reads, none for most."""
    kind = CATALOGUE[arm].prior
    return own if kind == "own" else kind


def partner_of(arm: ArmName, arms: Sequence[ArmName], own: Hidden) -> ArmName | None:
    """What an arm with a prior is compared with: its partner, or another name of the same network among `arms`."""
    partner = CATALOGUE[arm].partner
    if partner is None or partner in arms:
        return partner
    hidden = hidden_of(arm, own)
    for one in arms:
        if stem(one) == stem(partner) and hidden_of(one, own) == hidden:
            return one
    return partner
