"""Does unsupervised pretraining help on your own scans, by how much, and how many labels does it save?"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# OpenMP's threads spin while they wait, unless told otherwise before torch is loaded: on a machine with other work, training
# on two threads then took 5 to 19 times as long as on one (benchmarks/energy/threads.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["__version__", "load_prior"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import `load_prior` on first use: torch stays unloaded until then, and the name is a string so that no stage's
    code digest, which follows import statements, comes to depend on the learning code through this file."""
    if name == "load_prior":
        return import_module("scanprior.learning.prior").load_prior
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
