"""How large the kernels of the small convolutional network are, for any patch; needs no network library."""

from __future__ import annotations

WIDTH = 16  # kernels of the first layer; twice and four times as many in the next two


def kernels(side: int) -> tuple[int, int, int, int]:
    """Side of the first kernel, its stride, sides of the second and the third kernel, for an axis of `side` (odd) voxels."""
    if side < 5:
        return side, 1, 1, 1
    left = (side - 5) // 2 + 1
    second = min(3, left)
    return 5, 2, second, left - second + 1
