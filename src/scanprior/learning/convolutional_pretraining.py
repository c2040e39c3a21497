"""Pretraining of convolutional priors: a stack of machines layer by layer, or an autoencoder as a whole.

The loop, its checkpoints and its promise are those of `learning.pretraining`: a run that was killed goes on where it was
and ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, LongTensor, Tensor
from typing_extensions import override

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import ConvolutionalStepper, safe_convolutional_rate
from scanprior.energy.convolutional_dbn import ConvolutionalDBN
from scanprior.energy.named import objective_named
from scanprior.energy.training import STATISTICS_ROWS, Standardiser
from scanprior.learning.convolutional_autoencoder import RATE, ConvolutionalAutoencoder, ConvolutionalDenoisingStepper
from scanprior.learning.convolutional_prior import ConvolutionalPrior, balance, convolutions_of, layers_of, machine
from scanprior.learning.kernels import WIDTH
from scanprior.learning.network import conv_layers, weights_of
from scanprior.learning.patch_prior import Size
from scanprior.learning.placing import Placer, PlacingStepper
from scanprior.learning.pretraining import GAP_ROWS, Pretrained, watched
from scanprior.learning.pretraining_loop import (
    CLIP,
    BlockTraining,
    EpochBlocks,
    Gather,
    Source,
    finite,
    fit,
    gathered,
    replace,
    some,
    training_rows,
)  # fmt: skip
from scanprior.learning.several_processes import several

AnyStepper = ConvolutionalStepper | ConvolutionalDenoisingStepper | PlacingStepper
Places = Callable[[LongTensor], Tensor]
HIDDEN = "rectified"  # as the network's; whatever the hidden kind of the study's dense priors
STANDARDISED_ROWS = 2000  # of a layer's maps, with hundreds of places each
FIRST_STD = 0.03


class Task(NamedTuple):
    """What both ways of training share."""

    gather: Gather
    patch_size: Size
    seeds: Callable[..., int]
    work: Path
    epochs: int
    batch_size: int
    kept: Tensor
    unseen: Tensor | None
    mean: Tensor
    std: Tensor
    log: Callable[..., None] | None
    progress: Callable[[int, int], None] | None
    accelerator: str
    devices: int

    @property
    def per_epoch(self) -> int:
        """Mini-batches per epoch."""
        return -(-len(self.kept) // self.batch_size)

    def inputs(self, rows: Tensor) -> Tensor:
        """Standardised, clipped maps (n, 1, *patch_size) of some rows."""
        patches = (finite(self.gather, rows) - self.mean) / self.std
        return patches.clamp_(-CLIP, CLIP).unflatten(1, (1, *self.patch_size))


@several
def pretrain_machines(
    gather: Gather, rows: int, *, patch_size: Size, seeds: Callable[..., int], work: Path, objective: str = "cd1",
    centered: bool = True, epochs: int = 15, batch_size: int = 100, learning_rate: float | None = None,
    held_out: LongTensor | None = None, log: Callable[..., None] | None = None,
    progress: Callable[[int, int], None] | None = None, accelerator: str = "cpu", devices: int = 1, width: int = WIDTH,
) -> Pretrained:  # fmt: skip
    """Train a stack of convolutional machines with the geometry of the `cnn` arm's network; see `pretrain`.

    The first machine is Gaussian on voxels standardised alike, the others Gaussian on activations standardised per map;
    hidden maps are noisy rectified, as the network's are without noise.
    """
    task = _task(
        gather, rows, patch_size=patch_size, seeds=seeds, work=work, epochs=epochs, batch_size=batch_size,
        held_out=held_out, log=log, progress=progress, accelerator=accelerator, devices=devices,
    )  # fmt: skip
    machines: list[ConvolutionalRBM] = []
    measured: dict[str, float] = {}
    plan = conv_layers(patch_size, width)
    for number, layer in enumerate(plan, start=1):
        rbm = machine(
            layer, "gaussian", HIDDEN, centered=centered, std=FIRST_STD, seed=seeds("pretrain", "weights", number)
        )
        file = work / f"layer-{number}.pt"
        if file.exists():
            saved = torch.load(file, weights_only=True)
            rbm.load_state_dict(saved["rbm"])
            measured |= saved["measured"]
        else:
            source, scaler = _maps_below(task, machines, number)
            started = source.at(task.kept[some(len(task.kept), STANDARDISED_ROWS, seeds("pretrain", "start", number))])
            channels = started.transpose(0, 1).flatten(1)
            rbm.start_from(channels.mean(1), channels.var(1, unbiased=False))
            chosen = objective_named(objective, batch_size=batch_size)
            rate = learning_rate
            if rate is None:
                seed = seeds("pretrain", "windows", number)
                rate = safe_convolutional_rate(rbm, started, batch_size=batch_size, sweeps=chosen.k, seed=seed)
            stepper = ConvolutionalStepper(
                rbm, chosen, steps=epochs * task.per_epoch, seed=seeds("pretrain", "chain", number), learning_rate=rate
            )
            steps = epochs * task.per_epoch
            last = _train(task, stepper, source, f"layer{number}", (number - 1) * steps, len(plan) * steps)
            rbm.cpu()
            if scaler is not None:
                rbm.fold(*scaler)
            replace(
                file, lambda part, rbm=rbm, last=last: torch.save({"rbm": rbm.state_dict(), "measured": last}, part)
            )
            (work / f"layer{number}.ckpt").unlink(missing_ok=True)
            measured |= last
        machines.append(rbm)
    return _finished(task, ConvolutionalDBN(machines), measured)


@several
def pretrain_autoencoder(
    gather: Gather, rows: int, *, patch_size: Size, seeds: Callable[..., int], work: Path, epochs: int = 15,
    batch_size: int = 100, held_out: LongTensor | None = None, log: Callable[..., None] | None = None,
    progress: Callable[[int, int], None] | None = None, accelerator: str = "cpu", devices: int = 1, width: int = WIDTH,
) -> Pretrained:  # fmt: skip
    """Train a convolutional denoising autoencoder whose encoder is the convolutional part of the `cnn` arm's network."""
    task = _task(
        gather, rows, patch_size=patch_size, seeds=seeds, work=work, epochs=epochs, batch_size=batch_size,
        held_out=held_out, log=log, progress=progress, accelerator=accelerator, devices=devices,
    )  # fmt: skip
    first = Generator().manual_seed(seeds("pretrain", "weights", 1))
    net = ConvolutionalAutoencoder(conv_layers(patch_size, width), first)
    file = work / "autoencoder.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        net.load_state_dict(saved["net"])
        return _finished(task, net, saved["measured"])
    stepper = ConvolutionalDenoisingStepper(
        net, steps=epochs * task.per_epoch, seed=seeds("pretrain", "chain", 1), learning_rate=RATE
    )
    measured = _train(task, stepper, Source(task.inputs), "autoencoder", 0, stepper.steps)
    net.cpu()
    replace(file, lambda part: torch.save({"net": net.state_dict(), "measured": measured}, part))
    (work / "autoencoder.ckpt").unlink(missing_ok=True)
    return _finished(task, net, measured)


