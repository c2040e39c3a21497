"""A training by several processes of one machine: what has to be the same in all of them before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from scanprior.energy.replicas import together

P = ParamSpec("P")
R = TypeVar("R")


def several(train: Callable[P, R]) -> Callable[P, R]:
    """Lets a training take `devices`: so many processes of this machine share every mini-batch, each with a device of its own.

    With more than one, Lightning starts the calling script anew for every other process, or takes those that torchrun has
    started, and all of them go on after the training with the same prior: only one may write it,
    `torch.distributed.get_rank() == 0`. Each computes on one thread, from the first sum to the last, because bits depend
    on how many there are; Lightning would give them more, and leave it at that.
    """

    @wraps(train)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("devices", 1) == 1:
            return train(*args, **kwargs)
        threads, said = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            with together():
                return train(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)
            if said is None:
                del os.environ["OMP_NUM_THREADS"]
            else:
                os.environ["OMP_NUM_THREADS"] = said

    return run
