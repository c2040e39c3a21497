"""The step of a denoising autoencoder, in the place of a machine's: same layers, same network upward, another lesson.

Vincent et al. 2010 (JMLR 11), section 3: part of the input is set to zero, and the layer learns to give back the whole.
The weights are tied (section 4.1 lets either be), so that a layer is a pair of layers and a weight as a machine is, and one
container holds both. Squared error on standardised values, cross-entropy on probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from scanprior.energy.rbm import RBM
from scanprior.energy.step import DEFAULT, STATS_ROWS, Stats
from scanprior.energy.units import Gaussian
from scanprior.energy.velocity import Diverged
from scanprior.learning.adam_stepper import AdamStepper

DENOISING = "denoising"  # the objective's name
MASKED = 0.25  # share of inputs set to zero; Vincent et al. try 0.1, 0.25 and 0.4
RATE = 1e-3  # of Adam
SMALLEST_RATE = 1e-12


class DenoisingStepper(AdamStepper):
    """Trains the layers of `rbm` by denoising; Adam's moments, step count and generator are its state.

    Args:
        steps: how many mini-batches the whole training has; the rate is constant in the first half, then falls to zero.
        seed: seeds the generator of the masks.
    """

    def __init__(self, rbm: RBM, *, steps: int, seed: int, learning_rate: float = RATE) -> None:
        super().__init__(steps=steps, seed=seed, learning_rate=learning_rate)
        self.rbm = rbm

    @override
    def optimiser(self) -> torch.optim.Optimizer:
        rbm = self.rbm
        return torch.optim.Adam([rbm.weight, rbm.visible.bias, rbm.hidden.bias], lr=self.learning_rate, fused=True)

    def block(self, batches: Iterable[Tensor]) -> Stats:
        """Train on mini-batches (n, visible), one update each; returns what the last one looked like.

        Raises:
            Diverged: when the loss is no longer a finite number.
        """
        (_, generator), batch, loss = self.tools, torch.empty(0), torch.zeros(())
        for batch in batches:
            kept = torch.empty_like(batch).uniform_(generator=generator).ge_(MASKED)
            loss = self._loss(batch * kept, batch)
            self.learn(loss, max(self.learning_rate * DEFAULT.rate(self.step / max(1, self.steps)), SMALLEST_RATE))
        if not bool(torch.isfinite(loss)):
            raise Diverged(f"training diverged by step {self.step}: the loss is no longer finite")
        return self._stats(batch[:STATS_ROWS])

    def _loss(self, masked: Tensor, whole: Tensor) -> Tensor:
        rbm = self.rbm
        code = rbm.hidden.activation()(masked @ rbm.weight + rbm.hidden.bias)
        total = code @ rbm.weight.t() + rbm.visible.bias
        if isinstance(rbm.visible, Gaussian):
            return functional.mse_loss(total, whole)
        return functional.binary_cross_entropy_with_logits(total, whole)

    @torch.no_grad()
    def _stats(self, batch: Tensor) -> Stats:
        rbm = self.rbm
        code = rbm.hidden.mean(rbm.hidden_field(batch))
        again = rbm.visible.mean(rbm.visible_field(code))
        return Stats((again - batch).square().mean(), code.mean())
