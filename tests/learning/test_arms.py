"""The contract that every arm keeps; one more arm is one more name in the registry and runs through all of this."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from easy import SIZE, patient_bags, voxel_bags

from scanprior.energy.convolutional_dbn import ConvolutionalDBN
from scanprior.energy.dbn import DBN
from scanprior.energy.rbm import RBM
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
from scanprior.errors import ScanpriorError
from scanprior.learning.arm import Arm, OneClass, Setup, log_softmax
from scanprior.learning.bags import Bags
from scanprior.learning.catalogue import CATALOGUE, ArmName
from scanprior.learning.convolutional_prior import ConvolutionalPrior
from scanprior.learning.convolutional_prior import machine as convolutional_machine
from scanprior.learning.kernels import WIDTH
from scanprior.learning.network import conv_layers
from scanprior.learning.prior import Prior
from scanprior.learning.registry import make_arm
from scanprior.learning.training import Plan
from scanprior.learning.tuning import trial_settings
from scanprior.patches.store import PatchStore

ARMS: list[ArmName] = [name for name in CATALOGUE if not name.endswith("_rectified")]  # as their stems here
VOXEL, PATIENT = ([name for name in ARMS if kind in CATALOGUE[name].tasks] for kind in ("voxel", "patient"))
NETWORKS = [name for name in ARMS if CATALOGUE[name].network]
LAYERS = (24, 12)


def seeds(*names: object) -> int:
    return sum(map(ord, repr(names)))


def prior(hidden: str) -> Prior:
    generator = torch.Generator().manual_seed(3)
    visible = int(np.prod(SIZE))
    kind = ReLU if hidden == "rectified" else Bernoulli
    above = Gaussian if hidden == "rectified" else Bernoulli
    machines = [
        RBM(Gaussian(visible), kind(LAYERS[0]), generator=generator),
        RBM(above(LAYERS[0]), kind(LAYERS[1]), generator=generator),
    ]
    for machine in machines:
        with torch.no_grad():
            machine.weight.normal_(0, 0.15, generator=generator)
    return Prior(DBN(machines), mean=torch.full((visible,), 0.1), std=torch.full((visible,), 0.8), patch_size=SIZE)


def convolutional_prior() -> ConvolutionalPrior:
    layers = conv_layers(SIZE, WIDTH)
    machines = [
        convolutional_machine(
            layer, "gaussian", "rectified", std=(2 / (layer.channels[0] * np.prod(layer.kernel))) ** 0.5, seed=seed
        )
        for seed, layer in enumerate(layers)
    ]
    return ConvolutionalPrior(
        ConvolutionalDBN(machines), mean=torch.tensor(0.1), std=torch.tensor(0.8), patch_size=SIZE
    )  # fmt: skip


def make(name: ArmName, *, pooled: bool = False, epochs: int = 4) -> Arm:
    hidden = "bernoulli" if name.endswith("_bernoulli") else "rectified"
    kind = CATALOGUE[name].prior
    start = None if kind is None else convolutional_prior() if kind.startswith("conv") else prior(hidden)
    setup = Setup(2 if pooled else 3, SIZE, LAYERS, hidden, start, pooled)
    arm = make_arm(name, setup)
    if name in NETWORKS:
        return dataclasses.replace(arm, plan=Plan(epochs=epochs, steps=25, batch=64, warm_up=5))  # type: ignore[type-var]
    return arm


def defaults(arm: Arm) -> dict[str, float]:
    return trial_settings(arm.space, 0, seeds)


@pytest.fixture(scope="module")
def voxel() -> tuple[Bags, Bags, Bags]:
    return voxel_bags([1, 2, 3]), voxel_bags([4]), voxel_bags([5, 6])


@pytest.fixture
def easy(name: ArmName, voxel: tuple[Bags, Bags, Bags], patient: tuple[Bags, Bags, Bags]) -> tuple[Bags, Bags, Bags]:
    """The problem of an arm's first task."""
    return voxel if name in VOXEL else patient


@pytest.fixture(scope="module")
def patient() -> tuple[Bags, Bags, Bags]:
    return patient_bags(list(range(16))), patient_bags(list(range(20, 26))), patient_bags(list(range(30, 46)))


@pytest.mark.parametrize("name", VOXEL)
def test_learns_an_easy_voxel_problem(name: ArmName, voxel: tuple[Bags, Bags, Bags]) -> None:
    train, valid, test = voxel
    arm = make(name, epochs=6)
    fit = arm.fit(train, valid, 1, settings=defaults(arm))
    logits = fit.predictor.bag_logits(test)
    assert logits.shape == (len(test.targets), 3)
    assert (logits.argmax(1) == test.targets).mean() > (0.65 if CATALOGUE[name].network else 0.5)  # chance: 0.33
    assert fit.score == max(row.valid_score for row in fit.history)
    assert [row.epoch for row in fit.history] == list(range(len(fit.history)))


