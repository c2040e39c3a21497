"""Contrastive divergence of convolutional machines: against enumeration, the dense step, by hand, resumed, refused."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_convolutions import MACHINES, machine, states_of
from torch import Generator

from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import (
    ConvolutionalStepper,
    fit_convolutional,
    safe_convolutional_rate,
    windows,
)
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.tempering import Tempered
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax
from scanprior.energy.velocity import Diverged

PLAIN = Schedule(momentum=0.0, final_momentum=0.0, weight_decay=0.0, final_rate=1.0)


def update_of(
    rbm: ConvolutionalRBM, data: torch.Tensor, objective: CD, schedule: Schedule = PLAIN
) -> dict[str, torch.Tensor]:
    """What one step of size 1 per place adds to every parameter."""
    before = {name: parameter.detach().clone() for name, parameter in rbm.named_parameters()}
    stepper = ConvolutionalStepper(
        rbm, objective, steps=100, seed=0, learning_rate=rbm.hidden.places, schedule=schedule
    )
    stepper.step = 1  # not a step that moves the offsets
    stepper.block([data])
    change = {name: parameter.detach() - before[name] for name, parameter in rbm.named_parameters()}
    with torch.no_grad():
        for name, parameter in rbm.named_parameters():
            parameter.copy_(before[name])
    return change


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(
    ("objective", "copies"),
    [
        (lambda: CD(15, sample_visible=True), 4000),
        (lambda: PCD(20, 10_000), 1),
    ],  # few rows, many chains: they weigh the same
    ids=["cd", "pcd"],
)
def test_long_chains_give_the_enumerated_gradient(name, objective, copies):
    rbm = MACHINES[name]()
    states = states_of(rbm.visible)
    rows = states[torch.randperm(len(states), generator=Generator().manual_seed(2))[:3]]
    likelihood = (-rbm.free_energy(rows)).mean() - (-rbm.free_energy(states)).logsumexp(0)
    parameters = dict(rbm.named_parameters())
    exact = torch.autograd.grad(likelihood, list(parameters.values()))
    change = update_of(rbm, rows.repeat(copies, *[1] * (rows.ndim - 1)), objective())
    assert max(float(gradient.abs().max()) for gradient in exact) > 0.3
    for key, gradient in zip(parameters, exact, strict=True):
        torch.testing.assert_close(change[key], gradient, rtol=0, atol=0.05, msg=lambda text, key=key: f"{key}: {text}")


def test_chains_go_on_from_update_to_update_and_are_part_of_the_state():
    rbm = MACHINES["2-D pooled"]()
    rows = states_of(rbm.visible)[:6]
    stepper = ConvolutionalStepper(rbm, PCD(1, 5), steps=4, seed=0, learning_rate=0.1)
    assert stepper.schedule.final_momentum == 0.5
    chains = []
    for _ in range(2):
        stepper.block([rows])
        chains.append(stepper.objective.chain.clone())
    assert chains[0].shape == (5, 2, *rbm.hidden.grid) and not torch.equal(*chains)
    other = ConvolutionalStepper(MACHINES["2-D pooled"](), PCD(1, 5), steps=4, seed=0, learning_rate=0.1)
    other.load_state_dict(stepper.state_dict())
    for one in (stepper, other):
        one.block([rows])
    assert torch.equal(stepper.rbm.weight, other.rbm.weight)
    assert torch.equal(stepper.objective.chain, other.objective.chain)


VOXELS = {
    "2-D": lambda: machine(Gaussian(2), Bernoulli(2), size=(3, 2), kernel=(2, 2), spread=0.4),
    "3-D pooled": lambda: machine(
        Gaussian(1), Bernoulli(2), size=(2, 3, 2), kernel=(2, 2, 1), pooling=(1, 1, 2), spread=0.4
    ),
}


@pytest.mark.parametrize("name", VOXELS)
def test_long_contrastive_divergence_of_gaussian_voxels_approaches_the_gradient(name):
    """log Z by enumeration of the hidden maps."""
    rbm, generator = VOXELS[name](), Generator().manual_seed(3)
    rows = torch.randn(3, rbm.visible.channels, *rbm.visible.grid, dtype=torch.float64, generator=generator)
    objective = (-rbm.free_energy(rows)).mean() - (-rbm.hidden_free_energy(states_of(rbm.hidden))).logsumexp(0)
    parameters = {key: parameter for key, parameter in rbm.named_parameters() if parameter.requires_grad}
    exact = torch.autograd.grad(objective, list(parameters.values()))
    change = update_of(rbm, rows.repeat(4000, *[1] * (rows.ndim - 1)), CD(15, sample_visible=True))
    for key, gradient in zip(parameters, exact, strict=True):
        torch.testing.assert_close(change[key], gradient, rtol=0, atol=0.1, msg=lambda text, key=key: f"{key}: {text}")


def unrolled(rbm: ConvolutionalRBM) -> tuple[RBM, torch.Tensor]:
    """The dense machine that `rbm` is, units in the order of their random numbers; its weights as a function of the kernels."""
    voxels = math.prod(rbm.visible.grid)
    each = torch.eye(voxels * rbm.visible.channels, dtype=torch.float64)
    each = each.view(-1, *rbm.visible.grid, rbm.visible.channels).movedim(-1, 1)
    weight = rbm.up(each).movedim(1, -1).flatten(1)
    dense = RBM(type(rbm.visible.units)(weight.shape[0]), type(rbm.hidden.units)(weight.shape[1])).double()
    state = {"weight": weight.detach()}
    for name, values in rbm.state_dict().items():
        if name != "weight":
            state[name.replace(".units", "")] = values.repeat(voxels if "visible" in name else rbm.hidden.places)
    dense.load_state_dict(state)
    return dense, weight


@pytest.mark.parametrize("hidden", [Bernoulli, ReLU, Gaussian])
@pytest.mark.parametrize("visible", [Bernoulli, Gaussian])
@pytest.mark.parametrize("sampled", [True, False], ids=["draws", "means"])
def test_a_step_is_that_of_the_dense_machine_with_tied_weights(visible, hidden, sampled):
    """The same random numbers for both, and what the dense step adds to equal weights and biases summed."""
    rbm = machine(visible(2), hidden(3), size=(3, 5), kernel=(2, 3), stride=(1, 2), spread=0.3)
    data = torch.rand(40, 2, 3, 5, dtype=torch.float64, generator=Generator().manual_seed(2))
    dense, weight = unrolled(rbm)
    objective = CD(2, sample_visible=sampled)
    stepper = Stepper(dense, objective, batch_size=40, steps=100, seed=0, learning_rate=1.0, schedule=PLAIN)
    stepper.step = 1
    before = {name: parameter.detach().clone() for name, parameter in dense.named_parameters()}
    stepper.block(data.movedim(1, -1).flatten(1)[None])
    added = {name: parameter.detach() - before[name] for name, parameter in dense.named_parameters()}
    (kernels,) = torch.autograd.grad((weight * added["weight"]).sum(), rbm.weight)
    change = update_of(rbm, data, objective)
    torch.testing.assert_close(change["weight"], kernels)
    torch.testing.assert_close(change["visible.units.bias"], added["visible.bias"].view(-1, 2).sum(0))
    torch.testing.assert_close(change["hidden.units.bias"], added["hidden.bias"].view(-1, 3).sum(0))


def move_offset(rbm: ConvolutionalRBM) -> None:
    """The first step, at a learning rate of zero: the hidden offset moves, and whatever makes up for that."""
    generator = Generator().manual_seed(2)
    data = torch.rand(5, rbm.visible.channels, *rbm.visible.grid, dtype=torch.float64, generator=generator)
    before = rbm.hidden_offset.clone()
    ConvolutionalStepper(rbm, CD(1), steps=9, seed=0, learning_rate=0.0).block([data])
    assert float((rbm.hidden_offset - before).abs().max()) > 0.01


@pytest.mark.parametrize("hidden", [Bernoulli, Gaussian])
def test_moving_the_offset_does_not_change_a_machine_with_kernels_of_one_voxel(hidden):
    """Every voxel is reached alike, so that a channel's bias takes up all of the change."""
    rbm = machine(Bernoulli(2), hidden(3), size=(2, 2), kernel=(1, 1))
    states = states_of(rbm.visible)
    h = torch.rand(4, 3, 2, 2, dtype=torch.float64, generator=Generator().manual_seed(3))
    p, below = (-rbm.free_energy(states)).log_softmax(0), rbm.visible.mean(rbm.visible_field(h))
    move_offset(rbm)
    torch.testing.assert_close((-rbm.free_energy(states)).log_softmax(0), p)
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_field(h)), below)


