"""The hybrid objective against enumeration: its expected step is the gradient of log p(y | x) + a log p(x, y)."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import Exact, log_z_of, machine, update_of
from torch import Generator

from scanprior.energy.hybrid import Hybrid
from scanprior.energy.joint import Joint, label_log_probability, with_labels
from scanprior.energy.objectives import CD, PCD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Stepper
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, Softmax

CLASSES = 3


def labelled(centered: bool = True, pixels=None) -> RBM:
    return machine(Joint(pixels or Bernoulli(4), Softmax(1, CLASSES)), Bernoulli(3), centered=centered)


def rows(n: int, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = Generator().manual_seed(seed)
    x = torch.randint(0, 2, (n, 4), generator=generator).double()
    return x, torch.randint(0, CLASSES, (n,), generator=generator)


def conditional(rbm: RBM, x: torch.Tensor) -> torch.Tensor:
    """log p(y | x) by comparing the free energies of x with every label."""
    energies = [rbm.free_energy(with_labels(x, torch.full((len(x),), y), CLASSES)) for y in range(CLASSES)]
    return (-torch.stack(energies, 1)).log_softmax(1)


@pytest.mark.parametrize("centered", [True, False], ids=["centered", "plain"])
@pytest.mark.parametrize("pixels", [Bernoulli, Gaussian])
def test_label_probabilities_are_those_of_the_free_energies(centered, pixels):
    rbm = labelled(centered, pixels(4))
    x = rows(6)[0]
    torch.testing.assert_close(label_log_probability(rbm, x), conditional(rbm, x))


@pytest.mark.parametrize("generative", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("centered", [True, False], ids=["centered", "plain"])
def test_expected_step_is_the_gradient_of_the_hybrid_likelihood(centered, generative):
    rbm = labelled(centered)
    x, y = rows(7)
    data = with_labels(x, y, CLASSES)
    states = rbm.visible.states()
    p = (-rbm.free_energy(states)).softmax(0).detach()
    total = {name: torch.zeros_like(parameter) for name, parameter in rbm.named_parameters()}
    for state, weight in zip(states, p, strict=True):
        step = update_of(rbm, data, Hybrid(CLASSES, generative=generative, inner=Exact(state[None])))
        for name, change in step.items():
            total[name] += weight * change
    likelihood = conditional(rbm, x).gather(1, y[:, None]).mean()
    likelihood = likelihood + generative * ((-rbm.free_energy(data)).mean() - log_z_of(rbm))
    parameters = dict(rbm.named_parameters())
    gradients = torch.autograd.grad(likelihood, list(parameters.values()))
    for name, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(
            total[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("inner", [CD(1), PCD(1, 11)], ids=["cd", "pcd"])
def test_it_learns_to_name_the_class_and_goes_on_bit_for_bit(inner, tmp_path):
    """The class is the parity of two bits, which no linear classifier can tell."""
    x, _ = rows(200)
    y = (x[:, 0].long() ^ x[:, 1].long()) + 0
    data, order = with_labels(x, y, 2).float(), torch.arange(200).view(20, 10)

    def make() -> Stepper:
        rbm = RBM(Joint(Bernoulli(4), Softmax(1, 2)), Bernoulli(12), std=0.5)
        objective = Hybrid(2, generative=0.05, inner=type(inner)(*([1, 11] if isinstance(inner, PCD) else [1])))
        return Stepper(rbm, objective, batch_size=10, steps=60 * 20, seed=3, learning_rate=0.5)

    whole, first, second = make(), make(), make()
    whole.block(data, order)
    first.block(data, order[:7])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.block(data, order[7:])
    assert torch.equal(whole.rbm.weight, second.rbm.weight)
    for _ in range(59):
        whole.block(data, order)
    assert bool((label_log_probability(whole.rbm, x.float()).argmax(1) == y).all())


def test_a_joint_layer_is_its_parts_side_by_side():
    units = Joint(Bernoulli(2), Softmax(1, 3)).double()
    with torch.no_grad():
        units.bias.normal_(generator=Generator().manual_seed(1))
    states = units.states()
    assert states.shape == (12, 5) and len(states.unique(dim=0)) == 12
    field = torch.randn(4, 5, dtype=torch.float64, generator=Generator().manual_seed(2))
    torch.testing.assert_close(units.log_partition(field), (field @ states.t() - units.energy(states)).logsumexp(1))
    mean = units.mean(field)
    torch.testing.assert_close(mean[:, 2:].sum(1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(units.activation()(field + units.bias), mean)
    drawn = units.sample(field[:1].expand(40_000, -1), Generator().manual_seed(3))
    assert float((drawn.mean(0) - mean[0].detach()).abs().max()) < 0.0125  # five standard errors
    assert [name for name, _ in units.named_parameters()] == ["bias"] and list(units.state_dict()) == ["bias"]


def test_a_joint_layer_starts_from_the_data():
    x, y = rows(300)
    data = with_labels(x, y, CLASSES)
    rbm = RBM(Joint(Bernoulli(4), Softmax(1, CLASSES)), Bernoulli(2), std=0.0).double()
    rbm.start_from(data.mean(0), data.var(0))
    none = torch.zeros(1, rbm.visible.size, dtype=torch.float64)
    torch.testing.assert_close(rbm.visible.mean(none)[0].detach(), data.mean(0))


def test_gaussian_voxels_beside_labels_are_learned():
    generator = Generator().manual_seed(1)
    y = torch.randint(0, 2, (300,), generator=generator)
    x = torch.randn(300, 5, generator=generator) + 1.5 * (2 * y[:, None] - 1)
    rbm = RBM(Joint(Gaussian(5), Softmax(1, 2)), Bernoulli(4))
    fit_rbm(rbm, with_labels(x, y, 2), epochs=30, generator=generator, objective=Hybrid(2), batch_size=20)
    assert float((label_log_probability(rbm, x).argmax(1) == y).float().mean()) > 0.95


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"no label units: its visible layer is bernoulli"):
        label_log_probability(RBM(Bernoulli(4), Bernoulli(2)), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="has 3 label units; this objective is for 2"):
        Stepper(labelled(), Hybrid(2), batch_size=1, steps=1, seed=0, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"got 1, 0\.1"):
        Hybrid(1)
    with pytest.raises(ValueError, match="variance 1"):
        Joint(Gaussian(3, learn_variance=True), Softmax(1, 2))
