"""fit_rbm: learns, repeats itself bit for bit, cuts data as promised, and stops with a sentence when it must."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Generator

from scanprior.energy.hybrid import Hybrid
from scanprior.energy.joint import Joint
from scanprior.energy.likelihood import log_likelihood, log_partition_exact
from scanprior.energy.named import objective_named
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper, main_variance, safe_learning_rate, schedule_of
from scanprior.energy.training import Standardiser, blocks, check_data, fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax
from scanprior.energy.velocity import Diverged
from scanprior.energy.workspace import Workspace


def stripes(n: int = 400) -> torch.Tensor:
    """Rows of four bits that are on or off together, 12 bits in all, with a tenth of the bits flipped."""
    generator = Generator().manual_seed(1)
    data = torch.randint(0, 2, (n, 3), generator=generator).repeat_interleave(4, 1)
    return (data ^ (torch.rand(n, 12, generator=generator) < 0.1)).float()


@pytest.mark.parametrize("objective", [CD(1), CD(5, sample_visible=True), PCD(1, 50)], ids=["cd1", "cd5", "pcd1"])
def test_it_finds_the_structure_of_the_data(objective):
    data, rbm = stripes(), RBM(Bernoulli(12), Bernoulli(6))
    independent = -sum(
        float(torch.nn.functional.binary_cross_entropy(data[:, i].mean().expand(400), data[:, i])) for i in range(12)
    )
    fit_rbm(rbm, data, epochs=60, generator=Generator().manual_seed(2), objective=objective, batch_size=20)
    likelihood = float(log_likelihood(rbm, data, log_partition_exact(rbm)).mean())
    assert (
        likelihood > independent + 1.5
    )  # three shared bits: at most 3 x 4 x (ln 2 - H(0.1)) - 3 ln 2 = 2.3 nats to gain


@pytest.mark.parametrize("visible", [Bernoulli, Gaussian])
@pytest.mark.parametrize("hidden", [Bernoulli, ReLU])
def test_reconstruction_improves_with_default_settings(visible, hidden):
    data = stripes()
    if visible is Gaussian:
        data = Standardiser.of(data)(data)
    history = fit_rbm(RBM(visible(12), hidden(8)), data, epochs=30, generator=Generator().manual_seed(2), batch_size=20)
    assert history.reconstruction[-1] < 0.8 * history.reconstruction[0]
    assert len(history.activation) == len(history.weight_norm) == 30


def test_seeds_reproduce_bit_for_bit_and_the_global_generator_is_left_alone():
    bits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        rbm = RBM(Bernoulli(12), Bernoulli(6), generator=Generator().manual_seed(4))
        fit_rbm(rbm, stripes(), epochs=3, generator=Generator().manual_seed(5), objective=PCD(1, 7), batch_size=30)
        assert torch.equal(state, torch.get_rng_state())
        bits.append(rbm.weight.detach().clone())
    assert torch.equal(*bits)


@pytest.mark.parametrize("centered", [True, False], ids=["centered", "plain"])
def test_centering_makes_learning_blind_to_flipped_bits(centered):
    """Bits that are on one time in nine, and their complements (Melchior, Fischer & Wiskott 2016).

    Two centered machines that begin with weights of opposite sign and draw the same hidden states stay mirror images of each
    other, but for rounding; two plain ones do not.
    """
    bits, found = torch.eye(9, dtype=torch.float64).repeat(10, 1), []
    schedule = Schedule(learning_rate=4.0, weight_decay=0.0)
    for data, sign in ((bits, 1.0), (1 - bits, -1.0)):
        rbm = RBM(Bernoulli(9), Bernoulli(4), centered=centered, std=0.1).double()
        rbm.weight.data.mul_(sign)
        fit_rbm(rbm, data, epochs=60, generator=Generator().manual_seed(1), batch_size=30, schedule=schedule)
        found.append(log_likelihood(rbm, data[:9], log_partition_exact(rbm)))
    assert float(found[0].mean()) > -3.0, "independent bits have -3.14"
    difference = float((found[0] - found[1]).abs().max())
    assert difference < 1e-6 if centered else difference > 0.1, difference


def test_every_row_is_used_once_an_epoch():
    cut = blocks(torch.arange(23), 4, batches=3)
    assert [tuple(block.shape) for block in cut] == [(3, 4), (2, 4), (1, 3)]
    assert torch.equal(torch.cat([block.flatten() for block in cut]), torch.arange(23))
    assert [tuple(block.shape) for block in blocks(torch.arange(3), 4)] == [(1, 3)]


def test_how_a_block_is_cut_does_not_matter():
    """Row numbers or gathered rows, one block of eight or eight of one."""
    data, rows = stripes(), torch.arange(80).view(8, 10)
    bits = []
    for feed in (
        lambda stepper: stepper.block(data, rows),
        lambda stepper: [stepper.block(data, row[None]) for row in rows],
        lambda stepper: stepper.block(data[rows]),
        lambda stepper: stepper.block(data[row] for row in rows),
    ):
        rbm = RBM(Bernoulli(12), Bernoulli(6))
        feed(Stepper(rbm, CD(1), batch_size=10, steps=8, seed=3, learning_rate=0.1))
        bits.append(rbm.weight.detach().clone())
    assert all(torch.equal(bits[0], other) for other in bits[1:])


@pytest.mark.parametrize("objective", ["cd1", "cd2-sampled", "pcd2", "pt3"])
def test_a_stepper_goes_on_from_its_saved_state_bit_for_bit(objective, tmp_path):
    data, rows = stripes(), torch.arange(160).view(16, 10)

    def make() -> Stepper:
        chosen = objective_named(objective, batch_size=10)
        return Stepper(RBM(Bernoulli(12), Bernoulli(6)), chosen, batch_size=10, steps=16, seed=3, learning_rate=0.1)

    whole = make()
    whole.block(data, rows)
    first = make()
    first.block(data, rows[:7])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = make()
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.block(data, rows[7:])
    assert torch.equal(whole.rbm.weight, second.rbm.weight)
    assert torch.equal(whole.weight_velocity, second.weight_velocity)


def test_training_samples_of_the_user_do_not_move_the_chains():
    objective, rbm = PCD(1, 5), RBM(Bernoulli(12), Bernoulli(6))
    fit_rbm(rbm, stripes(), epochs=1, generator=Generator().manual_seed(1), objective=objective)
    chain = objective.chain.clone()
    rbm.gibbs(stripes(9), 3, Generator().manual_seed(2))
    assert torch.equal(chain, objective.chain)


def test_sparsity_pulls_the_activations_to_the_target():
    active = {}
    for target in (None, 0.05):
        rbm = RBM(Bernoulli(12), Bernoulli(20))
        schedule = Schedule(sparsity=target, sparsity_cost=5.0)
        history = fit_rbm(
            rbm, stripes(), epochs=40, generator=Generator().manual_seed(1), schedule=schedule, batch_size=20
        )
        active[target] = history.activation[-1]
    assert abs(active[0.05] - 0.05) < 0.05 < active[None] - 0.2


def test_one_row_and_one_hidden_unit_will_do():
    rbm = RBM(Gaussian(3), ReLU(1))
    fit_rbm(rbm, torch.ones(1, 3), epochs=2, generator=Generator().manual_seed(0))
    assert torch.isfinite(rbm.weight).all()


def test_the_safe_step_does_not_diverge_on_strongly_correlated_data_and_a_large_one_is_diagnosed():
    generator = Generator().manual_seed(0)
    data = torch.randn(2000, 1, generator=generator) + 0.1 * torch.randn(2000, 500, generator=generator)
    data = Standardiser.of(data)(data)
    history = fit_rbm(RBM(Gaussian(500), ReLU(50)), data, epochs=5, generator=generator)
    assert history.reconstruction[-1] < 0.2
    with pytest.raises(Diverged, match=r"diverged by step .* Lower the learning rate .it was 0.5"):
        fit_rbm(RBM(Gaussian(500), ReLU(50)), data, epochs=5, generator=generator, schedule=Schedule(learning_rate=0.5))


def test_main_variance_is_the_largest_eigenvalue():
    data = torch.randn(300, 8, generator=Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 9.0)) + 5
    expected = torch.linalg.eigvalsh(torch.cov(data.t(), correction=0))[-1]
    assert main_variance(data, rounds=200) == pytest.approx(float(expected), rel=1e-3)
    scale = torch.linspace(0.1, 2, 8)
    assert main_variance(data + 5, scale, rounds=200) == pytest.approx(
        main_variance(data * scale, rounds=200), rel=1e-3
    )
    assert safe_learning_rate(RBM(Bernoulli(8), Bernoulli(2)), data, batch_size=9) == 0.1
    small = [
        safe_learning_rate(RBM(Gaussian(8), ReLU(2)), data, batch_size=n, sweeps=k) for n, k in ((9, 1), (1, 1), (9, 2))
    ]
    assert small[0] > small[1] > 0 and small[2] == pytest.approx(small[0] / 2)


def test_wrong_data_is_refused_with_the_place():
    rbm = RBM(Bernoulli(12), Bernoulli(6))
    data = stripes()
    data[7, 3] = float("inf")
    with pytest.raises(ValueError, match="row 7, column 3 of the data is inf"):
        fit_rbm(rbm, data, epochs=1, generator=Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"shape \(5, 4\); expected rows of 12"):
        fit_rbm(rbm, torch.zeros(5, 4), epochs=1, generator=Generator().manual_seed(0))
    stepper = Stepper(rbm, CD(1), batch_size=3, steps=1, seed=0, learning_rate=0.1)
    with pytest.raises(ValueError, match="4 rows; this step was made for at most 3"):
        stepper.block(torch.zeros(1, 4, 12))


def test_a_broken_value_is_found_in_long_data_and_large_values_are_not_taken_for_one():
    data = torch.zeros(25_000, 2)
    data[:, 0] = 3e38  # their sum is infinite
    check_data(data, Gaussian(2))
    data[20_001, 1] = float("nan")
    with pytest.raises(ValueError, match="row 20001, column 1 of the data is nan"):
        check_data(data, Gaussian(2))


@pytest.mark.parametrize(
    "fit",
    [
        "fit_rbm(RBM(Bernoulli(784), Bernoulli(8)), data, **how)",
        "fit_rbm(RBM(Gaussian(784), Bernoulli(8)), data, **how)",
        "fit_convolutional(ConvolutionalRBM(Gaussian(1), ReLU(2), size=(28, 28), kernel=(7, 7), stride=(7, 7)), "
        "data.view(-1, 1, 28, 28), **how)",
    ],
    ids=["bernoulli", "gaussian", "convolutional"],
)
def test_training_needs_no_copy_of_the_data(fit):
    """Peak memory of a process of its own, before and after."""
    code = f"""