@pytest.mark.parametrize("make", [*MACHINES.values(), *VOXELS.values()])
def test_moving_the_offset_keeps_what_a_channel_receives_on_average(make):
    """Where voxels are reached by different units, their mean stays as it was."""
    rbm, generator = make(), Generator().manual_seed(3)
    h = torch.rand(4, rbm.hidden.channels, *rbm.hidden.grid, dtype=torch.float64, generator=generator)
    received = lambda: rbm.visible.total(rbm.visible_field(h)).flatten(2).mean(2)  # noqa: E731
    before = received()
    move_offset(rbm)
    torch.testing.assert_close(received(), before)


@pytest.mark.parametrize("name", MACHINES)
def test_data_from_the_model_itself_gives_no_update(name):
    rbm = MACHINES[name]()
    states = states_of(rbm.visible)
    p = (-rbm.free_energy(states)).softmax(0).detach()
    data = states[torch.multinomial(p, 12_000, replacement=True, generator=Generator().manual_seed(8))]
    for key, change in update_of(rbm, data, CD(1, sample_visible=True)).items():
        assert float(change.abs().max()) < 0.05 * math.sqrt(rbm.hidden.places), key


def test_momentum_decay_sparsity_and_schedule_by_hand():
    """Two steps of one 1 x 1 kernel on one voxel, float64; the positive phase is exact, the negative is replayed."""
    rbm = machine(Bernoulli(1), Bernoulli(1), size=(1, 1), kernel=(1, 1), centered=False)
    with torch.no_grad():
        rbm.visible_offset.zero_()
        rbm.hidden_offset.zero_()
    schedule = Schedule(
        momentum=0.5,
        final_momentum=0.5,
        weight_decay=0.1,
        final_rate=0.0,
        decay_from=0.0,
        sparsity=0.2,
        sparsity_cost=3.0,
    )
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    w, b, c = rbm.weight.item(), rbm.visible.bias.item(), rbm.hidden.bias.item()
    stepper = ConvolutionalStepper(rbm, CD(1), steps=2, seed=0, learning_rate=0.2, schedule=schedule)
    replay = Generator().manual_seed(0)
    moved = [0.0, 0.0, 0.0]
    for step in range(2):
        rate = 0.2 * (1 - step / 2)
        h = sigmoid(w + c)
        drawn = float(torch.rand(1, generator=replay, dtype=torch.float64).item() < h)
        v1 = sigmoid(w * drawn + b)
        h1 = sigmoid(w * v1 + c)
        gradients = (h - v1 * h1, 1 - v1, h - h1 - 3.0 * (h - 0.2))
        moved = [0.5 * m + 0.5 * rate * g for m, g in zip(moved, gradients, strict=True)]
        w, b, c = w * (1 - rate * 0.1) + moved[0], b + moved[1], c + moved[2]
        stepper.block([torch.ones(1, 1, 1, 1, dtype=torch.float64)])
        found = (rbm.weight.item(), rbm.visible.bias.item(), rbm.hidden.bias.item())
        assert found == pytest.approx((w, b, c), rel=1e-12), step


