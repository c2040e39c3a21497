"""What an arm is: one way to learn from labels, behind one Protocol that one contract-test suite runs over."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from scanprior.errors import ScanpriorError
from scanprior.learning.bags import Bags
from scanprior.learning.kernels import WIDTH
from scanprior.patches.store import PatchStore, Size

if TYPE_CHECKING:
    from torch import nn

Settings = dict[str, float]
Space = Mapping[str, Sequence[float]]  # setting → allowed values, the default first
State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Setup:
    """What all arms of a study are given before they see data."""

    classes: int
    patch_size: Size
    layers: tuple[int, ...] = (600, 300)  # hidden units of the prior's network and of those compared with it
    hidden: str = "rectified"  # or bernoulli
    prior: nn.Module | None = None  # a learning.prior.Prior, for the arms that start from one
    pooled: bool = False  # patient task: features and logits are pooled per patient
    accelerator: str = "cpu"
    width: int = WIDTH  # kernels of the first layer of the convolutional network; a prior brings its own


class Epoch(NamedTuple):
    """One row of the history."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_score: float


class Predictor(Protocol):
    """A fitted arm."""

    def bag_logits(self, bags: Bags) -> np.ndarray:
        """Log-odds of the classes, float (bags, classes); their softmax are the probabilities."""
        ...

    def dense_logits(self, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
        """Log-odds for the voxels `centres` (n, 3) of scan `row`: (n, classes); equal to those of the patches there."""
        ...

    def state(self) -> State:
        """All that was learned, as arrays from which the arm's `restore` makes the predictor again."""
        ...


class Fit(NamedTuple):
    """A predictor, its validation score (higher is better) and how training went."""

    predictor: Predictor
    score: float
    history: list[Epoch]


class Arm(Protocol):
    """One way to learn from labels; frozen, so that it can be fitted any number of times."""

    @property
    def space(self) -> Space:
        """What may be tuned."""
        ...

    def fit(
        self,
        train: Bags,
        valid: Bags,
        seed: int,
        *,
        settings: Settings,
        checkpoint: Path | None = None,
        log: Callable[[Epoch], None] | None = None,
    ) -> Fit:
        """Learn from `train`, choose the epoch by `valid`; goes on from `checkpoint` when that file is there.

        Raises:
            OneClass: the training bags hold one class only.
        """
        ...  # fmt: skip

    def restore(self, state: State) -> Predictor:
        """The predictor that `state` came from, to the bit."""
        ...


class OneClass(ScanpriorError):  # noqa: N818 - it is said as it is
    """Training data from which nothing can be told apart."""


def check_classes(train: Bags) -> None:
    """Refuse training data of one class."""
    found = np.unique(train.targets)
    if len(found) < 2:
        raise OneClass(
            f"the training data hold one class only ({len(train.targets)} bags of class {found.tolist()})",
            hint="raise evaluation.budgets, or check the labels",
        )


def merit(score: float, loss: float) -> tuple[float, float]:
    """What a trial or an epoch is chosen by: validation score, then loss; what diverged comes last (nothing exceeds a NaN)."""
    return score if math.isfinite(score) else -math.inf, -loss if math.isfinite(loss) else -math.inf


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities over the last axis, float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def validation(logits: np.ndarray, targets: np.ndarray, *, pooled: bool) -> tuple[float, float]:
    """Loss and score (higher is better) on validation bags.

    The loss is the mean log-loss. The score of a patient task is minus that loss: a handful of patients is too few for a
    rate. The score of a voxel task is the balanced patch accuracy, which moves as the Dice overlap does.
    """
    log_probabilities = log_softmax(logits)
    loss = float(-log_probabilities[np.arange(len(targets)), targets].mean())
    if pooled:
        return loss, -loss
    guesses = log_probabilities.argmax(axis=1)
    recalls = [float((guesses[targets == index] == index).mean()) for index in np.unique(targets)]
    return loss, float(np.mean(recalls))


def judged(
    predictor: Predictor, train_logits: np.ndarray, train: Bags, valid: Bags, *, pooled: bool,
    log: Callable[[Epoch], None] | None,
) -> Fit:  # fmt: skip
    """A predictor that was fitted at once, with the one row of history that it has."""
    train_loss, _ = validation(train_logits, train.targets, pooled=pooled)
    loss, score = validation(predictor.bag_logits(valid), valid.targets, pooled=pooled)
    row = Epoch(0, train_loss, loss, score)
    if log is not None:
        log(row)
    return Fit(predictor, score, [row])
