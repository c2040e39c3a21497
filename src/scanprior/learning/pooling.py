"""From patch logits to the logits of a bag."""

from __future__ import annotations

import torch
from torch import Tensor


def log_mean_exp(logits: Tensor, bag: Tensor, bags: int) -> Tensor:
    """log of the mean over a bag's patches of exp(logit), per class: (n, classes), (n,) → (bags, classes).

    A smooth maximum that doesn't grow with the number of patches, so training may use a subset of a patient's patches
    and prediction all of them. Bags of one patch keep their logits.
    """
    index = bag[:, None].expand_as(logits)
    top = torch.full((bags, logits.shape[1]), -torch.inf, dtype=logits.dtype, device=logits.device)
    top = top.scatter_reduce(0, index, logits.detach(), "amax")
    sums = torch.zeros_like(top).scatter_add(0, index, torch.exp(logits - top[bag]))
    counts = torch.zeros(bags, dtype=logits.dtype, device=logits.device).scatter_add(
        0, bag, torch.ones_like(logits[:, 0])
    )
    return top + torch.log(sums) - torch.log(counts)[:, None]