def test_a_stepper_restored_from_its_state_goes_on_with_the_same_bits():
    data = torch.randn(6, 20, 1, 5, 5, generator=Generator().manual_seed(1))

    def make() -> ConvolutionalStepper:
        rbm = ConvolutionalRBM(Gaussian(1), ReLU(3), size=(5, 5), kernel=(3, 3), stride=(2, 2))
        return ConvolutionalStepper(rbm, CD(2, sample_visible=True), steps=6, seed=4, learning_rate=0.01)

    whole, first = make(), make()
    whole.block(data)
    first.block(data[:3])
    state = {
        key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in first.state_dict().items()
    }
    second = make()
    second.load_state_dict(state)
    second.block(data[3:])
    for one, two in zip(whole.rbm.state_dict().values(), second.rbm.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("hidden", "pooling"), [(Bernoulli, None), (Bernoulli, (2, 2, 1)), (ReLU, None)])
def test_it_learns_to_reconstruct_smooth_volumes(hidden, pooling):
    generator = Generator().manual_seed(5)
    data = torch.nn.functional.avg_pool3d(torch.randn(600, 1, 8, 8, 6, generator=generator), 4, stride=1) * 6
    rbm = ConvolutionalRBM(
        Gaussian(1), hidden(8), size=(5, 5, 3), kernel=(2, 2, 2) if pooling else (3, 3, 3), pooling=pooling,
        std=0.1, generator=generator,
    )  # fmt: skip
    torch.rand(3)
    before = torch.get_rng_state()
    history = fit_convolutional(rbm, data, epochs=6, batch_size=10, generator=generator)
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    assert history.reconstruction[-1] < 0.6 * float(data.var()), history.reconstruction


