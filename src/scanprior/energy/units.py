"""The four kinds of unit a layer can be made of: what they are drawn from, and what they add to the energy.

A layer sees the other layer through its *field*: field = weights times what the other layer shows (`scale`). Its own
bias, and a Gaussian's variance, belong to it, so a pair of any two kinds makes a restricted Boltzmann machine:

    E(v, h) = E_visible(v) + E_hidden(h) - scale(v) . W scale(h)

References: Hinton, "A practical guide to training restricted Boltzmann machines" (2012), section 13; Cho, Ilin & Raiko
(2011) for the Gaussian energy with s / sigma^2; Nair & Hinton (2010) for noisy rectified linear units.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

MOST_STATES = 1 << 20
MANY = 4096  # numbers, from which on drawing them by the word pays
TOLERANCE = 1e-4  # of probabilities that were computed
LOG_VARIANCE_FLOOR = -4.0
LOG_VARIANCE_CEILING = 4.0


class NoClosedForm(NotImplementedError):  # noqa: N818 - it is said as it is
    """What was asked for has no closed form for this kind of unit."""


class Units(nn.Module, ABC):
    """A layer of `size` units of one kind, with their bias (size,); states and fields are (batch, size)."""

    kind: ClassVar[str]
    unbounded = False
    """whether the states answer a field in proportion, so that nothing but the weights holds them"""

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a layer needs at least one unit; got {size}")
        self.size = size
        self.bias = nn.Parameter(torch.zeros(size))

    def scale(self, states: Tensor) -> Tensor:
        """What the weights see of `states`: the states themselves, or states / variance for Gaussian units."""
        return states

    def mean(self, field: Tensor) -> Tensor:
        """The expected states given the other layer's `field` (for ReLU: the activation without noise)."""
        return self.mean_(field + self.bias)

    @torch.no_grad()
    def sample(self, field: Tensor, generator: Generator) -> Tensor:
        """States drawn given the other layer's `field`; no gradient flows through a draw."""
        total = field + self.bias
        draw = torch.empty_like(total)
        self.draw_(total, draw, torch.empty_like(total), generator)
        return draw

    @torch.no_grad()
    def sample_rest(self, field: Tensor, given: Tensor, known: Tensor, generator: Generator) -> Tensor:
        """As `sample`, given the states of `given` where `known` (bool, broadcast to them) is true."""
        return torch.where(known, given, self.sample(field, generator))

    def energy(self, states: Tensor) -> Tensor:
        """The layer's own part of the energy (batch,)."""
        return -(states @ self.bias)

    @abstractmethod
    def mean_(self, total: Tensor) -> Tensor:
        """Turn `total` = bias + field into the mean, in place."""

    @abstractmethod
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        """Like `mean_`, and write a sample into `draw`, with `noise` as scratch (both of the shape of `total`).

        Training lives on this: nothing is allocated, and a draw costs one pass of random numbers
        (`uniform_` and a comparison take a quarter of the time of `torch.bernoulli`).
        """

    @abstractmethod
    def log_partition(self, field: Tensor) -> Tensor:
        """log of the sum (integral) over the layer's states of exp(field . scale(s) - energy(s)), (batch,)."""

    @abstractmethod
    def activation(self) -> nn.Module:
        """The mean as a layer of a feed-forward network, to be applied to bias + field."""

    @abstractmethod
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        """Set the bias so that the layer alone (weights zero) has the data's `mean` (size,), as far as it can."""

    def outside(self, states: Tensor) -> Tensor:
        """Which values of `states` (batch, size) no state, and no mean of states, of these units has; a mask."""
        return ~torch.isfinite(states)

    def state_count(self) -> int:
        """How many states the layer can take; raises as `states` does, before any is made."""
        return len(self.states())

    def states(self) -> Tensor:
        """Every state the layer can take, (number of states, size).

        Raises:
            NoClosedForm: infinitely many, or more than 2^20.
        """
        raise NoClosedForm(f"{self.size} {self.kind} units have infinitely many states and can't be enumerated")


