"""The forecast counts the work of the real networks, and grows with what makes a study dearer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from scanprior.learning.kernels import WIDTH
from scanprior.learning.network import conv_network
from scanprior.stages import forecast as module
from scanprior.stages.forecast import Size, forecast, sentence
from scanprior.study import Study

SIZE = Size(
    scans=60, files=4000, patients=60, labelled=36, raw_megavoxels=86, prepared_megavoxels=3.2, heads=60, raw_mb=150
)


def study(tmp_path: Path, **changes: object) -> Study:
    file = tmp_path / "s.yaml"
    text = {
        "study": "s",
        "cohort": {"scans": "raw", "labels": "l.csv"},
        "task": {"kind": "patient"},
        "patches": {"size": [13, 11, 3]},
    }
    file.write_text(yaml.safe_dump(text | changes))
    return Study.load(file)


def test_the_products_of_the_convolutional_network_are_those_it_makes(tmp_path: Path) -> None:
    counted: list[int] = []

    def count(layer: torch.nn.Conv3d, _inputs: object, output: torch.Tensor) -> None:
        counted.append(output[0].numel() * layer.weight[0].numel())

    network = conv_network((13, 11, 3), 2, width=WIDTH, dropout=0.0)
    for layer in network:
        if isinstance(layer, torch.nn.Conv3d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 13 * 11 * 3))
    assert module._kernel_products(study(tmp_path).config) == pytest.approx(sum(counted) / 1e9)


def test_more_of_everything_takes_longer(tmp_path: Path) -> None:
    few = forecast(study(tmp_path), SIZE, cores=2)
    more_draws = forecast(study(tmp_path, evaluation={"draws": 10}), SIZE, cores=2)
    assert more_draws.stages["train"] > 1.7 * few.stages["train"]
    assert more_draws.wall > few.wall
    more_scans = forecast(study(tmp_path), SIZE._replace(heads=120, raw_mb=300, raw_megavoxels=172), cores=2)
    assert more_scans.stages["deidentify"] > 1.5 * few.stages["deidentify"]
    assert more_scans.disk_mb > 1.8 * few.disk_mb - 50
    centres = {
        "cohort": {"scans": "raw", "labels": "l.csv", "columns": {"site": "centre"}},
        "evaluation": {"scheme": "sites"},
    }
    one, four = (
        forecast(study(tmp_path, **centres), SIZE._replace(sites=number), cores=2).stages["train"] for number in (1, 4)
    )
    assert four > 3 * one
    kept = forecast(study(tmp_path, privacy={"faces": "keep"}), SIZE, cores=2)
    assert kept.stages["deidentify"] < few.stages["deidentify"]


def test_every_way_of_pretraining_is_counted_with_its_own_epochs(tmp_path: Path) -> None:
    config = study(tmp_path, prior={"epochs": 4, "ways": [{"epochs": 12}]}).config
    first, other = (module._pretraining(config, SIZE, "rectified", way) for way in (0, 1))
    assert other == pytest.approx(3 * first)


def test_an_objective_with_more_sweeps_costs_more_pretraining(tmp_path: Path) -> None:
    def pretraining(objective: str) -> float:
        config = study(tmp_path, prior={"objective": objective, "hidden": "bernoulli"}).config
        return module._pretraining(config, SIZE, "bernoulli", 0)

    assert pretraining("cd5") == pytest.approx(13 / 5 * pretraining("cd1"))
    assert pretraining("pt10") > 1.5 * pretraining("pcd1") == 1.5 * pretraining("cd1-sampled")


def test_a_disk_that_is_too_small_is_named(tmp_path: Path) -> None:
    found = forecast(study(tmp_path), SIZE, cores=2)
    assert "only 10 MB of disk are free here" in sentence(found, free_mb=10)
    assert "free here" not in sentence(found, free_mb=1e6)
