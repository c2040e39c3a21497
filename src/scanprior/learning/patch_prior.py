"""What the pipeline asks of a prior, whatever its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Generator, Tensor, nn

Size = tuple[int, int, int]
FORMAT = "scanprior-prior"
FORMAT_VERSION = 1


class PatchPrior(nn.Module, ABC):
    """A network over patches (n, visible), C order, in the intensities of the prepared volumes, trained without labels.

    `visible` = product of `patch_size`.
    """

    patch_size: Size
    generates: bool = True
    """whether patches can be drawn from it"""

    @abstractmethod
    def encode(self, patches: Tensor) -> Tensor:
        """Features of patches: (n, visible) -> (n, top hidden)."""

    @abstractmethod
    def reconstruct(self, patches: Tensor) -> Tensor:
        """Patches up to the top and down again, by means; same shape and intensities."""

    @abstractmethod
    def filters(self, most: int) -> Tensor:
        """At most `most` filters of the first layer, the strongest first, (n, i, j, k)."""

    @abstractmethod
    def summary(self) -> str:
        """What it is, in one sentence of the model card."""

    @abstractmethod
    def structure(self) -> dict[str, Any]:
        """All that is needed to make it again but the tensors; plain JSON values."""

    @abstractmethod
    def generate(self, n: int, generator: Generator, *, sweeps: int = 1000, start: Tensor | None = None) -> Tensor:
        """`n` patches (n, visible) from the model; `start`: patches that its chains begin at (see `DBN.generate`).

        Raises:
            TypeError: nothing can be drawn from a prior of this kind (`generates` is false).
        """