@several
def pretrain_placed(
    gather: Gather, rows: int, *, places: Places, patch_size: Size, seeds: Callable[..., int], work: Path,
    objective: str = "cd1", centered: bool = True, epochs: int = 15, batch_size: int = 100,
    learning_rate: float | None = None, held_out: LongTensor | None = None, log: Callable[..., None] | None = None,
    progress: Callable[[int, int], None] | None = None, accelerator: str = "cpu", devices: int = 1, width: int = WIDTH,
    machine_epochs: int | None = None,
) -> Pretrained:  # fmt: skip
    """Train the stack of `pretrain_machines`; then its upward pass learns to tell where in its scan a patch lies.

    The patches whose place is known are learned from as often as it takes to make as many mini-batches as each machine had.

    Args:
        places: of row numbers, (n, 3): millimetres from the middle of the scan; not a number for patches that don't teach it.
        width: kernels of the first layer; twice and four times as many in the next two.
        machine_epochs: of the machines; none: `epochs`; 0 leaves them at their random start, to see what they add.

    Raises:
        ValueError: fewer than two places are known.
    """
    stack = pretrain_machines(
        gather, rows, patch_size=patch_size, seeds=seeds, work=work, objective=objective, centered=centered,
        epochs=epochs if machine_epochs is None else machine_epochs,
        batch_size=batch_size, learning_rate=learning_rate, held_out=held_out, log=log,
        progress=None if progress is None else lambda done, total: progress(3 * done, 4 * total),
        accelerator=accelerator, devices=devices, width=width,
    )  # fmt: skip
    prior = stack.prior
    if not isinstance(prior, ConvolutionalPrior):
        raise TypeError("a stack of convolutional machines was expected")
    task = _task(
        gather, rows, patch_size=patch_size, seeds=seeds, work=work, epochs=epochs, batch_size=batch_size,
        held_out=held_out, log=log, progress=progress, accelerator=accelerator, devices=devices,
    )  # fmt: skip
    net = Placer(prior.layers, prior.convolutions(), Generator().manual_seed(seeds("pretrain", "weights", "place")))
    file = work / "placed.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        net.load_state_dict(saved["net"])
        measured = saved["measured"]
    else:
        before = len(prior.layers) * epochs * task.per_epoch
        task = _with_places(task, places)
        known = Standardiser.of(places(task.kept))  # pyright: ignore[reportArgumentType]

        def with_place(chosen: Tensor) -> Tensor:
            return torch.cat([task.inputs(chosen).flatten(1), known(places(chosen))], 1)  # pyright: ignore[reportArgumentType]

        steps = task.epochs * task.per_epoch
        stepper = PlacingStepper(net, size=patch_size, steps=steps, seed=seeds("pretrain", "altered", "place"))
        measured = _train(task, stepper, Source(with_place), "place", before, before + steps)
        measured["place/patches"] = float(len(task.kept))
        net.cpu()
        replace(file, lambda part: torch.save({"net": net.state_dict(), "measured": measured}, part))
        (work / "place.ckpt").unlink(missing_ok=True)
    placed = ConvolutionalPrior(prior.net, mean=prior.mean, std=prior.std, patch_size=patch_size, up=weights_of(net.up))
    return Pretrained(placed.eval(), {**stack.measured, **measured})


