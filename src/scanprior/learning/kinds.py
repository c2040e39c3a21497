"""How a prior of each kind is trained. One more kind: one case here, one name in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import LongTensor

from scanprior.errors import ScanpriorError
from scanprior.learning.patch_prior import Size
from scanprior.learning.pretraining import Gather, Pretrained


class Pretrainer(Protocol):
    """Trains a prior; the arguments are those of `learning.pretraining.pretrain`."""

    def __call__(
        self,
        gather: Gather,
        rows: int,
        *,
        patch_size: Size,
        seeds: Callable[..., int],
        work: Path,
        layers: Sequence[int],
        hidden: str,
        objective: str,
        epochs: int,
        batch_size: int,
        learning_rate: float | None,
        held_out: LongTensor | None,
        log: Callable[..., None],
        progress: Callable[[int, int], None],
        accelerator: str,
    ) -> Pretrained:
        """Goes on from `work` after a kill and ends with the same bits."""
        ...  # fmt: skip


def pretrainer(kind: str) -> Pretrainer:
    """The function that trains priors of a kind.

    Raises:
        ScanpriorError: there is no such kind.
    """
    match kind:
        case "rectified" | "bernoulli":
            from scanprior.learning.pretraining import pretrain

            return pretrain
        case _:
            raise ScanpriorError(f"there is no way to train a prior of kind {kind!r}")
