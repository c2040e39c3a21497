"""The up-down algorithm: gradients against autograd, a fixed point where theory has one, and a better model of the data."""

from __future__ import annotations

import pytest
import torch
from tiny_machines import machine
from torch import Generator, Tensor

from scanprior.energy.dbn import DBN
from scanprior.energy.joint import Joint
from scanprior.energy.objectives import CD
from scanprior.energy.rbm import RBM
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.training import fit_rbm
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, ReLU, Softmax
from scanprior.energy.updown import Layer, UpDown, fit_up_down
from scanprior.energy.velocity import Diverged


def log_likelihood(model: UpDown, v: Tensor) -> Tensor:
    """log p(v) of a net with one generative layer below the top, by enumeration of what the layer is given."""
    states = model.top.visible.states()
    prior = (-model.top.free_energy(states)).log_softmax(0)
    p = model.generative[0].mean(states).clamp(1e-12, 1 - 1e-12)
    given = v @ p.log().t() + (1 - v) @ (1 - p).log().t()
    return (given + prior).logsumexp(1)


@pytest.mark.parametrize("kind", [Bernoulli(4), Softmax(2, 2), Gaussian(4)], ids=lambda kind: kind.kind)
def test_the_delta_rule_is_the_gradient_of_the_log_likelihood(kind):
    generator = Generator().manual_seed(1)
    weight = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    layer = Layer(weight, torch.randn(4, dtype=torch.float64, generator=generator), kind.double())
    given = torch.rand(6, 3, dtype=torch.float64, generator=generator)
    wanted = layer.sample(given, generator)
    total = given @ layer.weight.t() + layer.bias
    likelihood = ((wanted * total).sum(1) - kind.log_partition(total)).mean()  # its bias is zero
    expected = torch.autograd.grad(likelihood, [layer.weight, layer.bias])
    before = [layer.weight.detach().clone(), layer.bias.detach().clone()]
    layer.teach(given, wanted, 1.0)
    torch.testing.assert_close(layer.weight.detach() - before[0], expected[0])
    torch.testing.assert_close(layer.bias.detach() - before[1], expected[1])


def test_where_the_prior_is_complementary_nothing_changes_on_average():
    """A stack whose top is the machine below turned over models what that machine does, and its recognition is exact."""
    rbm = machine(Bernoulli(5), Bernoulli(4), centered=False, spread=0.8)
    turned = RBM(Bernoulli(4), Bernoulli(5), centered=False).double()
    with torch.no_grad():
        turned.weight.copy_(rbm.weight.t())
        turned.visible.bias.copy_(rbm.hidden.bias)
        turned.hidden.bias.copy_(rbm.visible.bias)
    model, generator = UpDown(DBN([rbm, turned])), Generator().manual_seed(1)
    states = rbm.visible.states()
    p = (-rbm.free_energy(states)).softmax(0).detach()
    torch.testing.assert_close(log_likelihood(model, states), p.log())
    n = 100_000
    data = states[torch.multinomial(p, n, replacement=True, generator=generator)]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    plain = Schedule(momentum=0.0, final_momentum=0.0, weight_decay=0.0, final_rate=1.0)
    stepper = Stepper(
        model.top, CD(1, sample_visible=True), batch_size=n, steps=1, seed=0, learning_rate=1.0, schedule=plain
    )  # fmt: skip
    model.step(data, stepper, rate=1.0, sweeps=1, generator=generator)
    changes = {name: (parameter.detach() - before[name]).abs().max() for name, parameter in model.named_parameters()}
    assert all(0 < float(change) < 0.01 for name, change in changes.items() if "kind" not in name), changes


def chances(layer: Layer, given: Tensor, states: Tensor) -> Tensor:
    """p(states | given) of a Bernoulli layer, (len(given), len(states))."""
    p = layer.mean(given).detach()
    return (p.log() @ states.t() + (1 - p).log() @ (1 - states).t()).exp()


