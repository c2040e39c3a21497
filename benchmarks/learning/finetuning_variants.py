"""What a placed prior could still give while labels are learned: variants of fine-tuning on patients who are tested nowhere.

SCANPRIOR_DATA=… python benchmarks/learning/finetuning_variants.py [--draws 20] [--budget 4] [--variants plain …]

Hippocampus, 13³ patches, 32 kernels, the prior of `prior_strength.py` without machines (trained unless it is there). Balanced
accuracy on 24 of the patients that `prior_strength.py` labels; every draw labels some of the others. Only such patients
may choose a variant: what they chose is then measured on the 60 test patients, once. The loop below is that of
`scanprior.learning.training`, with a second loss; every cell is kept in --work, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from patch_accuracy import SIZE
from prior_strength import ABLATION, Cohort, kept, prior_of, seeds
from torch import Generator, Tensor, nn
from torch.nn import functional

from scanprior.learning.arm import Settings, Setup, merit, validation
from scanprior.learning.arms import cnn, conv_dbn
from scanprior.learning.bags import Bags
from scanprior.learning.convolutional_prior import ConvolutionalPrior
from scanprior.learning.network import Dropout, Standardise, convolutions
from scanprior.learning.network_arm import one_group
from scanprior.learning.placing import altered
from scanprior.learning.training import Blocks, Groups, Plan, hash_seed, network_logits

DEVELOPMENT, WIDTH, POOL_BATCH = 24, 32, 128
DEFAULT: Settings = {"learning_rate": 2e-3, "weight_decay": 1e-2, "dropout": 0.3, "pretrained_rate": 1.0}
Extra = Callable[[nn.Module, np.random.Generator, Generator], Tensor]
Variant = tuple[Settings, Callable[["Bench"], Extra] | None]


class Bench:
    """The cohort, the prior, and pool patches whose place is known."""

    def __init__(self, work: Path) -> None:
        options = argparse.Namespace(
            width=WIDTH, pool_patches=1500, epochs=3, place_epochs=12, accelerator="cpu", arms=[], background="near"
        )
        self.cohort = Cohort(Path(os.environ["SCANPRIOR_DATA"]) / "hippocampus")
        self.prior: ConvolutionalPrior = prior_of(self.cohort, ABLATION, work / f"priors-{WIDTH}-1500-3-12", options)
        self.development, self.drawn = np.split(self.cohort.labelled, [DEVELOPMENT])
        rows, centres, places = self.cohort.unlabelled(options.pool_patches)
        whole = np.isfinite(places).all(1)
        self._rows, self._centres, places = rows[whole], centres[whole], places[whole]
        self._places = torch.from_numpy((places - places.mean(0)) / places.std(0))

    def pool(self, rng: np.random.Generator) -> Tensor:
        """Pool patches as they are, with their standardised place at the end: (rows, voxels + 3)."""
        chosen = rng.choice(len(self._rows), POOL_BATCH, replace=False)
        voxels = torch.from_numpy(self.cohort.store.gather(self._rows[chosen], self._centres[chosen]))
        return torch.cat([(voxels - self.prior.mean) / self.prior.std, self._places[chosen]], 1)


def pulled(weight: float) -> Callable[[Bench], Extra]:
    """The squared distance to the prior's kernels."""

    def extra(bench: Bench) -> Extra:
        start = [kernel for kernel, _ in bench.prior.convolutions()]
        return lambda network, _rng, _noise: weight * torch.stack(
            [(layer.weight - one).square().sum() for layer, one in zip(convolutions(network), start, strict=True)]
        ).sum()  # fmt: skip

    return extra


def placed(weight: float) -> Callable[[Bench], Extra]:
    """The error of the place, read from the kernels by a layer that was fitted to the prior."""

    def extra(bench: Bench) -> Extra:
        def features(layers: list[nn.Conv3d], voxels: Tensor) -> Tensor:
            maps = voxels.unflatten(1, (1, *SIZE))
            for layer in layers:
                maps = layer(maps).relu()
            return maps.flatten(1)

        started = cnn.build(Setup(3, SIZE, (), "rectified", None, width=WIDTH), DEFAULT, None)
        conv_dbn.set_convolutions(started, bench.prior.convolutions())
        rng = np.random.default_rng(0)
        with torch.no_grad():
            batches = [bench.pool(rng) for _ in range(40)]
            known = torch.cat([features(convolutions(started), batch[:, :-3]) for batch in batches])
            known = torch.cat([known, torch.ones(len(known), 1)], 1).double()
            ridge = known.t() @ known + 1e-3 * len(known) * torch.eye(known.shape[1])
            head = torch.linalg.solve(ridge, known.t() @ torch.cat(batches)[:, -3:].double()).float()

        def loss(network: nn.Module, rng: np.random.Generator, noise: Generator) -> Tensor:
            batch = altered(bench.pool(rng), noise)
            told = features(convolutions(network), batch[:, :-3]) @ head[:-1] + head[-1]
            return weight * functional.mse_loss(told, batch[:, -3:])

        return loss

    return extra


