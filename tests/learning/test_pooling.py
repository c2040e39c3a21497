"""log-mean-exp against its definition, and what it promises."""

from __future__ import annotations

import torch

from scanprior.learning.pooling import log_mean_exp

LOGITS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
BAG = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])


def test_is_the_log_of_the_mean_of_exponentials() -> None:
    pooled = log_mean_exp(LOGITS, BAG, 3)
    for bag in range(3):
        torch.testing.assert_close(pooled[bag], LOGITS[bag == BAG].exp().mean(0).log())


def test_bag_of_one_keeps_its_logits_and_repeating_patches_changes_nothing() -> None:
    torch.testing.assert_close(log_mean_exp(LOGITS, BAG, 3)[1], LOGITS[4])
    torch.testing.assert_close(log_mean_exp(LOGITS.repeat(2, 1), BAG.repeat(2), 3), log_mean_exp(LOGITS, BAG, 3))


def test_huge_logits_do_not_overflow() -> None:
    pooled = log_mean_exp(LOGITS.float() * 1e3, BAG, 3)
    assert torch.isfinite(pooled).all()


def test_gradient_is_that_of_the_definition() -> None:
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: log_mean_exp(x, BAG, 3), (logits,))