class Training(BlockTraining[AnyStepper]):
    """One training, watched by a `sample` of its inputs and the error on `unseen` ones."""

    def __init__(
        self, stepper: AnyStepper, source: Source, *, sample: Tensor, unseen: Tensor | None, per_epoch: int,
        tell: Callable[[dict[str, float], int], None],
    ) -> None:  # fmt: skip
        super().__init__(stepper, source, per_epoch=per_epoch, tell=tell)
        self._sample, self._unseen = sample, unseen

    @torch.no_grad()
    @override
    def epoch_metrics(self) -> tuple[dict[str, float], dict[str, float]]:
        metrics, histogram = dict[str, float](), dict[str, float]()
        if isinstance(self.stepper, ConvolutionalStepper):
            metrics, histogram = watched(self.stepper.rbm, self._sample.to(self.device))
        if self._unseen is not None:
            metrics["unseen_reconstruction"] = float(self.stepper.error(self._unseen.to(self.device)))
        return metrics, histogram


def _with_places(task: Task, places: Places) -> Task:
    """The task with those rows only whose place is known, in as many epochs as make about as many mini-batches."""

    def known(rows: Tensor) -> Tensor:
        return rows[places(rows).isfinite().all(1)]  # pyright: ignore[reportArgumentType]

    kept = known(task.kept)
    if len(kept) < 2:
        raise ValueError(
            f"no more than {len(kept)} of {len(task.kept)} patches lie wholly inside their scan, so that place can't be "
            "learned; take smaller patches, or an arm that needs no place"
        )
    unseen = None if task.unseen is None else known(task.unseen)
    taught = task._replace(kept=kept, unseen=unseen if unseen is not None and len(unseen) else None)
    return taught._replace(epochs=max(1, round(task.epochs * task.per_epoch / taught.per_epoch)))


