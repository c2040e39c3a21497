"""Fine-tuning of the feed-forward networks that a stack turns into: autoencoders and classifiers, by gradient descent.

Hinton & Salakhutdinov (2006): the pretrained stack, unrolled, is where back-propagation starts. Order of the rows and
dropout come from one seed and the number of the epoch, so that training can stop after any epoch and go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from typing_extensions import override

from scanprior.energy.products import require_bfloat16
from scanprior.energy.velocity import Diverged

Loss = Callable[[Tensor, Tensor], Tensor]


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean over the rows of the squared error summed over the columns, the figure that papers give per image."""
    return (output - target).square().sum(1).mean()


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean over the rows of -log p(target) in nats, `output` and `target` being probabilities per column."""
    return nn.functional.binary_cross_entropy(output, target, reduction="sum") / len(output)


class FineTuner(nn.Module):
    """Adam on `network`, its step size rising for the first twentieth of the training, then falling along a cosine to zero.

    Args:
        network: trained in place.
        loss: of (output, target) of a mini-batch, a mean over its rows.
        rows: how many rows an epoch has.
        seed: of the order of the rows and of the network's dropout.
        bfloat16: make the products in bfloat16, where the processor can.
    """

    def __init__(
        self, network: nn.Module, loss: Loss, *, epochs: int, rows: int, seed: int, batch_size: int = 100,
        learning_rate: float = 1e-3, weight_decay: float = 0.0, bfloat16: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.epochs, self.seed, self.batch_size = network, epochs, seed, batch_size
        self.done = 0
        self._loss, self._bfloat16 = loss, bfloat16
        if bfloat16 and loss is cross_entropy:
            raise ValueError(
                "in bfloat16 a probability above 0.998 is 1, where the cross-entropy has no gradient; use float32"
            )
        if bfloat16:
            require_bfloat16(next(network.parameters()).device)
        steps = epochs * -(-rows // batch_size)
        # fused: a step of 1.5 million weights takes 1.1 ms instead of 7
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, learning_rate, total_steps=steps + 1, pct_start=0.05, cycle_momentum=False,
            final_div_factor=1e6,
        )  # fmt: skip

    @override
    def get_extra_state(self) -> dict[str, Any]:
        state = {"done": self.done, "optimizer": self._optimizer.state_dict()}
        return state | {"schedule": self._schedule.state_dict()}

    @override
    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.done = int(state["done"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def epoch(self, inputs: Tensor, targets: Tensor) -> float:
        """One pass over `inputs` (n, …) and `targets` (n, …); the mean loss.

        Raises:
            Diverged: when the loss is no longer a finite number.
        """
        seed = (self.seed * 1_000_003 + self.done) % 2**63
        order = torch.randperm(len(inputs), generator=Generator().manual_seed(seed)).to(inputs.device)
        self.network.train()
        total = torch.zeros((), device=inputs.device)
        devices = [inputs.device] if inputs.device.type == "cuda" else []
        # Dropout draws from the global generator only; it gets its own seed here, and the global state back afterwards.
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reach into every device
            if devices:
                torch.cuda.manual_seed(seed)
            for rows in order.split(self.batch_size):
                loss = self._step(inputs[rows], targets[rows])
                total += loss * len(rows)
        self.network.eval()
        mean = float(total) / len(inputs)
        if not mean < float("inf"):
            raise Diverged(
                f"fine-tuning diverged in epoch {self.done + 1}: the loss is {mean}. Lower the learning rate"
            )
        self.done += 1
        return mean

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self._bfloat16):
            output = self.network(inputs)
        loss = self._loss(output.float() if self._bfloat16 else output, targets)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()


def fine_tune(
    network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, *, epochs: int, seed: int, **options: Any
) -> list[float]:
    """Train `network` in place for `epochs` (options: those of `FineTuner`); the mean loss of each.

    For an unrolled autoencoder the targets are the inputs.

    Raises:
        Diverged: when the loss is no longer a finite number.
    """
    tuner = FineTuner(network, loss, epochs=epochs, rows=len(inputs), seed=seed, **options)
    return [tuner.epoch(inputs, targets) for _ in range(epochs)]
