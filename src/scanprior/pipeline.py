"""The way of the data: which stages there are, what each reads, and which parts of the study file it depends on."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One stage: the sections of the study file that change its outcome, and the stages that it reads."""

    sections: tuple[str, ...]
    reads: tuple[str, ...]


STEPS: dict[str, Step] = {
    "index": Step(("cohort", "task", "privacy.key", "engine.shards"), ()),
    "split": Step(("seed", "task", "cohort.together", "evaluation.scheme", "evaluation.folds", "evaluation.test",
                   "evaluation.pool", "evaluation.budgets", "evaluation.draws"), ("index",)),
    "deidentify": Step(("privacy", "engine.shards"), ("index",)),
    "convert": Step((), ("deidentify",)),
    "prepare": Step(("prepare",), ("convert",)),
    "patches": Step(("seed", "task", "patches"), ("index", "prepare")),
    "pretrain": Step(("seed", "patches.size", "prepare.spacing", "prior"), ("split", "prepare", "patches")),
    "train": Step(("seed", "task", "patches", "prior.layers", "prior.hidden", "prior.scope", "evaluation.scheme",
                   "evaluation.budgets", "evaluation.trials", "evaluation.epochs", "evaluation.metric"),
                  ("index", "split", "prepare", "patches", "pretrain")),
    "evaluate": Step(("seed", "task", "arms", "prior.hidden", "evaluation"), ("index", "split", "prepare", "pretrain", "train")),
    "report": Step(("study", "quick", "cohort", "task", "privacy", "prepare", "patches", "prior", "arms", "evaluation"),
                   ("index", "split", "deidentify", "convert", "prepare", "patches", "pretrain", "train", "evaluate")),
}  # fmt: skip


def job_name(**wildcards: str | int) -> str:
    """The name of one job of a stage, which is also its folder below the stage's: shard-0, dbn/draw-3, rectified/all-way1."""
    if "shard" in wildcards:
        return f"shard-{wildcards['shard']}"
    if "arm" in wildcards:
        return f"{wildcards['arm']}/draw-{wildcards['draw']}"
    if "kind" in wildcards:
        # Beside the folder of the first way, not in it: a job clears its own folder of what is left of earlier ones.
        way = f"-way{wildcards['way']}" if wildcards.get("way") else ""
        return f"{wildcards['kind']}/{wildcards['context']}{way}"
    return ""
