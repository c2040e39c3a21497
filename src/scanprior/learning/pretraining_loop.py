"""What every pretraining under Lightning shares: the order of the rows, checkpoints that a kill can't spoil, the trainer.

Lightning drives blocks of mini-batches, since one mini-batch per call would cost a fifth of the time.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.apply_func import move_data_to_device
from pytorch_lightning.strategies import DDPStrategy
from torch import Generator, LongTensor, Tensor, distributed
from typing_extensions import override

from scanprior.energy.replicas import average_, replicas, share
from scanprior.energy.step import Stats
from scanprior.energy.training import BATCHES_PER_BLOCK, blocks

CLIP = 5.0  # standard deviations; a single bright vessel must not move the weights of a whole layer
SECONDS_BETWEEN_CHECKPOINTS = 10.0  # a kill costs at most these; a checkpoint, some hundredths of one

CHUNK = 2000  # patches that are gathered or encoded at a time
REPLICAS = "replicas"  # in a checkpoint: the states of all processes

Gather = Callable[[LongTensor], Tensor]  # the rows are a copy, which the caller may change


class EpochBlocks:
    """Blocks of row numbers (mini-batches, batch), shuffled by (seed, epoch); the state is two numbers."""

    def __init__(self, rows: Tensor, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.epoch, self.place = 0, 0
        self._count = len(blocks(rows, batch_size, BATCHES_PER_BLOCK))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Tensor]:
        # An epoch starts here, not after the last block: Lightning never asks a sized iterator for more than it has.
        if self.place >= len(self):
            self.epoch, self.place = self.epoch + 1, 0
        generator = Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        order = self.rows[torch.randperm(len(self.rows), generator=generator)]
        cut = blocks(order, self.batch_size, BATCHES_PER_BLOCK)
        while self.place < len(self):
            self.place += 1  # before the yield, so that a checkpoint taken after the block points to the next one
            yield cut[self.place - 1]

    def state_dict(self) -> dict[str, int]:
        """Epoch and place in it; Lightning keeps it in its checkpoint."""
        return {"epoch": self.epoch, "place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from `state`."""
        self.epoch, self.place = state["epoch"], state["place"]


class Source:
    """What a layer learns from, by row number: gathered when asked for, or kept in memory (n x hidden floats)."""

    def __init__(self, gather: Callable[[Tensor], Tensor]) -> None:
        self._gather = gather

    def at(self, rows: Tensor) -> Tensor:
        """Inputs (n, width) of the row numbers `rows` (n,)."""
        return self._gather(rows)


class Steps(Protocol):
    """A stepper: the one place that writes parameters, with all that its next step depends on as its state."""

    step: int
    steps: int
    learning_rate: float

    def block(self, data: Iterable[Tensor], /) -> Stats:
        """Train on mini-batches, one update each."""
        ...  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Go on from `state_dict`."""
        ...


S = TypeVar("S", bound=Steps)


class BlockTraining(pl.LightningModule, Generic[S]):
    """One training: each Lightning step is a block of mini-batches of `source`.

    Args:
        stepper: a module that keeps `Steps`.
        source: gives the rows whose numbers the loader names, (mini-batches, batch); none: the loader gives the mini-batches
            themselves, tensors (batch, visible), to each of several processes its own. Whoever drives several
            processes does so within `energy.replicas.together`, with DDPStrategy(broadcast_buffers=False).
        tell: called with metrics and the number of mini-batches so far.
    """

    def __init__(
        self, stepper: S, source: Source | None, *, per_epoch: int, tell: Callable[[dict[str, float], int], None]
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.stepper = stepper
        self.per_epoch, self.tell = per_epoch, tell
        self.last: dict[str, float] = {"learning_rate": stepper.learning_rate}
        self._source = source
        self._own: dict[str, Any] | None = None

    def epoch_metrics(self) -> tuple[dict[str, float], dict[str, float]]:
        """What is measured at the end of an epoch; second, what is told then but is too long for the prior's card."""
        return {}, {}

    def end_metrics(self) -> tuple[dict[str, float], dict[str, float]]:
        """What is measured once, at the end; second, what is too long for the prior's card."""
        return {}, {}

    @override
    def get_extra_state(self) -> dict[str, float]:
        return self.last

    @override
    def set_extra_state(self, state: dict[str, float]) -> None:
        self.last = state

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)  # writes nothing: without one, Lightning counts no steps

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Train on one batch of the loader."""
        source = self._source
        if source is None:
            stats = self.stepper.block([batch])
        else:  # one mini-batch at a time: it is gathered, standardised and used while it is still in the cache
            stats = self.stepper.block(source.at(share(rows)).to(self.device) for rows in batch.cpu())
        average_(*stats)
        self.optimizers().step()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        values = {"reconstruction": float(stats.reconstruction), "activation": float(stats.activation)}
        metrics, distributions = self.epoch_metrics() if self.stepper.step % self.per_epoch == 0 else ({}, {})
        values |= metrics
        self.last |= values
        if self.stepper.step == self.stepper.steps:
            metrics, curves = self.end_metrics()
            self.last |= metrics
            distributions |= curves
        if self.trainer.is_global_zero:
            self.tell(values | distributions, self.stepper.step)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Beside the first process's state, which Lightning saves, those of all: generators and chains are their own."""
        _, size = replicas()
        if size > 1:
            checkpoint[REPLICAS] = [None] * size
            own = move_data_to_device(self.stepper.state_dict(), torch.device("cpu"))
            distributed.all_gather_object(checkpoint[REPLICAS], own)

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        place, size = replicas()
        states = checkpoint.get(REPLICAS, [None])
        if len(states) != size:
            raise ValueError(
                f"the training was begun by {len(states)} process{'es' if len(states) > 1 else ''} and can't be continued "
                f"by {size}: go on with as many, or remove its checkpoint and begin anew"
            )
        self._own = states[place]

    @override
    def on_train_start(self) -> None:
        if self._own is not None:  # only now: until here the processes' tensors were made those of the first
            self.stepper.load_state_dict(self._own)
            self._own = None


