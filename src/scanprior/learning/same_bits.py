"""The same bits from the same seeds: one thread on a processor, and a GPU's kernels without atomic sums."""

from __future__ import annotations

import torch


def same_bits() -> None:
    """Set torch up for this process, before any work; cuBLAS reads CUBLAS_WORKSPACE_CONFIG (cli.py) when it starts."""
    torch.set_num_threads(1)  # the same bits need the same number, and one is fastest here: jobs run side by side
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # else convolutions round to 10 bits, and differ from a processor's
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]  a property