def _train(
    task: Task, stepper: AnyStepper, source: Source, name: str, before: int, total: int
) -> dict[str, float]:  # fmt: skip
    """Run one training under Lightning, `before` mini-batches into `total`; returns the last metrics under their names."""
    unseen = None if task.unseen is None else source.at(task.unseen)
    sample = source.at(task.kept[some(len(task.kept), GAP_ROWS, task.seeds("pretrain", "monitor"))])

    def tell(values: dict[str, float], step: int) -> None:
        if task.log is not None:
            task.log({f"{name}/{key}": value for key, value in values.items()}, step=before + step)
        if task.progress is not None:
            task.progress(before + step, total)

    module = Training(stepper, source, sample=sample, unseen=unseen, per_epoch=task.per_epoch, tell=tell)
    order = EpochBlocks(task.kept, task.batch_size, task.seeds("pretrain", "order", name))
    fit(module, order, task.epochs, task.work / f"{name}.ckpt", task.accelerator, task.devices)
    return {f"{name}/{key}": value for key, value in module.last.items()}


def _task(
    gather: Gather, rows: int, *, patch_size: Size, seeds: Callable[..., int], work: Path, epochs: int, batch_size: int,
    held_out: LongTensor | None, log: Callable[..., None] | None, progress: Callable[[int, int], None] | None,
    accelerator: str, devices: int,
) -> Task:  # fmt: skip
    work.mkdir(parents=True, exist_ok=True)
    kept = training_rows(rows, held_out)
    unseen = None if held_out is None else held_out[some(len(held_out), GAP_ROWS, seeds("pretrain", "held out"))]
    chosen = kept[some(len(kept), STATISTICS_ROWS, seeds("pretrain", "normaliser"))]
    mean, std = Standardiser.of(gathered(gather, chosen).view(-1, 1))
    return Task(
        gather, patch_size, seeds, work, epochs, batch_size, kept, unseen, mean, std, log, progress, accelerator,
        devices,
    )  # fmt: skip


def _maps_below(task: Task, machines: list[ConvolutionalRBM], number: int) -> tuple[Source, Standardiser | None]:
    """What layer `number` learns from, and the standardiser of its maps when there is one.

    The maps below are computed anew for every mini-batch: that takes a tenth of a step, keeping them half a gigabyte.
    """
    if not machines:
        return Source(task.inputs), None
    below = ConvolutionalDBN(machines)

    @torch.no_grad()
    def encode(rows: Tensor) -> Tensor:
        return below.encode(task.inputs(rows))

    chosen = task.kept[some(len(task.kept), STANDARDISED_ROWS, task.seeds("pretrain", "maps", number))]
    scaler = Standardiser.of(encode(chosen).transpose(0, 1).flatten(1).t())
    shape = (1, -1, *[1] * len(task.patch_size))

    def standardised(rows: Tensor) -> Tensor:
        return encode(rows).sub_(scaler.mean.view(shape)).div_(scaler.std.view(shape)).clamp_(-CLIP, CLIP)

    return Source(standardised), scaler


def _finished(task: Task, net: ConvolutionalDBN | ConvolutionalAutoencoder, measured: dict[str, float]) -> Pretrained:
    chosen = task.kept[some(len(task.kept), STANDARDISED_ROWS, task.seeds("pretrain", "balance"))]
    up = balance(convolutions_of(net), layers_of(net), task.inputs(chosen))
    prior = ConvolutionalPrior(net, mean=task.mean, std=task.std, patch_size=task.patch_size, up=up)
    return Pretrained(prior.eval(), measured)
