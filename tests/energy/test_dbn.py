"""The stack: what it encodes, generates and turns into."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import machine
from torch import Generator

from scanprior.energy.dbn import DBN, needs_standardiser, top_states, visible_above
from scanprior.energy.joint import Joint, with_labels
from scanprior.energy.rbm import RBM
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, ReLU, Softmax
from scanprior.energy.updown import UpDown


def stack(kind: str) -> DBN:
    if kind == "bernoulli":
        machines = [RBM(Gaussian(9), Bernoulli(6)), RBM(Bernoulli(6), Bernoulli(4))]
    elif kind == "rectified":
        machines = [RBM(Gaussian(9), ReLU(6)), RBM(Gaussian(6), ReLU(4))]
    else:
        machines = [RBM(Bernoulli(9), Softmax(2, 3)), RBM(Softmax(2, 3), Bernoulli(4))]
    generator = Generator().manual_seed(1)
    dbn = DBN(machines)
    for tensor in dbn.state_dict().values():
        tensor.normal_(0, 0.4, generator=generator)
    return dbn


KINDS = ["bernoulli", "rectified", "softmax"]


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_classifier_and_autoencoder_compute_what_the_stack_does(kind):
    dbn, v = stack(kind), torch.randn(5, 9, generator=Generator().manual_seed(2))
    top = dbn.encode(v)
    assert top.shape == (5, 4) and dbn.sizes == (9, 6, 4)
    torch.testing.assert_close(dbn.encoder()(v), top)
    torch.testing.assert_close(dbn.unroll()(v), dbn.decode(top))
    classifier = dbn.classifier(3, generator=Generator().manual_seed(3))
    torch.testing.assert_close(classifier[:-1](v), top)
    assert classifier(v).shape == (5, 3)
    assert torch.equal(dbn.encode(v, 1), dbn.machines[0].hidden.mean(dbn.machines[0].hidden_field(v)))


def test_the_networks_have_parameters_of_their_own():
    dbn = stack("rectified")
    before = dbn.machines[0].weight.detach().clone()
    network = dbn.classifier(2)
    network(torch.randn(4, 9)).sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.sub_(parameter.grad)
    assert torch.equal(before, dbn.machines[0].weight)


def test_dropout_is_only_there_when_asked_for():
    assert not any(isinstance(m, torch.nn.Dropout) for m in stack("bernoulli").classifier(2))
    assert sum(isinstance(m, torch.nn.Dropout) for m in stack("bernoulli").classifier(2, dropout=0.3)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_generation_is_reproducible_and_starts_from_data_when_asked(kind):
    dbn = stack(kind)
    one, two = (dbn.generate(6, Generator().manual_seed(4), sweeps=20) for _ in range(2))
    assert torch.equal(one, two) and one.shape == (6, 9) and torch.isfinite(one).all()
    assert dbn.generate(3, Generator().manual_seed(4), sweeps=1, start=torch.rand(3, 9)).shape == (3, 9)


def test_a_single_machine_generates_its_own_distribution():
    data = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).repeat(100, 1)
    rbm = RBM(Bernoulli(4), Bernoulli(3))
    fit_rbm(rbm, data, epochs=150, generator=Generator().manual_seed(1), batch_size=20)
    samples = DBN([rbm]).generate(400, Generator().manual_seed(2), sweeps=50).round()
    known = (samples[:, 0] == samples[:, 1]) & (samples[:, 2] == samples[:, 3]) & (samples[:, 0] != samples[:, 2])
    assert known.float().mean() > 0.85


@pytest.mark.parametrize("net", [DBN, lambda layers: UpDown(DBN(layers))], ids=["stack", "up-down"])
def test_states_are_drawn_on_the_way_down_and_only_the_last_ones_are_means(net):
    """Means of each bit and of each pair's product, by enumeration of what lies between two machines; no layer is linear."""
    layers = [machine(Bernoulli(3), Bernoulli(hidden), spread=1.5, seed=4) for hidden in (3, 2)]
    bottom, top = layers
    between = top.visible.states()
    p = (-top.free_energy(between)).softmax(0).detach()
    means = bottom.visible.mean(bottom.visible_field(between)).detach()
    made = net(layers).generate(20_000, Generator().manual_seed(2), sweeps=30).detach()
    torch.testing.assert_close(made.mean(0), p @ means, rtol=0, atol=0.012)
    torch.testing.assert_close(made.t() @ made / 20_000, means.t() @ (p[:, None] * means), rtol=0, atol=0.012)


def test_the_next_machine_gets_fitting_visible_units():
    assert visible_above(Bernoulli(3)).kind == "bernoulli" and not needs_standardiser(Bernoulli(3))
    assert visible_above(ReLU(3)).kind == "gaussian" and needs_standardiser(ReLU(3))
    above = visible_above(Softmax(2, 3))
    assert isinstance(above, Softmax) and above.n == 3


