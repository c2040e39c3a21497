"""The one training loop of all network arms: a Lightning module that takes blocks of mini-batches."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from scanprior.learning.arm import Epoch, Settings, merit, validation
from scanprior.learning.bags import Bags
from scanprior.learning.network import Dropout
from scanprior.learning.pooling import log_mean_exp

# Lightning speaks of Slurm, of loggers that are switched off and of few batches; none of it concerns these small fits.
warnings.filterwarnings("ignore", module="pytorch_lightning")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

Groups = Callable[[nn.Module, Settings], list[dict[str, Any]]]


@dataclass(frozen=True)
class Plan:
    """The optimiser's work, in steps, so that every budget and every arm gets the same."""

    epochs: int = 6
    steps: int = 40  # mini-batches per epoch
    batch: int = 128  # patches per mini-batch
    bag_patches: int = 16  # patient task: patches per patient in a mini-batch
    warm_up: int = 20  # steps until the full learning rate
    valid_patches: int = 2000  # the epoch is chosen on at most so many validation patches

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.epochs * self.steps

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of the full one: linear warm-up, then a half cosine down to zero."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - self.warm_up) / (self.total - self.warm_up)))


class Blocks:
    """An epoch as one Lightning batch: rows of patches, their bags and targets for every mini-batch.

    Seeded by the epoch, so an epoch's order does not depend on whether training was interrupted before it.
    """

    def __init__(self, train: Bags, plan: Plan, seed: int, first: int) -> None:
        self.train, self.plan, self.seed, self.epoch = train, plan, seed, first

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        yield [self._bags(chosen, rng) for chosen in self._draw(rng)]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """Bags of every mini-batch, (steps, bags per batch): every bag is used before any comes again."""
        bags, plan = len(self.train.targets), self.plan
        single = len(self.train.bag) == bags
        per_batch = plan.batch if single else max(1, min(bags, plan.batch // plan.bag_patches))
        wanted = plan.steps * per_batch
        rounds = [rng.permutation(bags) for _ in range(-(-wanted // bags))]
        return np.concatenate(rounds)[:wanted].reshape(plan.steps, per_batch)

    def _bags(self, chosen: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        train = self.train
        if len(train.bag) == len(train.targets):
            return chosen, np.arange(len(chosen)), train.targets[chosen]
        rows: list[np.ndarray] = []
        for bag in chosen:
            patches = np.arange(int(train.starts[bag]), int(train.starts[bag + 1]))
            rows.append(rng.choice(patches, self.plan.bag_patches, replace=len(patches) < self.plan.bag_patches))
        return np.concatenate(rows), np.repeat(np.arange(len(chosen)), self.plan.bag_patches), train.targets[chosen]


class BagClassifier(pl.LightningModule):
    """A patch network trained on bags; keeps the epoch that is best on the validation bags."""

    def __init__(
        self, network: nn.Module, groups: list[dict[str, Any]], train: Bags, valid: Bags, *, plan: Plan, seed: int,
        pooled: bool, checkpoint: Path | None, log: Callable[[Epoch], None] | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.network, self.train_bags, self.valid_bags = network, train, valid.thinned(plan.valid_patches)
        self.plan, self.seed, self.pooled, self.checkpoint, self._log = plan, seed, pooled, checkpoint, log
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self._groups = groups

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; the fused form takes 1.1 ms per step for 1.5 million weights, the plain one 7."""
        groups = [{**group, "initial": group["lr"]} for group in self._groups]
        return torch.optim.AdamW(groups, fused=True)

    def train_dataloader(self) -> Blocks:
        """Epochs from where the checkpoint ends."""
        return Blocks(self.train_bags, self.plan, self.seed, len(self.epochs))

    def on_fit_start(self) -> None:
        """Go on from the checkpoint, after Lightning has made the optimiser."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        saved = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self._adam().load_state_dict(saved["optimizer"])
        self.best, self.epochs = saved["best"], [Epoch(*row) for row in saved["epochs"]]

    def training_step(self, block: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        """All mini-batches of an epoch, then validation and checkpoint."""
        epoch, adam = len(self.epochs), self._adam()
        noise = torch.Generator(self.device).manual_seed(hash_seed(self.seed, epoch))
        for module in self.network.modules():
            if isinstance(module, Dropout):
                module.generator = noise
        losses: list[Tensor] = []
        for step, (rows, bag, targets) in enumerate(block):
            rate = self.plan.rate(epoch * self.plan.steps + step)
            for group in adam.param_groups:
                group["lr"] = group["initial"] * rate
            patches = torch.from_numpy(self.train_bags.patches(rows)).to(self.device)
            logits = self.network(patches)
            if self.pooled:
                logits = log_mean_exp(logits, torch.from_numpy(bag).to(self.device), len(targets))
            loss = functional.cross_entropy(logits, torch.from_numpy(targets).to(self.device))
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            losses.append(loss.detach())
        self._close_epoch(float(torch.stack(losses).mean()))

    def _close_epoch(self, train_loss: float) -> None:
        """Validate, keep the best weights, save: all in the step, so no Lightning hook has to run for it."""
        logits = network_logits(self.network, self.valid_bags, pooled=self.pooled)
        loss, score = validation(logits, self.valid_bags.targets, pooled=self.pooled)
        # Equal scores (a balanced accuracy on few patches has few values) go to the lower loss.
        if not self.epochs or merit(score, loss) > max(merit(row.valid_score, row.valid_loss) for row in self.epochs):
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.epochs.append(Epoch(len(self.epochs), train_loss, loss, score))
        if self.checkpoint is not None:
            self._save(self.checkpoint)
        if self._log is not None:
            self._log(self.epochs[-1])

    def _save(self, file: Path) -> None:
        part = file.with_name("part") / file.name  # torch's bytes depend on the stem, so it stays the same
        part.parent.mkdir(parents=True, exist_ok=True)
        state = {"network": self.network.state_dict(), "optimizer": self._adam().state_dict(), "best": self.best,
                 "epochs": [tuple(row) for row in self.epochs]}  # fmt: skip
        torch.save(state, part)
        part.replace(file)

    def _adam(self) -> torch.optim.Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        return optimizer[0] if isinstance(optimizer, list) else optimizer


def hash_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch's noise, far from that of its neighbours."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def train_network(
    network: nn.Module, train: Bags, valid: Bags, *, settings: Settings, groups: Groups, plan: Plan, seed: int,
    pooled: bool, accelerator: str = "cpu", checkpoint: Path | None = None, log: Callable[[Epoch], None] | None = None,
) -> tuple[float, list[Epoch]]:  # fmt: skip
    """Train in place and leave the best epoch's weights in `network`; returns its score and the history.

    Every finished epoch is saved to `checkpoint` (atomically); training goes on from there with the same bits.
    """
    module = BagClassifier(
        network,
        groups(network, settings),
        train,
        valid,
        plan=plan,
        seed=seed,
        pooled=pooled,
        checkpoint=checkpoint,
        log=log,
    )
    done = _finished(checkpoint)
    trainer = pl.Trainer(
        max_epochs=max(plan.epochs - done, 0), accelerator=accelerator, devices=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module)
    network.load_state_dict(module.best)
    network.eval()
    return max(module.epochs, key=lambda row: merit(row.valid_score, row.valid_loss)).valid_score, module.epochs


def _finished(checkpoint: Path | None) -> int:
    """Epochs that a checkpoint holds."""
    if checkpoint is None or not checkpoint.exists():
        return 0
    return len(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epochs"])


@torch.inference_mode()
def network_logits(network: nn.Module, bags: Bags, *, pooled: bool, chunk: int = 1024) -> np.ndarray:
    """Logits of every bag, float32 (bags, classes); patches are gathered `chunk` at a time."""
    training = network.training
    network.eval()
    device = next(network.parameters()).device
    pieces = [
        network(torch.from_numpy(bags.patches(slice(start, start + chunk))).to(device))
        for start in range(0, len(bags.bag), chunk)
    ]
    network.train(training)
    logits = torch.cat(pieces)
    if pooled:
        logits = log_mean_exp(logits, torch.from_numpy(bags.bag).to(device), len(bags.targets))
    return logits.cpu().numpy()
