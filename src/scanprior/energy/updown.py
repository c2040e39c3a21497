"""The up-down algorithm: fine-tuning a whole stack as the generative model it is (Hinton, Osindero & Teh 2006, appendix B).

After greedy training each machine's weights serve both ways. Here they come apart: *recognition* layers go up, *generative*
layers go down, and the top machine stays one. Up (wake): states drawn from the data teach the generative layers to make
what lies below. Down (sleep): states drawn from the top, after a few Gibbs sweeps, teach the recognition layers to undo it.
"""

from __future__ import annotations

import copy

import torch
from torch import Generator, Tensor, nn

from scanprior.energy.dbn import DBN, label_count, top_states
from scanprior.energy.joint import Joint, label_log_probability, with_labels
from scanprior.energy.objectives import CD, Objective
from scanprior.energy.step import Schedule, Stepper
from scanprior.energy.training import LARGEST_SEED, blocks, check_data
from scanprior.energy.units import Bernoulli, Gaussian, NoClosedForm, Softmax, Units
from scanprior.energy.velocity import Diverged


class Layer(nn.Module):
    """A directed layer: states drawn from `kind` given totals = states below (or above) @ weight.t() + bias.

    Args:
        weight: (out, in). bias: (out,). kind: what the outputs are; its own bias is not used.
    """

    def __init__(self, weight: Tensor, bias: Tensor, kind: Units) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone().contiguous())
        self.bias = nn.Parameter(bias.detach().clone())
        self.kind = copy.deepcopy(kind)

    def mean(self, states: Tensor) -> Tensor:
        """(batch, in) -> (batch, out)."""
        return self.kind.mean_(nn.functional.linear(states, self.weight, self.bias))

    @torch.no_grad()
    def sample(self, states: Tensor, generator: Generator) -> Tensor:
        """(batch, in) -> (batch, out)."""
        total = nn.functional.linear(states, self.weight, self.bias)
        draw = torch.empty_like(total)
        self.kind.draw_(total, draw, torch.empty_like(total), generator)
        return draw

    def steady_rate(self, given: Tensor, rate: float) -> float:
        """`rate`, or less where the answer is linear: a step beyond 2 / the largest variance of `given` would overshoot."""
        if not isinstance(self.kind, Gaussian):
            return rate
        return min(rate, 1.0 / float(1.0 + given.square().sum(1).mean()))

    @torch.no_grad()
    def teach(self, given: Tensor, wanted: Tensor, rate: float) -> None:
        """One step of the delta rule: the gradient of the mean of log p(wanted | given), in a Gaussian's own variance."""
        error = wanted - self.mean(given)
        self.weight.addmm_(error.t(), given, alpha=rate / len(given))
        self.bias.add_(error.mean(0), alpha=rate)