def test_a_sparsity_target_is_approached():
    data = torch.randn(400, 1, 6, 6, generator=Generator().manual_seed(6))
    means = []
    for target in (None, 0.05):
        rbm = ConvolutionalRBM(Gaussian(1), Bernoulli(4), size=(6, 6), kernel=(3, 3))
        schedule = Schedule(learning_rate=0.05, sparsity=target, sparsity_cost=5.0)
        history = fit_convolutional(
            rbm, data, epochs=10, batch_size=20, generator=Generator().manual_seed(7), schedule=schedule
        )
        means.append(history.activation[-1])
    assert means[0] > 0.3 and means[1] == pytest.approx(0.05, abs=0.03)


def test_softmax_maps_are_trained():
    generator = Generator().manual_seed(0)
    rbm = ConvolutionalRBM(Softmax(1, 3), Bernoulli(4), size=(4, 4), kernel=(2, 2), stride=(2, 2), std=0.1)
    classes = torch.randint(3, (60, 1, 1), generator=generator).expand(-1, 4, 4)  # one for all voxels
    data = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()
    history = fit_convolutional(
        rbm, data, epochs=60, generator=generator, batch_size=10, objective=CD(1, sample_visible=True)
    )
    assert history.reconstruction[-1] < 0.5 * history.reconstruction[0]
    data[7, 1, 2, 3] = 0.5
    with pytest.raises(
        ValueError, match=r"row 7, voxel \(2, 3\) .* has .*0.5.* in its channels; softmax units can't take it"
    ):
        fit_convolutional(rbm, data, epochs=1, generator=generator)


def test_windows_are_what_a_kernel_sees():
    data = torch.arange(2 * 5 * 4, dtype=torch.float32).view(1, 2, 5, 4)
    found = windows(data, (3, 2), (2, 2), 200, Generator().manual_seed(1))
    expected = {tuple(data[0, :, i : i + 3, j : j + 2].flatten().tolist()) for i in (0, 2) for j in (0, 2)}
    assert {tuple(row.tolist()) for row in found} == expected


def test_what_can_not_be_trained_is_refused():
    rbm = ConvolutionalRBM(Gaussian(1), Bernoulli(2), size=(4, 4), kernel=(2, 2))
    with pytest.raises(ValueError, match=r"contrastive divergence .* only"):
        ConvolutionalStepper(rbm, Tempered(), steps=1, seed=0, learning_rate=0.1)
    rectified = ConvolutionalRBM(Gaussian(1), ReLU(2), size=(4, 4), kernel=(2, 2))
    with pytest.raises(ValueError, match="run away to infinity"):
        ConvolutionalStepper(rectified, PCD(1), steps=1, seed=0, learning_rate=0.1)
    learned = ConvolutionalRBM(Gaussian(1, learn_variance=True), Bernoulli(2), size=(4, 4), kernel=(2, 2))
    with pytest.raises(ValueError, match="do not learn the variance"):
        ConvolutionalStepper(learned, CD(1), steps=1, seed=0, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"shape \(3, 1, 4, 5\); expected rows of \(1, 4, 4\)"):
        fit_convolutional(rbm, torch.zeros(3, 1, 4, 5), epochs=1, generator=Generator())
    data = torch.zeros(3, 1, 4, 4)
    data[2, 0, 1, 1] = float("nan")
    with pytest.raises(ValueError, match=r"row 2, voxel \(1, 1\) of the data has nan in channel 0; it must be finite"):
        fit_convolutional(rbm, data, epochs=1, generator=Generator())
    with pytest.raises(Diverged, match="Lower the learning rate"):
        fit_convolutional(
            ConvolutionalRBM(Gaussian(1), ReLU(2), size=(4, 4), kernel=(2, 2)), 50 * torch.randn(200, 1, 4, 4),
            epochs=5, generator=Generator(), schedule=Schedule(learning_rate=10.0),
        )  # fmt: skip


def test_the_default_rate_falls_with_the_variance_and_stays_modest_for_bounded_sides():
    data = torch.randn(500, 1, 6, 6, generator=Generator().manual_seed(9))
    rate = lambda visible, hidden, scale: safe_convolutional_rate(  # noqa: E731
        ConvolutionalRBM(visible(1), hidden(2), size=(6, 6), kernel=(3, 3)),
        scale * data,
        batch_size=50,
        sweeps=1,
        seed=0,
    )
    assert rate(Bernoulli, Bernoulli, 1.0) == 0.1
    assert rate(Gaussian, ReLU, 10.0) == pytest.approx(rate(Gaussian, ReLU, 5.0) / 4, rel=1e-4)
    assert rate(Gaussian, ReLU, 5.0) < rate(Gaussian, Bernoulli, 5.0)
