"""What the report says of a prior, from its card."""

from __future__ import annotations

from scanprior.stages import report


def test_a_dense_prior_is_described_by_its_units() -> None:
    layers = [
        {"visible": {"kind": "gaussian", "size": 2197}, "hidden": {"kind": "rectified", "size": 400}},
        {"visible": {"kind": "gaussian", "size": 400}, "hidden": {"kind": "rectified", "size": 200}},
    ]
    assert report._described({"layers": layers, "training": {"hidden": "rectified"}}) == "rectified 2197-400-200"


def test_a_convolutional_prior_is_described_by_its_maps_and_kernels() -> None:
    layers = [{"channels": [1, 16], "kernel": [5, 5, 5]}, {"channels": [16, 32], "kernel": [3, 3, 3]}]
    card = {"family": "convolutional", "model": "autoencoder", "layers": layers}
    assert report._described(card) == "autoencoder 16 x 5x5x5 - 32 x 3x3x3"


def test_a_card_without_layers_is_not_made_up() -> None:
    assert report._described({}) == ""
