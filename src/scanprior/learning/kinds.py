"""How a prior of each kind is trained. One more kind: one case here, one name in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

from torch import LongTensor

from scanprior.errors import ScanpriorError
from scanprior.learning.convolutional_pretraining import (
    Places,
    pretrain_autoencoder,
    pretrain_machines,
    pretrain_placed,
)  # fmt: skip
from scanprior.learning.denoising import DENOISING
from scanprior.learning.patch_prior import Size
from scanprior.learning.pretraining import Pretrained, pretrain
from scanprior.learning.pretraining_loop import Gather
from scanprior.learning.shuffling import Shuffle


class Pretrainer(Protocol):
    """Trains a prior; the arguments are those of `learning.pretraining.pretrain`, and where each patch lies."""

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
        centered: bool,
        epochs: int,
        batch_size: int,
        learning_rate: float | None,
        sparsity: float | None,
        held_out: LongTensor | None,
        places: Places,
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
            return _stack
        case "shuffled":
            return _shuffled
        case "autoencoder":
            return _autoencoder
        case "conv":
            return _convolutional
        case "conv_placed":
            return _placed
        case "conv_autoencoder":
            return _convolutional_autoencoder
        case _:
            raise ScanpriorError(f"there is no way to train a prior of kind {kind!r}")


def _stack(gather: Gather, rows: int, *, places: Places, **options: Any) -> Pretrained:  # noqa: ARG001
    """Machines know a patch by its voxels alone."""
    return pretrain(gather, rows, **options)


def _shuffled(
    gather: Gather, rows: int, *, patch_size: Size, seeds: Callable[..., int], places: Places, **options: Any  # noqa: ARG001
) -> Pretrained:  # fmt: skip
    """The same stack on patches whose voxels changed places, standardised as the real ones are."""
    view = Shuffle(prod(patch_size), seeds("pretrain", "shuffle"))
    return pretrain(gather, rows, patch_size=patch_size, seeds=seeds, view=view, **options)


def _autoencoder(gather: Gather, rows: int, *, places: Places, **options: Any) -> Pretrained:  # noqa: ARG001
    """The same layers, trained to denoise, at a rate of their own: the study's is that of the machines."""
    changed: dict[str, Any] = {**options, "objective": DENOISING, "learning_rate": None, "sparsity": None}
    return pretrain(gather, rows, **changed)


def _convolutional(gather: Gather, rows: int, *, places: Places, **options: Any) -> Pretrained:  # noqa: ARG001
    """Convolutional machines; the network's layers and hidden kind are those of the `cnn` arm."""
    return pretrain_machines(gather, rows, **_without(options, "layers", "hidden", "sparsity"))


def _placed(gather: Gather, rows: int, *, places: Places, **options: Any) -> Pretrained:
    """The same machines, then taught to tell where a patch lies."""
    return pretrain_placed(gather, rows, places=places, **_without(options, "layers", "hidden", "sparsity"))


def _convolutional_autoencoder(gather: Gather, rows: int, *, places: Places, **options: Any) -> Pretrained:  # noqa: ARG001
    """The same layers, trained at once to denoise, at a rate of their own."""
    own = _without(options, "layers", "hidden", "objective", "centered", "learning_rate", "sparsity")
    return pretrain_autoencoder(gather, rows, **own)


def _without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
