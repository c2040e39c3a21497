"""Pretraining: a stack of machines or of denoising autoencoders, layer by layer, under Lightning, that a kill can't undo.

Lightning drives blocks of mini-batches (one mini-batch per call would cost a fifth of the time); a stepper alone
(`energy.step`, or `learning.denoising`) writes parameters. Everything that the next step depends on is in the
checkpoint: weights, velocities, chains, step count, generator, place in the epoch. So a run that was killed goes on
where it was and ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace as changed
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, LongTensor, Tensor
from typing_extensions import override

from scanprior.energy import diagnostics
from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.dbn import DBN, needs_standardiser, visible_above
from scanprior.energy.named import objective_named
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper, safe_learning_rate, schedule_of
from scanprior.energy.training import STATISTICS_ROWS, Standardiser
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU, Units
from scanprior.learning.denoising import DENOISING, RATE, DenoisingStepper
from scanprior.learning.patch_prior import PatchPrior, Size
from scanprior.learning.pretraining_loop import (
    CHUNK,
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
from scanprior.learning.prior import Prior
from scanprior.learning.several_processes import several

HIDDEN: dict[str, type[Units]] = {"bernoulli": Bernoulli, "rectified": ReLU}
GAP_ROWS = 1000
SPARSITY_PULL = 0.3  # of a hidden bias per update and unit of surplus activation, whatever the learning rate
BINS = 20  # of the histogram of hidden activations
CHAINS, SWEEPS = 50, 40  # how fast Gibbs chains forget is measured once per layer, at its end

View = Callable[[Tensor, Tensor], Tensor]  # row numbers (n,) and standardised patches (n, visible) to what is learned


class Pretrained(NamedTuple):
    """A prior and how its training went."""

    prior: PatchPrior
    measured: dict[str, float]
    """last value of every metric, e.g. layer1/reconstruction"""


@several
def pretrain(
    gather: Gather,
    rows: int,
    *,
    patch_size: Size,
    seeds: Callable[..., int],
    work: Path,
    layers: Sequence[int] = (600, 300),
    hidden: str = "rectified",
    objective: str = "cd1",
    centered: bool = True,
    epochs: int = 15,
    batch_size: int = 100,
    learning_rate: float | None = None,
    sparsity: float | None = None,
    held_out: LongTensor | None = None,
    log: Callable[..., None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    accelerator: str = "cpu",
    devices: int = 1,
    view: View | None = None,
) -> Pretrained:
    """Train a prior on the patches `gather(row numbers) -> (n, visible)` for row numbers below `rows`.

    The first layer is Gaussian on standardised voxels. Above rectified units the next machine is Gaussian as well, on
    standardised activations; the standardiser is then folded into it, so that the stack is one network on raw patches.

    Args:
        seeds: a named hash, `seeds("pretrain", "layer", 1) -> int`.
        work: folder for checkpoints; a second call with the same arguments goes on from there.
        held_out: row numbers that are not trained on, for the free-energy gap and the reconstruction of unseen patches.
        objective: cd1, pcd1, … for machines (`energy.objective_names`); denoising for a stack of denoising autoencoders.
        centered: whether machines subtract their units' mean activations (`RBM`); an autoencoder has no such offsets.
        log: called with metrics (layer1/reconstruction, …) and the number of mini-batches so far in all layers.
        learning_rate: of every layer; none: each layer's own `safe_learning_rate` (denoising: Adam's 0.001).
        sparsity: the share of rows that a Bernoulli hidden unit is to be on for; none: as it comes.
        accelerator: cpu, gpu or auto.
        devices: how many of them, a process each, share every mini-batch (`several`): the calling script runs
            in each of them, and one alone should write the prior. Chains are each process's own, and so many in all.
        view: what is learned in the place of the standardised patches.

    Raises:
        ValueError: there are no rows to train on, a patch holds a number that is not finite, or the objective can't train
            the units, or the units can't be sparse.
        Diverged: the step size was too large.
    """
    work.mkdir(parents=True, exist_ok=True)
    kept = training_rows(rows, held_out)
    unseen = held_out[some(len(held_out), GAP_ROWS, seeds("pretrain", "held out"))] if held_out is not None else None
    normaliser = _normaliser(gather, kept, seeds("pretrain", "normaliser"))
    per_epoch = -(-len(kept) // batch_size)
    total = len(layers) * epochs * per_epoch
    machines: list[RBM] = []
    measured: dict[str, float] = {}

    def inputs(chosen: Tensor) -> Tensor:
        patches = normaliser.apply_(finite(gather, chosen)).clamp_(-CLIP, CLIP)
        return patches if view is None else view(chosen, patches)

    for number, size in enumerate(layers, start=1):
        rbm = _machine(
            machines, int(normaliser.mean.numel()), size, hidden, seeds("pretrain", "weights", number),
            centered=centered, denoising=objective == DENOISING,
        )  # fmt: skip
        file = work / f"layer-{number}.pt"
        if file.exists():
            saved = torch.load(file, weights_only=True)
            rbm.load_state_dict(saved["rbm"])
            measured |= saved["measured"]
        else:
            source, scaler = _layer_input(inputs, kept, machines)
            before = (number - 1) * epochs * per_epoch

            def tell(
                values: dict[str, float], step: int, *, name: str = f"layer{number}", before: int = before
            ) -> None:
                if log is not None:
                    log({f"{name}/{key}": value for key, value in values.items()}, step=before + step)
                if progress is not None:
                    progress(before + step, total)

            sample = source.at(kept[some(len(kept), GAP_ROWS, seeds("pretrain", "monitor"))])
            started = source.at(kept[some(len(kept), STATISTICS_ROWS, seeds("pretrain", "start", number))])
            rbm.start_from(started.mean(0), started.var(0, unbiased=False))
            stepper = _stepper(
                rbm,
                objective,
                started,
                batch_size,
                epochs * per_epoch,
                seeds("pretrain", "chain", number),
                learning_rate,
                sparsity,
            )
            seen_and_unseen = (sample, None if unseen is None else source.at(unseen))
            module = Pretraining(stepper, source, per_epoch=per_epoch, monitored=seen_and_unseen, tell=tell)
            order = EpochBlocks(kept, batch_size, seeds("pretrain", "order", number))
            fit(module, order, epochs, work / f"layer-{number}.ckpt", accelerator, devices)
            rbm = module.stepper.rbm.cpu()
            last = {f"layer{number}/{key}": value for key, value in module.last.items()}
            if scaler is not None:
                rbm.fold(*scaler)
            replace(
                file, lambda part, rbm=rbm, last=last: torch.save({"rbm": rbm.state_dict(), "measured": last}, part)
            )
            measured |= last
            (work / f"layer-{number}.ckpt").unlink(missing_ok=True)
        machines.append(rbm)
    return Pretrained(
        Prior(
            DBN(machines), mean=normaliser.mean, std=normaliser.std, patch_size=patch_size,
            model="autoencoder" if objective == DENOISING else "machines",
        ).eval(),
        measured,
    )  # fmt: skip


class Pretraining(BlockTraining[Stepper | DenoisingStepper]):
    """One machine's training, with what is watched of a machine."""

    def __init__(
        self, stepper: Stepper | DenoisingStepper, source: Source, *, per_epoch: int,
        monitored: tuple[Tensor, Tensor | None], tell: Callable[[dict[str, float], int], None],
    ) -> None:  # fmt: skip
        super().__init__(stepper, source, per_epoch=per_epoch, tell=tell)
        self._sample, self._unseen = monitored

    @torch.no_grad()
    @override
    def epoch_metrics(self) -> tuple[dict[str, float], dict[str, float]]:
        rbm, seen = self.stepper.rbm, self._sample.to(self.device)
        metrics, histogram = watched(rbm, seen)
        if self._unseen is not None:
            unseen = self._unseen.to(self.device)
            metrics["unseen_reconstruction"] = float(diagnostics.reconstruction(rbm, unseen).mean)
            # Rectified units have none in closed form, an autoencoder none at all: their reconstruction has to do.
            with suppress(NoClosedForm):
                if isinstance(self.stepper, Stepper):
                    metrics["free_energy_gap"] = float(diagnostics.free_energy_gap(rbm, seen, unseen).gap)
        return metrics, histogram

    @torch.no_grad()
    @override
    def end_metrics(self) -> tuple[dict[str, float], dict[str, float]]:
        """How fast Gibbs chains forget, from data and from noise; nothing where no side holds the other."""
        rbm = self.stepper.rbm
        # An autoencoder has neither energy nor chains.
        if isinstance(self.stepper, DenoisingStepper) or (rbm.visible.unbounded and rbm.hidden.unbounded):
            return {}, {}
        generator = Generator(self.device).manual_seed(self.stepper.seed)
        chains = diagnostics.chains(rbm, self._sample[:CHAINS].to(self.device), SWEEPS, generator)
        both = torch.cat([chains.activity_from_data, chains.activity_from_noise], 1)
        memory = diagnostics.autocorrelation(both)
        curve = {f"chain_autocorrelation/{lag:02d}": float(value) for lag, value in enumerate(memory.values)}
        return {"chain_memory": float(memory.time), "chain_distance": float(chains.distance)}, curve