def agreeing(weight: float) -> Callable[[Bench], Extra]:
    """Pool patches are to be named alike as they are and altered."""

    def extra(bench: Bench) -> Extra:
        def loss(network: nn.Module, rng: np.random.Generator, noise: Generator) -> Tensor:
            batch, body = bench.pool(rng), network[-1] if isinstance(network, nn.Sequential) else network
            with torch.no_grad():
                wanted = body(batch[:, :-3]).softmax(1)
            return weight * functional.cross_entropy(body(altered(batch, noise)[:, :-3]), wanted)

        return loss

    return extra


VARIANTS: dict[str, Variant] = {
    "cnn": ({}, None),
    "cnn, agreement 1": ({}, agreeing(1.0)),
    "plain": ({}, None),
    "half the rate": ({"learning_rate": 1e-3}, None),
    "twice the rate": ({"learning_rate": 4e-3}, None),
    "dropout 0.5": ({"dropout": 0.5}, None),
    "ten times the decay": ({"weight_decay": 0.1}, None),
    "pulled 0.0005": ({}, pulled(5e-4)),
    "pulled 0.01": ({}, pulled(1e-2)),
    "place 0.1": ({}, placed(0.1)),
    "place 0.5": ({}, placed(0.5)),
    "agreement 1": ({}, agreeing(1.0)),
}


def learn(
    network: nn.Module, train: Bags, valid: Bags, settings: Settings, groups: Groups, seed: int, extra: Extra | None
) -> nn.Module:
    """Fine-tune with a second loss and keep the epoch that is best on the validation patients."""
    plan, best, kept_state = Plan(), (-1.0, -1.0), dict[str, Tensor]()
    adam = torch.optim.AdamW([{**one, "initial": one["lr"]} for one in groups(network, settings)], fused=True)
    blocks, few = Blocks(train, plan, seed, 0), valid.thinned(plan.valid_patches)
    rng, pool_noise = np.random.default_rng(seed), Generator().manual_seed(seed)
    for epoch in range(plan.epochs):
        noise = Generator().manual_seed(hash_seed(seed, epoch))
        for module in network.modules():
            if isinstance(module, Dropout):
                module.generator = noise
        network.train()
        for step, (rows, _, targets) in enumerate(next(iter(blocks))):
            for group in adam.param_groups:
                group["lr"] = group["initial"] * plan.rate(epoch * plan.steps + step)
            logits = network(torch.from_numpy(train.patches(rows)))
            loss = functional.cross_entropy(logits, torch.from_numpy(targets))
            if extra is not None:
                loss = loss + extra(network, rng, pool_noise)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        valid_loss, score = validation(network_logits(network, few, pooled=False), few.targets, pooled=False)
        if merit(score, valid_loss) > best:
            best = merit(score, valid_loss)
            kept_state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept_state)
    return network.eval()


def accuracy(bench: Bench, name: str, extra: Extra | None, budget: int, draw: int) -> float:
    """Balanced accuracy of one fit on the development patients."""
    chosen = np.random.default_rng(1000 + draw).permutation(bench.drawn)[:budget]
    valid = np.arange(budget) % 4 == 1
    train, watched = bench.cohort.bags(chosen[~valid]), bench.cohort.bags(chosen[valid])
    settings: Settings = {**DEFAULT, **VARIANTS[name][0]}
    seed = seeds("fit", draw, budget)
    generator = Generator().manual_seed(seed)
    if name.startswith("cnn"):
        patches = train.thinned(4000).patches()
        body = cnn.build(Setup(3, SIZE, (), "rectified", None, width=WIDTH), settings, generator)
        statistics = Standardise(torch.tensor([float(patches.mean())]), torch.tensor([float(patches.std())]))
        network, groups = nn.Sequential(statistics, body), one_group
    else:
        network = conv_dbn.build(Setup(3, SIZE, (), "rectified", bench.prior, width=WIDTH), settings, generator)
        groups = conv_dbn.slower_below
    test = bench.cohort.bags(bench.development)
    named = network_logits(learn(network, train, watched, settings, groups, seed, extra), test, pooled=False).argmax(1)
    return float(np.mean([(named[test.targets == one] == one).mean() for one in range(3)]))


def show(cells: dict[str, Any], budget: int, draws: int) -> None:
    """Means, and paired differences to `plain` with their standard error over the draws."""

    def scores(name: str) -> np.ndarray:
        return np.array([cells.get(f"{name}/{budget}/{draw}", {}).get("accuracy", np.nan) for draw in range(draws)])

    for name in VARIANTS:
        own = scores(name)
        if np.isfinite(own).any():
            difference = own - scores("plain")
            difference = difference[np.isfinite(difference)]
            error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
            print(
                f"{name:22s} {np.nanmean(own):.4f}   - plain {difference.mean():+.4f} ± {error:.4f}, {len(difference)} draws"
            )


def main() -> None:
    """Fit what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--budget", type=int, default=4)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--work", type=Path, default=Path("work/prior_strength"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.work / "finetuning_variants.jsonl"
    bench, cells = Bench(options.work), kept(file)
    for name in options.variants:
        make = VARIANTS[name][1]
        extra: Extra | None = None if make is None else make(bench)
        for draw in range(options.draws):
            key = f"{name}/{options.budget}/{draw}"
            if key not in cells:
                cells[key] = {"key": key, "accuracy": accuracy(bench, name, extra, options.budget, draw)}
                with file.open("a") as stream:
                    stream.write(json.dumps(cells[key]) + "\n")
    show(kept(file), options.budget, options.draws)


if __name__ == "__main__":
    main()
