"""The paragraph for a paper's methods section, with versions; made of the same sentences as the checklists."""

from __future__ import annotations

from collections.abc import Mapping

ORDER = (
    "question", "data", "deidentification", "preparation", "inputs", "patches", "reference", "partitions", "budgets", "prior", "model",
    "training", "selection", "imbalance", "metrics", "estimand", "uncertainty", "power", "protocol", "software",
    "reproducibility",
)  # fmt: skip


def methods(facts: Mapping[str, str]) -> str:
    """One paragraph of all that the study's files know of its methods; what they don't know is left out."""
    return " ".join(facts[name] for name in ORDER if facts[name])
