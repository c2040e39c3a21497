"""The matrix products of training: in the weights' own precision, or in bfloat16 where the processor has it.

bfloat16 keeps float32's range and 8 bits of precision; sums are still made in float32, and weights, velocities and
everything between the products stay as they are. The products then take less than half of their time.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor
from typing_extensions import override

from scanprior.energy.crew import Crew

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


class Products:
    """Products of shown states with `weight` (visible, hidden), a tensor that the training step changes in place."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def refresh(self) -> None:
        """Call after the weights have changed, before the next `up` or `down`."""

    def up(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        """bias (hidden,) + shown (n, visible) @ weight, into `out` (n, hidden)."""
        return torch.addmm(bias, shown, self._weight, out=out)

    def down(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        """bias (visible,) + shown (n, hidden) @ weight.t(), into `out` (n, visible)."""
        return torch.addmm(bias, shown, self._weight.t(), out=out)

    def add_outer_(self, velocity: Tensor, visible: Tensor, hidden: Tensor, *, beta: float, alpha: float) -> None:
        """velocity = beta velocity + alpha visible.t() @ hidden, in place; (visible, hidden) from (n, …) each."""
        velocity.addmm_(visible.t(), hidden, beta=beta, alpha=alpha)


class Shared(Products):
    """The same shapes; every product is cut into parts that `crew` computes: columns of the result, rows of the velocity.

    While the crew doesn't share, a product is made in one piece if that has the very bits of its parts: in turn they would
    take a twentieth longer. Whether it has depends on the library beneath and on the shapes, so it is tried out: for products
    of `rows` rows at once, so that no timed block pays for it, for others when they come.
    """

    def __init__(self, weight: Tensor, crew: Crew, rows: Iterable[int] = ()) -> None:
        super().__init__(weight)
        self._crew = crew
        self._visible, self._hidden = (crew.parts(width) for width in weight.shape)
        self._seamless = {n: self._tried(n) for n in rows}

    @override
    def up(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        if self._whole(len(shown)):
            return super().up(bias, shown, out)

        def columns(part: slice) -> None:
            torch.addmm(bias[part], shown, self._weight[:, part], out=out[:, part])

        self._crew.each(columns, self._hidden)
        return out

    @override
    def down(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        if self._whole(len(shown)):
            return super().down(bias, shown, out)

        def columns(part: slice) -> None:
            torch.addmm(bias[part], shown, self._weight[part].t(), out=out[:, part])

        self._crew.each(columns, self._visible)
        return out

    @override
    def add_outer_(self, velocity: Tensor, visible: Tensor, hidden: Tensor, *, beta: float, alpha: float) -> None:
        if self._whole(len(visible)):
            super().add_outer_(velocity, visible, hidden, beta=beta, alpha=alpha)
            return

        def rows(part: slice) -> None:
            velocity[part].addmm_(visible[:, part].t(), hidden, beta=beta, alpha=alpha)

        self._crew.each(rows, self._visible)

    def _whole(self, n: int) -> bool:
        """Whether a product of n rows is made in one piece now."""
        if self._crew.shares:
            return False
        if n not in self._seamless:
            self._seamless[n] = self._tried(n)
        return self._seamless[n]

    def _tried(self, n: int) -> bool:
        """Whether all three products of n rows, drawn, have the same bits whole and in parts, on one of torch's threads."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in a block of training
        try:
            return self._same_bits(n)
        finally:
            torch.set_num_threads(threads)

    def _same_bits(self, n: int) -> bool:
        """The comparison itself."""
        generator = Generator().manual_seed(n)
        visible, hidden = self._weight.shape
        weight, v, h, velocity = (
            torch.randn(*shape, generator=generator, dtype=self._weight.dtype)
            for shape in ((visible, hidden), (n, visible), (n, hidden), (visible, hidden))
        )
        whole, parts = Products(weight), Shared(weight, Crew(self._crew.threads))
        parts._seamless[n] = False
        made: list[tuple[Tensor, ...]] = []
        for products in (whole, parts):
            velocities = velocity.clone(), velocity.clone()
            for one, beta in zip(velocities, (0.5, 0.0), strict=True):
                products.add_outer_(one, v, h, beta=beta, alpha=0.1)
            up = products.up(h[0], v, torch.empty_like(h))
            made.append((up, products.down(v[0], h, torch.empty_like(v)), *velocities))
        return all(torch.equal(one, other) for one, other in zip(*made, strict=True))


class BFloat16(Products):
    """The same in bfloat16, of at most `rows` rows.

    Raises:
        ValueError: the device has no instructions for it: it would be slower than float32.
    """

    def __init__(self, weight: Tensor, rows: int) -> None:
        super().__init__(weight)
        require_bfloat16(weight.device)
        visible, hidden = weight.shape

        def scratch(*shape: int) -> Tensor:
            return torch.empty(*shape, dtype=torch.bfloat16, device=weight.device)

        self._weight16, self._gradient = scratch(visible, hidden), scratch(visible, hidden)
        self._visible, self._hidden = scratch(rows, visible), scratch(rows, hidden)
        self._total_visible, self._total_hidden = scratch(rows, visible), scratch(rows, hidden)

    @override
    def refresh(self) -> None:
        self._weight16.copy_(self._weight)

    @override
    def up(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        n = len(shown)
        total = torch.mm(self._visible[:n].copy_(shown), self._weight16, out=self._total_hidden[:n])
        return out.copy_(total).add_(bias)

    @override
    def down(self, bias: Tensor, shown: Tensor, out: Tensor) -> Tensor:
        n = len(shown)
        total = torch.mm(self._hidden[:n].copy_(shown), self._weight16.t(), out=self._total_visible[:n])
        return out.copy_(total).add_(bias)

    @override
    def add_outer_(self, velocity: Tensor, visible: Tensor, hidden: Tensor, *, beta: float, alpha: float) -> None:
        n = len(visible)
        left, right = self._visible[:n].copy_(visible), self._hidden[:n].copy_(hidden)
        velocity.mul_(beta).add_(torch.mm(left.t(), right, out=self._gradient), alpha=alpha)


def require_bfloat16(device: torch.device) -> None:
    """Refuse a device whose bfloat16 products are slower than its float32 ones, or missing."""
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        abilities = torch.cpu.get_capabilities()
        has = device.type == "cpu" and any(abilities.get(name, False) for name in INSTRUCTIONS)
    if not has:
        raise ValueError(
            f"bfloat16 products were asked for, but this {device.type} has no instructions for them (looked for "
            f"{' or '.join(INSTRUCTIONS)}): leave the option off"
        )