import resource, torch
from scanprior.energy.convolution import ConvolutionalRBM
from scanprior.energy.convolution_training import fit_convolutional
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU
torch.set_num_threads(1)
how = dict(epochs=1, generator=torch.Generator().manual_seed(0), batch_size=500)
peaks = []
for rows in (1000, 30_000):
    data = torch.rand(rows, 784)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    {fit}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - peaks[-1])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(said.stdout) < 30, "the data are 90 MiB, a mini-batch 1.5"


def test_chains_that_go_on_are_not_hurried():
    machine = RBM(Bernoulli(3), Bernoulli(2))
    made = [Stepper(machine, one, batch_size=2, steps=1, seed=0, learning_rate=0.1) for one in (CD(1), PCD(1, 2))]
    assert [stepper.schedule.final_momentum for stepper in made] == [0.9, 0.5]
    asked = Stepper(machine, PCD(1, 2), batch_size=2, steps=1, seed=0, learning_rate=0.1, schedule=Schedule())
    assert asked.schedule.final_momentum == 0.9
    assert schedule_of(Hybrid(2, inner=PCD(1, 2))).final_momentum == 0.5


def test_a_step_on_broken_data_names_the_data_and_not_the_rate():
    data = torch.rand(6, 3)
    data[1, 2] = float("nan")
    for how in ((data.view(3, 2, 3),), (data, torch.arange(6).view(3, 2)), ([data[:2]],)):
        stepper = Stepper(RBM(Gaussian(3), Bernoulli(2)), CD(1), batch_size=2, steps=3, seed=0, learning_rate=0.1)
        with pytest.raises(ValueError, match="data that are not finite by step"):
            stepper.block(*how)