@pytest.mark.parametrize("name", PATIENT)
def test_learns_an_easy_patient_problem(name: ArmName, patient: tuple[Bags, Bags, Bags]) -> None:
    train, valid, test = patient
    arm = make(name, pooled=True, epochs=8)
    probabilities = np.exp(log_softmax(arm.fit(train, valid, 1, settings=defaults(arm)).predictor.bag_logits(test)))
    assert probabilities.shape == (16, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    positive, negative = probabilities[test.targets == 1, 1], probabilities[test.targets == 0, 1]
    assert (positive[:, None] > negative).mean() > 0.8  # area under the ROC curve


@pytest.mark.parametrize("name", ARMS)
def test_same_seed_same_bits_and_other_seed_other_bits(name: ArmName, easy: tuple[Bags, Bags, Bags]) -> None:
    train, valid, test = easy
    arm = make(name, pooled=name not in VOXEL, epochs=2)
    torch.rand(3)  # the global generator must not matter
    state = torch.get_rng_state()
    first, again, other = (
        arm.fit(train, valid, seed, settings=defaults(arm)).predictor.bag_logits(test) for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes()
    random = name not in ("logistic", "covariates", "position_only")  # these have nothing random in them
    assert random == (first.tobytes() != other.tobytes())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", VOXEL)
def test_dense_prediction_equals_patch_wise_prediction(name: ArmName, voxel: tuple[Bags, Bags, Bags]) -> None:
    train, valid, test = voxel
    arm = make(name, epochs=1)
    predictor = arm.fit(train, valid, 1, settings=defaults(arm)).predictor
    shape = test.store.shapes[1]
    centres = np.argwhere(np.ones(shape, bool))  # every voxel, corners and edges included
    dense = predictor.dense_logits(test.store, 1, centres)
    bags = Bags.of_patches(test.store, np.ones(len(centres), int), centres, np.zeros(len(centres), int))
    np.testing.assert_allclose(dense, predictor.bag_logits(bags), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "pooled"), [(name, False) for name in VOXEL] + [(name, True) for name in PATIENT])
def test_restored_predictor_is_the_same(
    name: ArmName, pooled: bool, voxel: tuple[Bags, ...], patient: tuple[Bags, ...]
) -> None:
    train, valid, test = patient if pooled else voxel
    arm = make(name, pooled=pooled, epochs=1)
    settings = trial_settings(arm.space, 2, seeds)
    predictor = arm.fit(train, valid, 1, settings=settings).predictor
    assert arm.restore(predictor.state()).bag_logits(test).tobytes() == predictor.bag_logits(test).tobytes()


@pytest.mark.parametrize("name", ARMS)
def test_refuses_one_class_with_a_sentence(name: ArmName, easy: tuple[Bags, Bags, Bags]) -> None:
    train, valid, _ = easy
    arm = make(name)
    one = dataclasses.replace(train, targets=np.full(len(train.targets), 2))
    with pytest.raises(OneClass, match=r"one class only \(\d+ bags of class \[2\]\)"):
        arm.fit(one, valid, 1, settings=defaults(arm))


@pytest.mark.parametrize("name", VOXEL)
def test_a_class_without_training_data_is_not_predicted_and_not_fatal(
    name: ArmName, voxel: tuple[Bags, Bags, Bags]
) -> None:
    train, valid, test = voxel
    kept = np.flatnonzero(train.targets != 1)
    fewer = Bags.of_patches(train.store, train.scan_rows[kept], train.centres[kept], train.targets[kept])
    arm = make(name)
    logits = arm.fit(fewer, valid, 1, settings=defaults(arm)).predictor.bag_logits(test)
    assert np.isfinite(logits).all()
    assert (logits.argmax(1) == 1).mean() < 0.05


@pytest.mark.parametrize("name", ARMS)
def test_statistics_come_from_the_training_side_only(name: ArmName, easy: tuple[Bags, Bags, Bags]) -> None:
    train, valid, test = easy
    arm = make(name, pooled=name not in VOXEL, epochs=1)
    shifted = dataclasses.replace(valid, targets=np.roll(valid.targets, 1), scan_rows=np.roll(valid.scan_rows, 7))
    one, two = (arm.fit(train, side, 1, settings=defaults(arm)).predictor.bag_logits(test) for side in (valid, shifted))
    assert one.tobytes() == two.tobytes()  # with one epoch there is nothing to choose


@pytest.mark.parametrize("name", ARMS)
def test_default_settings_come_first_and_trials_are_drawn_from_the_space(name: ArmName) -> None:
    arm = make(name)
    assert trial_settings(arm.space, 0, seeds) == {key: values[0] for key, values in arm.space.items()}
    for trial in range(1, 5):
        drawn = trial_settings(arm.space, trial, seeds)
        assert all(drawn[key] in values for key, values in arm.space.items())
        assert drawn == trial_settings(arm.space, trial, seeds)


def test_arms_that_share_a_setting_try_the_same_values() -> None:
    dbn, scratch = make("dbn"), make("scratch")
    for trial in range(6):
        one, two = trial_settings(dbn.space, trial, seeds), trial_settings(scratch.space, trial, seeds)
        assert {key: one[key] for key in two} == two


@pytest.mark.parametrize("name", ["dbn", "dbn_bernoulli"])
def test_dbn_before_training_is_the_prior(name: ArmName, voxel: tuple[Bags, Bags, Bags]) -> None:
    arm = make(name)
    network = arm.build(arm.setup, defaults(arm), torch.Generator().manual_seed(0)).eval()  # type: ignore[attr-defined]
    patches = torch.from_numpy(voxel[0].patches(slice(0, 50)))
    hidden = network[1][:-1](network[0](patches))
    torch.testing.assert_close(hidden, arm.setup.prior.encode(patches), rtol=1e-4, atol=1e-5)  # type: ignore[attr-defined]


def test_without_its_prior_an_arm_says_what_to_do() -> None:
    for name in ARMS:
        if CATALOGUE[name].prior:
            with pytest.raises(ScanpriorError, match=r"starts from a prior.*\n.*pretrain"):
                make_arm(name, Setup(3, SIZE))


def test_moments_keep_each_unit_s_mean_variance_and_answer_to_the_mean_input_and_nothing_else() -> None:
    arm, start = make("moments"), prior("rectified")
    network = arm.build(arm.setup, defaults(arm), torch.Generator().manual_seed(0))  # type: ignore[attr-defined]
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    for layer, machine in zip(layers, start.dbn.machines, strict=False):
        weight, bias = machine.upward()
        assert torch.corrcoef(torch.stack([layer.weight.flatten(), weight.flatten()]))[0, 1].abs() < 0.1
        error = weight.std(1) / weight.shape[1] ** 0.5
        assert ((layer.weight.mean(1) - weight.mean(1)).abs() < 4.5 * error).all()
        assert ((layer.weight.std(1) / weight.std(1) - 1).abs() < 4.5 / (2 * weight.shape[1]) ** 0.5).all()
        at_mean = machine.visible_offset
        torch.testing.assert_close(layer.weight @ at_mean + layer.bias, weight @ at_mean + bias, atol=1e-5, rtol=1e-5)


def test_covariates_alone_look_at_no_voxel_and_position_alone_neither(
    voxel: tuple[Bags, ...], patient: tuple[Bags, ...]
) -> None:
    for name, (train, valid, test) in (("position_only", voxel), ("covariates", patient)):
        blank = PatchStore([np.zeros(tuple(shape), np.float32) for shape in test.store.shapes], SIZE)
        arm = make(name, pooled=name == "covariates")
        predictor = arm.fit(train, valid, 1, settings=defaults(arm)).predictor
        empty = dataclasses.replace(test, store=blank)
        assert predictor.bag_logits(empty).tobytes() == predictor.bag_logits(test).tobytes()


def test_a_missing_covariate_counts_as_missing_not_as_a_value(patient: tuple[Bags, ...]) -> None:
    train, valid, test = patient
    arm = make("covariates", pooled=True)
    told = np.where(np.arange(16)[:, None] % 4 < 2, train.targets[:, None].astype(float), np.nan)  # half of each class
    train = dataclasses.replace(train, covariates=told)
    other = [dataclasses.replace(bags, covariates=np.full((len(bags.targets), 1), np.nan)) for bags in (valid, test)]
    probabilities = np.exp(
        log_softmax(arm.fit(train, other[0], 1, settings=defaults(arm)).predictor.bag_logits(other[1]))
    )
    np.testing.assert_allclose(probabilities, 0.5, atol=0.02)  # who isn't known is even odds


def test_unknown_arm_names_the_known_ones() -> None:
    with pytest.raises(ScanpriorError, match=r"no arm 'dnb'[\s\S]*dbn, scratch"):
        make_arm("dnb", Setup(3, SIZE))


def test_arms_without_a_network_load_no_network_library() -> None:
    code = (
        "import sys; from scanprior.learning.registry import make_arm; from scanprior.learning.arm import Setup; "
        "import scanprior.learning.experiment; from scanprior.learning.catalogue import CATALOGUE; "
        "[make_arm(name, Setup(3, (5, 5, 5))) for name, entry in CATALOGUE.items() if not entry.network]; "
        "assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
