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
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from patch_accuracy import SIZE
from prior_strength import ABLATION, RESULTS, Cohort, kept, prior_of, seeds
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

DEVELOPMENT, WIDTH, POOL_BATCH, CLASSES = 24, 32, 128, 3
DEFAULT: Settings = {"learning_rate": 2e-3, "weight_decay": 1e-2, "dropout": 0.3, "pretrained_rate": 1.0}
Extra = Callable[[nn.Module, Bags, np.random.Generator, Generator], Tensor]
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
        self._mean, self._std = places.mean(0), places.std(0)
        self._places = torch.from_numpy((places - self._mean) / self._std)

    def pool(self, rng: np.random.Generator) -> Tensor:
        """Pool patches as they are, with their standardised place at the end: (rows, voxels + 3)."""
        chosen = rng.choice(len(self._rows), POOL_BATCH, replace=False)
        voxels = torch.from_numpy(self.cohort.store.gather(self._rows[chosen], self._centres[chosen]))
        return torch.cat([(voxels - self.prior.mean) / self.prior.std, self._places[chosen]], 1)

    def labelled(self, train: Bags, rng: np.random.Generator) -> Tensor:
        """The same of the labelled patients' patches that lie wholly inside their scan."""
        store = train.store
        chosen = rng.choice(np.flatnonzero(store.inside(train.scan_rows, train.centres)), POOL_BATCH)
        voxels = (torch.from_numpy(train.patches(chosen)) - self.prior.mean) / self.prior.std
        places = train.centres[chosen] - (store.shapes[train.scan_rows[chosen]] - 1) / 2
        return torch.cat([voxels, torch.from_numpy(((places - self._mean) / self._std).astype(np.float32))], 1)


def pulled(weight: float) -> Callable[[Bench], Extra]:
    """The squared distance to the prior's kernels."""

    def extra(bench: Bench) -> Extra:
        start = [kernel for kernel, _ in bench.prior.convolutions()]
        return lambda network, _train, _rng, _noise: weight * torch.stack(
            [(layer.weight - one).square().sum() for layer, one in zip(convolutions(network), start, strict=True)]
        ).sum()  # fmt: skip

    return extra


def body(network: nn.Module) -> nn.Module:
    """The network behind its standardiser."""
    return list(network.children())[-1]


def features(network: nn.Module, voxels: Tensor) -> Tensor:
    """What the kernels of a network make of standardised voxels (n, voxels)."""
    maps = voxels.unflatten(1, (1, *SIZE))
    for layer in convolutions(network):
        maps = layer(maps).relu()
    return maps.flatten(1)


def reader(bench: Bench) -> Tensor:
    """A linear layer (features + 1, 3) that reads the place from the prior's kernels, by ridge regression on pool patches."""
    network = conv_dbn.build(Setup(3, SIZE, (), "rectified", bench.prior, width=WIDTH), DEFAULT, None)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        batches = torch.cat([bench.pool(rng) for _ in range(40)])
        known = torch.cat([features(network, batches[:, :-3]), torch.ones(len(batches), 1)], 1).double()
        ridge = known.t() @ known + 1e-3 * len(known) * torch.eye(known.shape[1])
        return torch.linalg.solve(ridge, known.t() @ batches[:, -3:].double()).float()


def placed(weight: float, *, own: bool = False) -> Callable[[Bench], Extra]:
    """The error of the place of altered pool patches, or of the labelled patients' `own`."""

    def extra(bench: Bench) -> Extra:
        head = reader(bench)

        def loss(network: nn.Module, train: Bags, rng: np.random.Generator, noise: Generator) -> Tensor:
            batch = altered(bench.labelled(train, rng) if own else bench.pool(rng), noise)
            told = features(network, batch[:, :-3]) @ head[:-1] + head[-1]
            return weight * functional.mse_loss(told, batch[:, -3:])

        return loss

    return extra


