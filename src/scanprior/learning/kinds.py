"""How a prior of each kind is trained. One more kind: one case here, one name in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

from torch import LongTensor

from scanprior.errors import ScanpriorError
from scanprior.learning.denoising import DENOISING
from scanprior.learning.patch_prior import Size
from scanprior.learning.pretraining import Gather, Pretrained, pretrain
from scanprior.learning.shuffling import Shuffle


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
            return pretrain
        case "shuffled":
            return _shuffled
        case "autoencoder":
            return _autoencoder
        case _:
            raise ScanpriorError(f"there is no way to train a prior of kind {kind!r}")


def _shuffled(gather: Gather, rows: int, *, patch_size: Size, seeds: Callable[..., int], **options: Any) -> Pretrained:
    """The same stack on patches whose voxels changed places, standardised as the real ones are."""
    view = Shuffle(prod(patch_size), seeds("pretrain", "shuffle"))
    return pretrain(gather, rows, patch_size=patch_size, seeds=seeds, view=view, **options)


def _autoencoder(gather: Gather, rows: int, **options: Any) -> Pretrained:
    """The same layers, trained to denoise, at a rate of their own: the study's is that of the machines."""
    changed: dict[str, Any] = {**options, "objective": DENOISING, "learning_rate": None}
    return pretrain(gather, rows, **changed)