def labelled_stack() -> DBN:
    """Two machines, the upper one with three label units, all parameters random."""
    dbn = DBN([RBM(Gaussian(9), Bernoulli(6)), RBM(Joint(Bernoulli(6), Softmax(1, 3)), Bernoulli(4))])
    generator = Generator().manual_seed(1)
    for tensor in dbn.state_dict().values():
        tensor.normal_(0, 0.4, generator=generator)
    return dbn


def test_label_units_at_the_top_are_no_part_of_the_networks():
    dbn, v = labelled_stack(), torch.randn(5, 9, generator=Generator().manual_seed(2))
    assert dbn.sizes == (9, 6, 4) and dbn.labels == 3
    top = dbn.encode(v)
    torch.testing.assert_close(dbn.encoder()(v), top)
    torch.testing.assert_close(dbn.classifier(3)[:-1](v), top)
    torch.testing.assert_close(dbn.unroll()(v), dbn.decode(top))
    p = dbn.label_log_probability(v).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(5))


def test_clamped_labels_condition_what_is_generated():
    """The top's joint distribution given a label, by enumeration, carried down by the means."""
    dbn = labelled_stack()
    top = dbn.machines[1]
    with torch.no_grad():
        top.weight[-3:] *= 6
    labels = torch.arange(3).repeat_interleave(8000)
    samples = dbn.generate(len(labels), Generator().manual_seed(3), sweeps=40, labels=labels)
    bits = Bernoulli(6).states()
    for label in range(3):
        p = (-top.free_energy(with_labels(bits, torch.full((64,), label), 3))).softmax(0)
        expected = p @ dbn.machines[0].visible.mean(dbn.machines[0].visible_field(bits))
        torch.testing.assert_close(samples[labels == label].mean(0), expected.detach(), rtol=0, atol=0.05)
    free = dbn.generate(50, Generator().manual_seed(3), sweeps=5, start=torch.randn(50, 9))
    assert free.shape == (50, 9)
    with pytest.raises(ValueError, match="has no label units"):
        stack("bernoulli").generate(2, Generator(), sweeps=1, labels=torch.zeros(2, dtype=torch.long))


def test_one_row_is_encoded_as_among_others():
    """learnergy 2.0 standardises each batch by itself, so that a single row becomes zero."""
    for dbn in (stack("bernoulli"), stack("rectified"), labelled_stack()):
        v = torch.randn(5, 9, generator=Generator().manual_seed(2))
        torch.testing.assert_close(torch.cat([dbn.encode(row[None]) for row in v]), dbn.encode(v))


def test_machines_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="6 hidden units can't carry one with 5 visible"):
        DBN([RBM(Bernoulli(9), Bernoulli(6)), RBM(Bernoulli(5), Bernoulli(4))])
    with pytest.raises(ValueError, match="at least one machine"):
        DBN([])


def far_means() -> RBM:
    """A Gaussian machine whose four means lie further from its bias than its deviation reaches, each as likely."""
    rbm = RBM(Gaussian(4), Bernoulli(2), centered=False).double()
    with torch.no_grad():
        rbm.weight.copy_(torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]]))
        rbm.hidden.bias.fill_(-81.0)  # what the square of the means adds to log Z
    return rbm


def test_a_chain_under_units_with_ends_goes_as_far_as_the_machine():
    rbm, generator = far_means(), Generator().manual_seed(0)
    torch.testing.assert_close(
        (-rbm.hidden_free_energy(rbm.hidden.states())).softmax(0), torch.full((4,), 0.25).double()
    )
    start = rbm.visible.sample(rbm.visible_field(rbm.hidden.states().repeat(50, 1)), generator)
    made = DBN([rbm]).generate(200, generator, sweeps=20, start=start)
    torch.testing.assert_close(made.amax(0), torch.full((4,), 9.0).double())
    assert float((made > 5).double().mean()) == 0.5


def test_features_beside_labels_are_held_as_well():
    rbm, generator = RBM(Joint(Gaussian(9), Softmax(1, 3)), ReLU(6)), Generator().manual_seed(0)
    torch.nn.init.normal_(rbm.weight, 0, 3, generator=generator)
    labels = torch.arange(21) % 3
    states = top_states(rbm, 21, generator, sweeps=80, labels=labels)
    assert torch.isfinite(states).all() and bool(states.any())


def test_a_chain_of_rectified_units_is_held():
    """Weights beyond a gain of one multiply a state in every sweep."""
    rbm, generator = RBM(Gaussian(9), ReLU(6)), Generator().manual_seed(0)
    torch.nn.init.normal_(rbm.weight, 0, 3, generator=generator)
    made = DBN([rbm]).generate(20, generator, sweeps=200)
    assert torch.isfinite(made).all()
    states = top_states(rbm, 20, generator, sweeps=50)
    assert torch.isfinite(states).all()