def headed(weight: float, *, own: bool = False) -> Callable[[Bench], Extra]:
    """The same, read by three further outputs of the network that are learned with the others."""

    def extra(bench: Bench) -> Extra:
        def loss(network: nn.Module, train: Bags, rng: np.random.Generator, noise: Generator) -> Tensor:
            batch = altered(bench.labelled(train, rng) if own else bench.pool(rng), noise)
            return weight * functional.mse_loss(body(network)(batch[:, :-3])[:, CLASSES:], batch[:, -3:])

        return loss

    return extra


def agreeing(weight: float) -> Callable[[Bench], Extra]:
    """Pool patches are to be named alike as they are and altered."""

    def extra(bench: Bench) -> Extra:
        def loss(network: nn.Module, _train: Bags, rng: np.random.Generator, noise: Generator) -> Tensor:
            batch, named = bench.pool(rng), body(network)
            with torch.no_grad():
                wanted = named(batch[:, :-3]).softmax(1)
            return weight * functional.cross_entropy(named(altered(batch, noise)[:, :-3]), wanted)

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
    "own place 0.1": ({}, placed(0.1, own=True)),
    "place 0.1, new head": ({}, headed(0.1)),
    "own place 0.1, new head": ({}, headed(0.1, own=True)),
    "cnn, place 0.1, new head": ({}, headed(0.1)),
    "cnn, own place 0.1, new head": ({}, headed(0.1, own=True)),
    "place 0.1, twice the rate": ({"learning_rate": 4e-3}, placed(0.1)),
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
            logits = network(torch.from_numpy(train.patches(rows)))[:, :CLASSES]
            loss = functional.cross_entropy(logits, torch.from_numpy(targets))
            if extra is not None:
                loss = loss + extra(network, train, rng, pool_noise)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        logits = network_logits(network, few, pooled=False)[:, :CLASSES]
        valid_loss, score = validation(logits, few.targets, pooled=False)
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
    generator, outputs = Generator().manual_seed(seed), CLASSES + (3 if "head" in name else 0)
    if name.startswith("cnn"):
        patches = train.thinned(4000).patches()
        body = cnn.build(Setup(outputs, SIZE, (), "rectified", None, width=WIDTH), settings, generator)
        statistics = Standardise(torch.tensor([float(patches.mean())]), torch.tensor([float(patches.std())]))
        network, groups = nn.Sequential(statistics, body), one_group
    else:
        network = conv_dbn.build(Setup(outputs, SIZE, (), "rectified", bench.prior, width=WIDTH), settings, generator)
        groups = conv_dbn.slower_below
    test = bench.cohort.bags(bench.development)
    logits = network_logits(learn(network, train, watched, settings, groups, seed, extra), test, pooled=False)
    named = logits[:, :CLASSES].argmax(1)
    return float(np.mean([(named[test.targets == one] == one).mean() for one in range(CLASSES)]))


def report(cells: dict[str, Any], budget: int, draws: int) -> dict[str, dict[str, float]]:
    """Means, and paired differences to `plain` with their standard error over the draws."""

    def scores(name: str) -> np.ndarray:
        return np.array([cells.get(f"{name}/{budget}/{draw}", {}).get("accuracy", np.nan) for draw in range(draws)])

    rows: dict[str, dict[str, float]] = {}
    for name in VARIANTS:
        both = np.isfinite(scores(name)) & np.isfinite(scores("plain"))
        if both.sum() > 1:
            own, difference = scores(name)[both], (scores(name) - scores("plain"))[both]
            error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
            rows[name] = {
                "accuracy": round(float(own.mean()), 4), "less plain": round(float(difference.mean()), 4),
                "standard error": round(error, 4), "draws": len(own),
            }  # fmt: skip
            print(f"{name:30s} {own.mean():.4f}   - plain {difference.mean():+.4f} ± {error:.4f}, {len(own)} draws")
    return rows


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
    rows = report(kept(file), options.budget, options.draws)
    result = {
        "budget": options.budget,
        "width": WIDTH,
        "patients": DEVELOPMENT,
        "date": str(date.today()),
        "variants": rows,
    }
    (RESULTS / f"finetuning_variants_{options.budget}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