def uniform_(out: Tensor, generator: Generator) -> Tensor:
    """Fill `out`, of any shape, with numbers drawn evenly between 0 and 1, both included, and return it.

    Large float32 tensors on a processor: two numbers of 32 random bits from every word of 64, because torch's own, of 24
    bits, take half as long again, a tenth of a training step. They are rounded to float32: 1 comes up about once in 2^25 times.
    """
    whole = out.is_contiguous() and out.numel() % 2 == 0 and out.storage_offset() % 2 == 0 and out.numel() >= MANY
    if not whole or out.dtype != torch.float32 or out.device.type != "cpu":
        return out.uniform_(generator=generator)
    words = out.view(-1).view(torch.int64).random_(-(2**63), None, generator=generator)
    return out.copy_(words.view(torch.int32).view_as(out)).mul_(2.0**-32).add_(0.5)


class Bernoulli(Units):
    """Units that are 0 or 1, with probability sigmoid(bias + field)."""

    kind = "bernoulli"

    @override
    def mean_(self, total: Tensor) -> Tensor:
        return total.sigmoid_()

    @override
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        torch.lt(uniform_(noise, generator), total.sigmoid_(), out=draw)
        return total

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        return nn.functional.softplus(field + self.bias).sum(-1)

    @override
    def activation(self) -> nn.Module:
        return nn.Sigmoid()

    @torch.no_grad()
    @override
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        self.bias.copy_(torch.logit(mean.clamp(0.01, 0.99)))

    @override
    def outside(self, states: Tensor) -> Tensor:
        return ~((states >= -TOLERANCE) & (states <= 1 + TOLERANCE))

    @override
    def state_count(self) -> int:
        if self.size > math.log2(MOST_STATES):
            most = int(math.log2(MOST_STATES))
            raise NoClosedForm(f"2^{self.size} states are too many to enumerate; {most} units at most")
        return 1 << self.size

    @override
    def states(self) -> Tensor:
        numbers = torch.arange(self.state_count(), device=self.bias.device)
        bits = torch.arange(self.size, device=self.bias.device)
        return ((numbers[:, None] >> bits) & 1).to(self.bias.dtype)


class Gaussian(Units):
    """Real-valued units, normal around bias + field with a variance of their own (1, or learned as its logarithm).

    Energy (s - bias)^2 / (2 variance); the weights see s / variance, so that the conditional mean is bias + field
    whatever the variance. The log variance stays within [-4, 4]: a constant voxel would drive it to minus infinity.
    """

    kind = "gaussian"
    unbounded = True

    def __init__(self, size: int, *, learn_variance: bool = False) -> None:
        super().__init__(size)
        self.learn_variance = learn_variance
        self.log_variance = nn.Parameter(torch.zeros(size), requires_grad=learn_variance)

    @override
    def scale(self, states: Tensor) -> Tensor:
        return states * torch.exp(-self.log_variance)

    @override
    def energy(self, states: Tensor) -> Tensor:
        return 0.5 * ((states - self.bias).square() * torch.exp(-self.log_variance)).sum(-1)

    @override
    def mean_(self, total: Tensor) -> Tensor:
        return total

    @override
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        torch.addcmul(total, noise.normal_(generator=generator), torch.exp(0.5 * self.log_variance), out=draw)
        return total

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        quadratic = (0.5 * field.square() + field * self.bias) * torch.exp(-self.log_variance)
        return (quadratic + 0.5 * (math.log(2 * math.pi) + self.log_variance)).sum(-1)

    @override
    def activation(self) -> nn.Module:
        return nn.Identity()

    @torch.no_grad()
    @override
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        self.bias.copy_(mean)
        if self.learn_variance:
            self.log_variance.copy_(
                torch.log(variance.clamp_min(1e-30)).clamp(LOG_VARIANCE_FLOOR, LOG_VARIANCE_CEILING)
            )


