"""Names of objectives: what they say, what they refuse, and that reading them loads no torch."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from scanprior.energy.named import objective_named
from scanprior.energy.objective_names import PATTERN, passes, read_objective, refusal
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Units

NAMES = ["cd1", "cd12", "cd5-sampled", "pcd1", "pcd12", "pt2", "pt30", "langevin10"]
HIDDEN: dict[str, type[Units]] = {"bernoulli": Bernoulli, "rectified": ReLU}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cd5", ("cd", 5, False)),
        ("cd5-sampled", ("cd", 5, True)),
        ("pcd12", ("pcd", 12, False)),
        ("pt10", ("pt", 10, False)),
        ("langevin3", ("langevin", 3, False)),
    ],
)
def test_a_name_says_kind_count_and_draws(name: str, parts: tuple[str, int, bool]) -> None:
    assert read_objective(name) == parts


@pytest.mark.parametrize("name", ["cd", "cd0", "cd100", "pcd1-sampled", "pt", "pt1", "sm", "CD1", "cd1 ", "cd1\n", ""])
def test_what_is_no_name_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"no objective is called {re.escape(repr(name))}; allowed are cd1, cd2"):
        read_objective(name)


@pytest.mark.parametrize("hidden", sorted(HIDDEN))
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_refused_by_name_are_just_those_that_the_objectives_themselves_refuse(
    name: str, hidden: str, layers: int
) -> None:
    """The machines of a prior: Gaussian voxels below, and above Bernoulli units Bernoulli ones."""
    refused = False
    for layer in range(layers):
        visible = Gaussian(3) if layer == 0 or hidden == "rectified" else Bernoulli(3)
        try:
            objective_named(name, batch_size=4).check(RBM(visible, HIDDEN[hidden](2)))
        except ValueError:
            refused = True
    assert (refusal(name, hidden, layers) is not None) == refused


def test_a_name_gives_as_many_chains_and_sweeps_as_it_says() -> None:
    assert objective_named("cd5", batch_size=9).k == 5 and objective_named("langevin7", batch_size=9).k == 7
    assert [objective_named(name, batch_size=9).negatives(4) for name in ("cd5", "pcd2", "langevin7", "pt4")] == [
        4,
        9,
        9,
        32,
    ]


def test_more_sweeps_and_temperatures_make_more_products() -> None:
    assert passes("cd1", 100) == passes("pcd1", 100) == 5.0 and passes("cd3", 100) == 9.0
    assert passes("pt20", 100) > passes("pt10", 100) > passes("pt10", 200) > 5.0


def test_names_are_read_without_torch() -> None:
    code = "import sys; import scanprior.energy.objective_names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(re.fullmatch(PATTERN, name) for name in NAMES)