class UpDown(nn.Module):
    """A deep belief net whose recognition and generative weights differ; made from a greedily trained one, which it copies.

    Raises:
        NoClosedForm: a layer below the top is not Bernoulli or softmax, so that its states have no likelihood.
    """

    def __init__(self, dbn: DBN) -> None:
        super().__init__()
        for rbm in dbn.machines[:-1]:
            if not isinstance(rbm.hidden, Bernoulli | Softmax):
                raise NoClosedForm(
                    f"the up-down algorithm needs Bernoulli or softmax units, not {rbm.hidden.kind} ones"
                )
            if not isinstance(rbm.visible, Bernoulli | Softmax | Gaussian):
                raise NoClosedForm(f"the up-down algorithm can't generate {rbm.visible.kind} units")
        lower = dbn.machines[:-1]
        self.recognition = nn.ModuleList(Layer(*rbm.upward(), rbm.hidden) for rbm in lower)
        self.generative = nn.ModuleList(Layer(*rbm.downward(), rbm.visible) for rbm in lower)
        self.top = copy.deepcopy(dbn.machines[-1])

    def _layers(self, which: nn.ModuleList) -> list[Layer]:
        return list(which)  # pyright: ignore[reportReturnType]

    def encode(self, v: Tensor) -> Tensor:
        """The recognition means below the top machine, (batch, visible) -> (batch, top visible without labels)."""
        for layer in self._layers(self.recognition):
            v = layer.mean(v)
        return v

    def label_log_probability(self, v: Tensor) -> Tensor:
        """log p(y | recognition means) of every class, exact in the top machine, (batch, visible) -> (batch, classes)."""
        return label_log_probability(self.top, self.encode(v))

    @torch.no_grad()
    def generate(
        self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Like `DBN.generate`, by the generative layers."""
        features = self.encode(start) if start is not None else None
        hidden = top_states(self.top, n, generator, sweeps=sweeps, start=features, labels=labels)
        width = self.top.visible.size - label_count(self.top)
        states = self.top.visible.mean(self.top.visible_field(hidden))[:, :width]
        layers = self._layers(self.generative)
        if layers:
            states = self.top.visible.sample(self.top.visible_field(hidden), generator)[:, :width]
            for layer in reversed(layers[1:]):
                states = layer.sample(states, generator)
            states = layers[0].mean(states)
        return states

    def require_finite(self) -> None:
        """Raise `Diverged` when a parameter is no longer a finite number."""
        if not all(bool(torch.isfinite(parameter.sum())) for parameter in self.parameters()):
            raise Diverged("the up-down algorithm diverged: a parameter is no longer finite. Lower the learning rate")

    @torch.no_grad()
    def step(
        self,
        v: Tensor,
        stepper: Stepper,
        *,
        rate: float,
        sweeps: int,
        generator: Generator,
        labels: Tensor | None = None,
    ) -> None:
        """One mini-batch `v` (batch, visible): up, `sweeps` at the top, down; `stepper` trains the top machine."""
        recognition, generative = self._layers(self.recognition), self._layers(self.generative)
        states = [v]
        for layer in recognition:
            states.append(layer.sample(states[-1], generator))
        top = states[-1] if labels is None else with_labels(states[-1], labels, label_count(self.top))
        asleep = self.top.gibbs(top, sweeps, generator)[:, : states[-1].shape[1]]
        for layer, below, above in zip(generative, states, states[1:], strict=False):
            layer.teach(above, below, layer.steady_rate(above, rate))
        stepper.block(top[None])
        for up, down in zip(reversed(recognition), reversed(generative), strict=True):
            below = down.sample(asleep, generator)
            up.teach(below, asleep, rate)
            asleep = below


def fit_up_down(
    dbn: DBN,
    data: Tensor,
    *,
    epochs: int,
    generator: Generator,
    labels: Tensor | None = None,
    objective: Objective | None = None,
    batch_size: int = 100,
    learning_rate: float = 0.05,
) -> UpDown:
    """Fine-tune `dbn` on `data` (n, visible) by the up-down algorithm; the rate falls in a straight line to zero.

    Args:
        labels: class numbers (n,), for a top machine with label units.
        objective: of the top machine, and how many sweeps lie between up and down; none: `CD(3)` with drawn states.

    Raises:
        ValueError: data of the wrong shape, or that the visible units can't take, or labels where there are no label units, or
            the reverse.
        Diverged: when a parameter is no longer a finite number.
    """
    bottom = dbn.machines[0].visible
    check_data(data, bottom.kinds[0] if len(dbn.machines) == 1 and isinstance(bottom, Joint) else bottom)
    if (labels is not None) != bool(dbn.labels):
        raise ValueError(
            f"the top machine has {dbn.labels} label units and labels were {'not ' if labels is None else ''}given"
        )
    model = UpDown(dbn)
    chosen = objective or CD(3, sample_visible=True)
    seed = int(torch.randint(LARGEST_SEED, (1,), generator=generator, device=generator.device))
    steps = epochs * -(-len(data) // batch_size)
    stepper = Stepper(
        model.top, chosen, batch_size=batch_size, steps=steps, seed=seed, learning_rate=learning_rate,
        schedule=Schedule(momentum=0.0, final_momentum=0.0, decay_from=0.0),
    )  # fmt: skip
    for _ in range(epochs):
        order = torch.randperm(len(data), generator=generator, device=generator.device).to(data.device)
        for rows in (row for block in blocks(order, batch_size) for row in block):
            rate = learning_rate * (1.0 - stepper.step / steps)
            some = labels[rows] if labels is not None else None
            model.step(data[rows], stepper, rate=rate, sweeps=chosen.k, generator=generator, labels=some)
        model.require_finite()
    return model