def test_wrong_objectives_are_refused():
    with pytest.raises(ValueError, match="can't learn the variance"):
        fit_rbm(RBM(Gaussian(3, learn_variance=True), Bernoulli(2)), torch.zeros(4, 3), epochs=1, generator=Generator())
    with pytest.raises(ValueError, match="run away to infinity"):
        fit_rbm(RBM(Gaussian(3), ReLU(2)), torch.zeros(4, 3), epochs=1, generator=Generator(), objective=PCD(1, 2))
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        CD(0)


def test_label_units_learn_which_group_goes_with_what():
    data = stripes()
    labels = torch.nn.functional.one_hot(data[:, :4].mean(1).round().long(), 2).float()
    rbm = RBM(Softmax(1, 2), Bernoulli(4))
    history = fit_rbm(rbm, labels, epochs=30, generator=Generator().manual_seed(1), batch_size=20)
    assert history.reconstruction[-1] < history.reconstruction[0]


def test_a_constant_column_is_left_at_its_mean():
    rows = torch.randn(50, 3, generator=Generator().manual_seed(0))
    rows[:, 1] = 4.0
    standardised = Standardiser.of(rows)(rows)
    own = rows.clone()
    assert Standardiser.of(rows).apply_(own) is own and torch.equal(own, standardised)
    assert torch.equal(standardised[:, 1], torch.zeros(50))
    torch.testing.assert_close(standardised[:, [0, 2]].std(0, unbiased=False), torch.ones(2))