def finite(gather: Gather, rows: Tensor) -> Tensor:
    """The patches `rows`, or a sentence that says which of them is broken."""
    patches = gather(rows)  # pyright: ignore[reportArgumentType]
    if not bool(torch.isfinite(patches.sum())):
        bad = (~torch.isfinite(patches)).any(1).nonzero().flatten()
        if len(bad):
            raise ValueError(
                f"patch {int(rows[bad[0]])} holds a value that is not finite; {len(bad)} of {len(rows)} do"
            )
    return patches


def gathered(gather: Gather, rows: Tensor) -> Tensor:
    """The patches `rows` (n,) one chunk after the other, so that beside them there is never more than a chunk."""
    patches: Tensor | None = None
    for place, chunk in enumerate(rows.split(CHUNK)):
        part = finite(gather, chunk)
        if patches is None:
            patches = part.new_empty(len(rows), part.shape[1])
        patches[place * CHUNK : place * CHUNK + len(part)] = part
    if patches is None:
        raise ValueError("there are no patches to gather")
    return patches


def training_rows(rows: int, held_out: Tensor | None) -> Tensor:
    """The row numbers that are not held out; refuses fewer than two."""
    mask = torch.ones(rows, dtype=torch.bool)
    if held_out is not None:
        mask[held_out] = False
    kept = mask.nonzero().flatten()
    if len(kept) < 2:
        raise ValueError(f"a prior needs at least two patches to train on; there are {len(kept)}")
    return kept


def some(n: int, most: int, seed: int) -> Tensor:
    """At most `most` of `n` places, drawn without repetition, in rising order."""
    return torch.randperm(n, generator=Generator().manual_seed(seed))[:most].sort().values


class _Checkpoint(pl.Callback):
    """Saves under one fixed name, whole or not at all, now and then."""

    def __init__(self, file: Path) -> None:
        self._file, self._saved = file, time.monotonic()

    @override
    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        due = time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS
        if trainer.strategy.broadcast(due):  # all processes save together, by the clock of the first
            replace(self._file, trainer.save_checkpoint)
            self._saved = time.monotonic()


def fit(
    module: pl.LightningModule, order: EpochBlocks, epochs: int, file: Path, accelerator: str, devices: int = 1
) -> None:  # fmt: skip
    """Train `module` on the blocks of `order`, from the checkpoint `file` on when it is there.

    Args:
        devices: processes of this machine that share every mini-batch, see `several_processes.several`.
    """
    # Without torch's exchange of buffers: chains are each process's own, and the step averages what has to be the same.
    strategy = "auto" if devices == 1 else DDPStrategy(broadcast_buffers=False)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # its banners and device notices
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*srun.*")
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator=accelerator, devices=devices, strategy=strategy, logger=False, callbacks=[_Checkpoint(file)],
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0,
            use_distributed_sampler=False, plugins=[LightningEnvironment()], default_root_dir=file.parent,
        )  # fmt: skip
        trainer.fit(module, order, ckpt_path=str(file) if file.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt


def replace(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file, which appears whole or not at all; of several processes the first one's is kept."""
    place, _ = replicas()
    part = file.with_name(f".{file.name}.part{place or ''}")
    write(part)
    if place == 0:
        part.replace(file)
    else:
        part.unlink(missing_ok=True)