class ReLU(Units):
    """Noisy rectified linear units: max(0, x + N(0, sigmoid(x))), x = bias + field (Nair & Hinton 2010, section 2).

    They stand for infinitely many copies of a Bernoulli unit, with the same weights and biases lowered by 0.5, 1.5, ….
    `mean` is max(0, x), the activation of a rectified network. The states have no energy in closed form.
    """

    kind = "rectified"
    unbounded = True

    @override
    def mean_(self, total: Tensor) -> Tensor:
        return total.relu_()

    @override
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        torch.sigmoid(total, out=draw)
        draw.sqrt_().mul_(noise.normal_(generator=generator)).add_(total).relu_()
        return total.relu_()

    @override
    def energy(self, states: Tensor) -> Tensor:
        raise NoClosedForm("noisy rectified units have no energy in closed form; use the reconstruction error")

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        raise NoClosedForm("noisy rectified units have no free energy in closed form; use the reconstruction error")

    @override
    def activation(self) -> nn.Module:
        return nn.ReLU()

    @torch.no_grad()
    @override
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        self.bias.copy_(mean)

    @override
    def outside(self, states: Tensor) -> Tensor:
        return ~((states >= -TOLERANCE) & torch.isfinite(states))


class Softmax(Units):
    """`groups` groups of `n` units of which exactly one is on in each group: label units, or one-hot coded inputs."""

    kind = "softmax"

    def __init__(self, groups: int, n: int) -> None:
        super().__init__(groups * n)
        self.groups, self.n = groups, n

    def _grouped(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.groups, self.n))

    @override
    def mean_(self, total: Tensor) -> Tensor:
        return total.copy_(self._grouped(total).softmax(-1).flatten(-2))

    @override
    def draw_(self, total: Tensor, draw: Tensor, noise: Tensor, generator: Generator) -> Tensor:
        # The largest of logit + Gumbel noise is a draw from the softmax.
        noise.exponential_(generator=generator).log_().neg_().add_(total)
        winners = self._grouped(noise).argmax(-1, keepdim=True)
        self._grouped(draw.zero_()).scatter_(-1, winners, 1.0)
        return self.mean_(total)

    @torch.no_grad()
    @override
    def sample_rest(self, field: Tensor, given: Tensor, known: Tensor, generator: Generator) -> Tensor:
        known = known.expand_as(given)
        on = self._grouped(known & (given > 0.5))
        possible = torch.where(on.any(-1, keepdim=True), on, ~self._grouped(known)).flatten(-2)
        return torch.where(known, given, self.sample(field.masked_fill(~possible, -math.inf), generator))

    @override
    def log_partition(self, field: Tensor) -> Tensor:
        return self._grouped(field + self.bias).logsumexp(-1).sum(-1)

    @override
    def activation(self) -> nn.Module:
        return nn.Sequential(nn.Unflatten(-1, (self.groups, self.n)), nn.Softmax(-1), nn.Flatten(-2))

    @torch.no_grad()
    @override
    def start_from(self, mean: Tensor, variance: Tensor) -> None:
        self.bias.copy_(torch.log(mean.clamp_min(0.01 / self.n)))

    @override
    def outside(self, states: Tensor) -> Tensor:
        groups = self._grouped(states)
        whole = (groups.sum(-1, keepdim=True) - 1).abs() <= TOLERANCE * self.n
        return ~((groups >= -TOLERANCE) & (groups <= 1 + TOLERANCE) & whole).flatten(-2)

    @override
    def state_count(self) -> int:
        if self.n**self.groups > MOST_STATES:
            raise NoClosedForm(f"{self.n}^{self.groups} states are too many to enumerate; {MOST_STATES} at most")
        return self.n**self.groups

    @override
    def states(self) -> Tensor:
        numbers = torch.arange(self.state_count(), device=self.bias.device)
        places = self.n ** torch.arange(self.groups, device=self.bias.device)
        digits = torch.div(numbers[:, None], places, rounding_mode="floor") % self.n
        return nn.functional.one_hot(digits, self.n).flatten(1).to(self.bias.dtype)