@pytest.mark.parametrize(
    ("units", "value", "said"),
    [
        (Bernoulli(6), 255.0, "row 2, column 4 of the data is 255; bernoulli units can't take it"),
        (Bernoulli(6), -0.5, "can't take it"),
        (ReLU(6), -0.5, "rectified units can't take it"),
        (Softmax(2, 3), 1.0, "softmax units can't take it"),
        (Joint(Bernoulli(3), Softmax(1, 3)), 0.7, "joint units can't take it"),
        (Gaussian(6), float("inf"), "row 2, column 4 of the data is inf; it must be finite"),
    ],
    ids=lambda one: getattr(one, "kind", None),
)
def test_values_that_the_units_cannot_take_are_named(units, value, said):
    data = torch.zeros(5, 6)
    data[:, [0, 3]] = 1.0
    check_data(data, units)
    data[2, 4] = value
    with pytest.raises(ValueError, match=said):
        check_data(data, units)


def test_probabilities_that_were_computed_pass():
    softmax = torch.randn(50, 6, generator=Generator().manual_seed(0)).unflatten(1, (2, 3)).softmax(-1).flatten(1)
    check_data(softmax, Softmax(2, 3))
    check_data(softmax, Bernoulli(6))


def test_a_block_of_another_shape_is_refused_and_never_broadcast():
    stepper = Stepper(RBM(Bernoulli(12), Bernoulli(3)), CD(1), batch_size=20, steps=9, seed=0, learning_rate=0.1)
    data = stripes(40)
    for wrong in (data, [data[:10, :1]], [data[0]]):
        with pytest.raises(ValueError, match="expected rows of 12"):
            stepper.block(wrong)
    with pytest.raises(ValueError, match="at least one mini-batch"):
        stepper.block([])
    assert stepper.step == 0


def test_weights_that_ran_away_are_seen_even_when_the_biases_did_not():
    stepper = Stepper(RBM(Bernoulli(12), Bernoulli(3)), CD(1), batch_size=20, steps=9, seed=0, learning_rate=0.1)
    stepper.weight_velocity[0, 0] = torch.inf
    with pytest.raises(Diverged):
        stepper.require_finite()


def test_a_hidden_variance_is_not_learned_in_silence():
    with pytest.raises(ValueError, match="on the visible side only"):
        fit_rbm(
            RBM(Bernoulli(12), Gaussian(3, learn_variance=True)),
            stripes(),
            epochs=1,
            generator=Generator().manual_seed(0),
        )


def test_a_folded_machine_trains_as_the_machine_that_it_is():
    """Standardised and folded (`RBM.fold`), a machine has offsets also where it isn't centered."""
    rbm = RBM(Gaussian(12), Bernoulli(3), centered=False)
    data = stripes() * 3 + 5
    standard = Standardiser.of(data)
    fit_rbm(rbm, standard(data), epochs=2, generator=Generator().manual_seed(0))
    rbm.fold(standard.mean, standard.std)
    work = Workspace(rbm, 10, 10)
    shown = work.show_visible_(data[:10].clone())
    torch.testing.assert_close(shown @ rbm.weight, rbm.hidden_field(data[:10]))
    torch.testing.assert_close(work.visible_states(shown), data[:10])
