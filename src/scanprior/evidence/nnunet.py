"""The same splits for nnU-Net, so that anyone can put it beside the arms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def splits_final(split: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """nnU-Net's `splits_final.json` from a split.json: one entry per draw and fold, `train` in order, `val` = our test.

    nnU-Net calls the held-out side `val`; its own cases must be named by patient pseudonym.
    """
    return [{"train": list(draw["order"]), "val": list(draw["test"])} for draw in split["draws"]]