def lesson(layer: Layer, given: Tensor, wanted: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """The delta rule's weight and bias, expected over pairs of `given` and `wanted` with the probabilities `p`."""
    error = wanted[None] - layer.mean(given).detach()[:, None]
    return torch.einsum("gw,gwo,gi->oi", p, error, given), torch.einsum("gw,gwo->o", p, error)


def test_wake_teaches_from_the_data_and_sleep_from_the_model():
    """By enumeration of two layers below a top whose chains run long enough to forget the data."""
    sizes = ((4, 3), (3, 3), (3, 2))
    model = UpDown(DBN([machine(Bernoulli(a), Bernoulli(b), spread=1.0, seed=a + b) for a, b in sizes]))
    v, h = Bernoulli(4).states().double(), Bernoulli(3).states().double()
    data, (up, upper), (down, lower) = v[-1:], model.recognition, model.generative
    wake = chances(up, data, h)[0]
    asleep = (-model.top.free_energy(h)).softmax(0).detach()
    middle = asleep @ chances(lower, h, h)
    expected = {
        down: lesson(down, h, data, wake[:, None]),
        lower: lesson(lower, h, h, (wake[:, None] * chances(upper, h, h)).t()),
        upper: lesson(upper, h, h, (asleep[:, None] * chances(lower, h, h)).t()),
        up: lesson(up, v, h, (middle[:, None] * chances(down, h, v)).t()),
    }
    before = {layer: (layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in expected}
    n, rate = 50_000, 1e-4  # so small that sleep meets the layers as they were
    stepper = Stepper(model.top, CD(1), batch_size=n, steps=1, seed=0, learning_rate=0.0)
    model.step(data.repeat(n, 1), stepper, rate=rate, sweeps=30, generator=Generator().manual_seed(1))
    for layer, (weight, bias) in expected.items():
        torch.testing.assert_close((layer.weight.detach() - before[layer][0]) / rate, weight, rtol=0, atol=0.02)
        torch.testing.assert_close((layer.bias.detach() - before[layer][1]) / rate, bias, rtol=0, atol=0.02)


def stack(data: Tensor, classes: int = 0) -> DBN:
    bottom = RBM(Bernoulli(8), Bernoulli(6)).double()
    fit_rbm(bottom, data, epochs=20, generator=Generator().manual_seed(1), batch_size=20)
    top = RBM(Joint(Bernoulli(6), Softmax(1, classes)) if classes else Bernoulli(6), Bernoulli(6)).double()
    return DBN([bottom, top])


def test_it_makes_the_exact_likelihood_of_the_data_better():
    generator = Generator().manual_seed(3)
    data = torch.randint(0, 2, (200, 2), generator=generator).repeat_interleave(4, 1).double()
    dbn = stack(data)
    fit_rbm(dbn.machines[1], dbn.encode(data, 1).detach(), epochs=40, generator=generator, batch_size=20)
    before = float(log_likelihood(UpDown(dbn), data).mean().detach())
    weight = dbn.machines[0].weight.detach().clone()
    model = fit_up_down(dbn, data, epochs=60, generator=generator, batch_size=20, learning_rate=0.5)
    after = float(log_likelihood(model, data).mean().detach())
    assert after > before + 1.0 and after > -3.0  # four patterns: at best -1.39
    assert torch.equal(weight, dbn.machines[0].weight), "the stack it came from stays as it was"


def test_labels_are_named_and_generated():
    generator = Generator().manual_seed(3)
    labels = torch.randint(0, 2, (200,), generator=generator)
    data = torch.cat([labels[:, None], 1 - labels[:, None]], 1).repeat_interleave(4, 1).double()
    model = fit_up_down(
        stack(data, 2), data, epochs=60, generator=generator, labels=labels, batch_size=20, learning_rate=0.2
    )
    assert bool((model.label_log_probability(data).argmax(1) == labels).all())
    drawn = model.generate(100, generator, sweeps=30, labels=labels[:100])
    assert float((drawn.round() == data[:100]).double().mean()) > 0.9


def test_what_it_can_not_do_is_refused():
    with pytest.raises(NoClosedForm, match="not rectified ones"):
        UpDown(DBN([RBM(Gaussian(3), ReLU(2)), RBM(Gaussian(2), ReLU(2))]))
    with pytest.raises(ValueError, match="0 label units and labels were given"):
        fit_up_down(
            DBN([RBM(Bernoulli(3), Bernoulli(2))]), torch.zeros(4, 3), epochs=1, generator=Generator(),
            labels=torch.zeros(4, dtype=torch.long),
        )  # fmt: skip


def test_a_wide_gaussian_layer_does_not_run_away():
    """600 binary units below a rate of 0.05: the plain delta rule would multiply its error by six in every step."""
    generator = Generator().manual_seed(0)
    data = torch.randn(300, 20, generator=generator) @ torch.randn(20, 30, generator=generator) * 0.3
    dbn = DBN([RBM(Gaussian(30), Bernoulli(600)), RBM(Bernoulli(600), Bernoulli(10))])
    before = dbn.decode(dbn.encode(data, 1), 1).sub(data).square().mean()
    model = fit_up_down(dbn, data, epochs=20, generator=generator)
    after = model.generative[0].mean(model.encode(data)).sub(data).square().mean()
    assert torch.isfinite(after) and after < before


def test_what_is_no_longer_finite_stops_it():
    model = UpDown(DBN([RBM(Bernoulli(4), Bernoulli(3)), RBM(Bernoulli(3), Bernoulli(2))]))
    model.require_finite()
    model.recognition[0].weight.data[0, 0] = torch.nan
    with pytest.raises(Diverged, match="up-down"):
        model.require_finite()


def test_every_step_of_a_gaussian_layer_is_steady():
    layer = Layer(torch.zeros(2, 3), torch.zeros(2), Gaussian(2))
    assert layer.steady_rate(torch.ones(5, 3), 0.05) == 0.05
    assert layer.steady_rate(torch.full((5, 3), 10.0), 0.05) == pytest.approx(1 / 301)
    assert Layer(torch.zeros(2, 3), torch.zeros(2), Bernoulli(2)).steady_rate(torch.full((5, 3), 10.0), 0.05) == 0.05
