"""Dense prediction: the patch network as the equivalent convolution, evaluated where it is wanted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from scanprior.learning.network import Dropout, Standardise
from scanprior.patches.store import PatchStore, Size

CHUNK = (
    256  # voxels at a time: windows of 13³ then fill 2 MB, which the cache of a core holds; 1024 took a quarter longer
)


def to_convolution(network: nn.Module, size: Size) -> nn.Sequential:
    """The convolution that gives, at every voxel, the logits of the patch around it.

    (1, 1, I + size − 1, …) → (1, classes, I, J, K). The first dense layer becomes kernels of the patch's size with the
    standardisation folded in, later ones become 1×1×1 kernels; a stride becomes one voxel, and the
    kernels of all that follows are spread out by it (Giusti et al. 2013; Long et al. 2015): nothing is approximated.
    """
    layers: list[nn.Module] = []
    standardise: Standardise | None = None
    spread: Size = (1, 1, 1)
    flat = True  # the features of a patch so far are a vector, not a block of voxels
    for layer in _flatten(network):
        match layer:
            case Standardise():
                standardise = layer
            case nn.Unflatten():
                flat = False
            case nn.Flatten():
                flat = True
            case Dropout():
                pass
            case nn.Linear():
                first = not any(isinstance(other, nn.Conv3d) for other in layers)
                kernel = size if first else (1, 1, 1)
                layers.append(_conv(layer.weight, layer.bias, kernel, (1, 1, 1), standardise if first else None))
            case nn.Conv3d():
                first = not any(isinstance(other, nn.Conv3d) for other in layers)
                i, j, k = layer.kernel_size
                layers.append(_conv(layer.weight, layer.bias, (i, j, k), spread, standardise if first else None))
                i, j, k = layer.stride
                spread = (spread[0] * i, spread[1] * j, spread[2] * k)
            case nn.ReLU() | nn.Sigmoid():
                layers.append(layer)
            case _:
                raise TypeError(f"no dense form is known for a layer of type {type(layer).__name__}")
    if not flat:
        raise TypeError("the network does not end in a vector of logits")
    return nn.Sequential(*layers).eval()


@torch.inference_mode()
def dense_logits(convolution: nn.Sequential, store: PatchStore, row: int, centres: np.ndarray) -> np.ndarray:
    """Logits of the convolution at the voxels `centres` (n, 3) of scan `row`, float32 (n, classes).

    Kernels as big as the patch are applied at the wanted voxels only, as one matrix product; small kernels, whose
    results neighbours share, over the box around them.
    """
    first = convolution[0]
    if not isinstance(first, nn.Conv3d):
        raise TypeError("the first layer of a dense form is a convolution")
    device = first.weight.device
    if tuple(first.kernel_size) == store.size:
        rest = [_matrix(layer) if isinstance(layer, nn.Conv3d) else layer for layer in convolution]
        network = nn.Sequential(*rest)
        rows = np.full(len(centres), row)
        pieces = [
            network(
                torch.from_numpy(store.gather(rows[start : start + CHUNK], centres[start : start + CHUNK])).to(device)
            )
            for start in range(0, len(centres), CHUNK)
        ]
        return torch.cat(pieces).cpu().numpy()
    low, high = centres.min(axis=0), centres.max(axis=0)
    box = torch.from_numpy(store.box(row, low, high)).to(device)
    image = convolution(box[None, None])[0]
    at = torch.from_numpy(centres - low).to(device)
    return image[:, at[:, 0], at[:, 1], at[:, 2]].T.cpu().numpy()


def _flatten(network: nn.Module) -> Iterator[nn.Module]:
    if isinstance(network, nn.Sequential):
        for layer in network:
            yield from _flatten(layer)
    else:
        yield network


def _conv(
    weight: Tensor, bias: Tensor | None, kernel: Size, spread: Size, standardise: Standardise | None
) -> nn.Conv3d:
    """A convolution with the weights of a dense or convolutional layer, after (x − mean)/std where that is given."""
    flat = weight.detach().reshape(len(weight), -1).clone()
    offset = torch.zeros(len(weight), device=flat.device) if bias is None else bias.detach().clone()
    if standardise is not None:
        flat = flat / standardise.std
        offset = offset - (flat * standardise.mean).sum(dim=1)
    inputs = flat.shape[1] // int(np.prod(kernel))
    layer = nn.Conv3d(inputs, len(flat), kernel, dilation=spread, device="meta")
    layer.weight = nn.Parameter(flat.reshape(len(flat), inputs, *kernel))
    layer.bias = nn.Parameter(offset)
    return layer


def _matrix(layer: nn.Conv3d) -> nn.Linear:
    """The convolution as a dense layer over one window."""
    weight = layer.weight.reshape(len(layer.weight), -1)
    dense = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    dense.weight = nn.Parameter(weight)
    if layer.bias is not None:
        dense.bias = nn.Parameter(layer.bias)
    return dense