@torch.no_grad()
def watched(rbm: RBM | ConvolutionalRBM, seen: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """Of a machine and rows it has `seen`: weights and hidden means; their histogram (Hinton 2012, section 15): shares, last edge.

    The first edge is 0: a prior's hidden units, Bernoulli or rectified, are never below.
    """
    norms, active = diagnostics.weight_norms(rbm), diagnostics.activations(rbm, seen, bins=BINS)
    shares = active.counts / active.counts.sum()
    histogram = {f"hidden_activations/{place:02d}": float(share) for place, share in enumerate(shares)}
    histogram["hidden_activations/top"] = float(active.edges[-1])
    metrics = {"weight_rms": float(norms.rms), "weight_largest": float(norms.largest), "units_off": float(active.off),
               "units_saturated": float(active.saturated)}  # fmt: skip
    return metrics, histogram


def _layer_input(
    inputs: Callable[[Tensor], Tensor], kept: Tensor, machines: list[RBM]
) -> tuple[Source, Standardiser | None]:
    """The source of the next layer, and the standardiser of its rows when there is one."""
    if not machines:
        return Source(inputs), None

    @torch.no_grad()
    def encode(rows: Tensor) -> Tensor:
        return DBN(machines).encode(inputs(rows))

    # One pass over the data, 0.13 GB for 55,000 patches and 600 units, instead of one per epoch.
    encodings = torch.cat([encode(chunk) for chunk in kept.split(CHUNK)])
    scaler = Standardiser.of(encodings) if needs_standardiser(machines[-1].hidden) else None
    if scaler is not None:
        encodings.sub_(scaler.mean).div_(scaler.std)
    place = torch.full((int(kept.max()) + 1,), -1, dtype=torch.long)
    place[kept] = torch.arange(len(kept))

    def look_up(rows: Tensor) -> Tensor:
        inside = rows < len(place)
        known = place[rows.clamp_max(len(place) - 1)]
        if bool((inside & (known >= 0)).all()):
            return encodings[known]
        fresh = encode(rows)  # held-out rows
        return scaler(fresh) if scaler is not None else fresh

    return Source(look_up), scaler


def _stepper(
    rbm: RBM, objective: str, data: Tensor, batch_size: int, steps: int, seed: int, learning_rate: float | None,
    sparsity: float | None,
) -> Stepper | DenoisingStepper:  # fmt: skip
    if objective == DENOISING:
        return DenoisingStepper(rbm, steps=steps, seed=seed, learning_rate=learning_rate or RATE)
    chosen = objective_named(objective, batch_size=batch_size)
    rate = learning_rate
    if rate is None:
        rate = safe_learning_rate(rbm, data, batch_size=batch_size, sweeps=chosen.k)
    schedule = schedule_of(chosen)
    if sparsity is not None:
        if not isinstance(rbm.hidden, Bernoulli):
            raise ValueError(f"sparsity is for Bernoulli hidden units; these are {rbm.hidden.kind}")
        schedule = changed(schedule, sparsity=sparsity, sparsity_cost=SPARSITY_PULL / rate)
    return Stepper(rbm, chosen, batch_size=batch_size, steps=steps, seed=seed, learning_rate=rate, schedule=schedule)


def _machine(
    machines: list[RBM], visible: int, size: int, hidden: str, seed: int, *, centered: bool, denoising: bool
) -> RBM:  # fmt: skip
    below = visible_above(machines[-1].hidden) if machines else Gaussian(visible)
    if hidden not in HIDDEN:
        raise ValueError(f"hidden units are {' or '.join(sorted(HIDDEN))}; got {hidden!r}")
    generator = Generator().manual_seed(seed)
    if denoising:  # its gradient starts from the weights themselves, which must not be near zero then
        return RBM(below, HIDDEN[hidden](size), centered=False, std=below.size**-0.5, generator=generator)
    return RBM(below, HIDDEN[hidden](size), centered=centered, generator=generator)


def _normaliser(gather: Gather, kept: Tensor, seed: int) -> Standardiser:
    chosen = kept[some(len(kept), STATISTICS_ROWS, seed)]
    return Standardiser.of(gathered(gather, chosen))
