"""How alike scans are once their places are taken away: aligned to the cohort's mean, then compared all at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from scanprior.evidence.metrics import Array

LONGEST = 64  # voxels per side after averaging blocks
MOST_BYTES = 400e6
ROUNDS = 3
REACH = 6  # a scan moves by up to a sixth of the grid
COVERED = 0.9  # voxels that so many scans have are compared
FLAT = 1e-6
PEAKS = 5


class Alike(NamedTuple):
    """Similarity of every pair of scans, and how far it stands out from what either scan has with the others."""

    correlation: Array  # (scans, scans), NaN on the diagonal; the better of the scan and its mirror image
    outstanding: Array  # (scans, scans): Fisher's z in standard deviations of the pair's own rows, the smaller of two


class Copy(NamedTuple):
    """One volume found in another: the axes that were mirrored, the shift in voxels, and how well the voxels agree."""

    mirrored: tuple[int, ...]
    shift: tuple[int, int, int]
    correlation: float
    shared: float  # share of the smaller volume that overlaps
    levels: int  # different values in the overlap


def thumbnail(volume: Array, longest: int = LONGEST) -> Array:
    """Blocks averaged until no side is longer than `longest`, smoothed, mean 0, variance 1 (all 0 if flat); float32."""
    factor = -(-max(volume.shape) // longest)
    if factor > 1:
        volume = np.pad(volume, [(0, -side % factor) for side in volume.shape], mode="edge")
        x, y, z = (side // factor for side in volume.shape)
        volume = volume.reshape(x, factor, y, factor, z, factor).mean((1, 3, 5))
    smooth = ndimage.gaussian_filter(volume.astype(np.float32), 1.0)
    spread = float(smooth.std())
    return (smooth - smooth.mean()) / spread if spread > FLAT else np.zeros_like(smooth)


def alike(thumbnails: Sequence[Array]) -> Alike:
    """Correlations of all scans with each other and with each other's mirror image (first axis, left to right).

    Every thumbnail is moved (whole voxels) to where it fits the mean of all best; the mean is taken off, so that what is
    left is what makes a scan differ; each voxel weighs the same. Time and memory grow with scans × voxels, not pairs.
    """
    shape = tuple(int(np.median([one.shape[axis] for one in thumbnails])) for axis in range(3))
    plain, covered = _aligned(thumbnails, shape)
    turned, also = _aligned([one[::-1] for one in thumbnails], shape, plain.mean(0))
    keep = (covered >= COVERED) & (also >= COVERED)
    one, two = plain[:, keep], turned[:, keep]
    middle, spread = one.mean(0), np.maximum(one.std(0), 1e-3)
    one, two = (_unit((side - middle) / spread) for side in (one, two))
    correlation = np.maximum(one @ one.T, one @ two.T).astype(np.float64)
    correlation = np.maximum(correlation, correlation.T)
    np.fill_diagonal(correlation, np.nan)
    z = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
    centre, scatter = np.nanmean(z, axis=1), np.maximum(np.nanstd(z, axis=1), 1e-6)
    standing = (z - centre[:, None]) / scatter[:, None]
    return Alike(correlation, np.minimum(standing, standing.T))


def fingerprint(volume: Array) -> Array:
    """Amplitudes of low spatial frequencies, the same for a shifted or mirrored copy; (frequencies,) with length 1."""
    small = thumbnail(volume, 32)
    padded = np.zeros((64, 64, 64), np.float32)
    padded[tuple(slice(0, side) for side in small.shape)] = small
    amplitude = np.abs(np.asarray(fft.rfftn(padded)))
    low = np.arange(13)
    # A mirror image has the amplitudes of opposite frequencies: their mean knows no side.
    folded = [amplitude[np.ix_(sx * low % 64, sy * low % 64, low)] for sx, sy in product((1, -1), repeat=2)]
    return np.log(np.mean(folded, axis=0) + 1e-3).ravel()


def find_copy(one: Array, two: Array) -> Copy:
    """The mirror image and whole-voxel shift under which `two` agrees best with `one`, whatever its brightness and contrast.

    Both (i, j, k); all eight mirror images are tried. At least half of the smaller volume must overlap.
    """
    best = Copy((), (0, 0, 0), -1.0, 0.0, 0)
    size = tuple(fft.next_fast_len(a + b, real=True) or a + b for a, b in zip(one.shape, two.shape, strict=True))
    base = np.asarray(fft.rfftn(one - one.mean(), size))
    for flips in product((False, True), repeat=3):
        axes = tuple(axis for axis, turned in enumerate(flips) if turned)
        other = np.flip(two, axes)
        fit = np.asarray(fft.irfftn(base * np.conj(np.asarray(fft.rfftn(other - other.mean(), size))), size))
        # Where volumes are cut differently the highest product is not always the best agreement.
        for peak in np.argpartition(fit.ravel(), -PEAKS)[-PEAKS:].tolist():
            place = np.unravel_index(peak, size)
            shift = tuple(int(p) - s if p > s // 2 else int(p) for p, s in zip(place, size, strict=True))
            found = _agreement(one, other, shift)
            if found[0] > best.correlation:
                best = Copy(axes, (shift[0], shift[1], shift[2]), *found)
    return best


def _agreement(one: Array, two: Array, shift: tuple[int, ...]) -> tuple[float, float, int]:
    here: list[slice] = []
    there: list[slice] = []
    for a, b, move in zip(one.shape, two.shape, shift, strict=True):
        start, end = max(move, 0), min(a, b + move)
        here.append(slice(start, max(end, start)))
        there.append(slice(start - move, max(end, start) - move))
    x, y = one[tuple(here)].ravel().astype(np.float64), two[tuple(there)].ravel().astype(np.float64)
    shared = x.size / min(one.size, two.size)
    if shared < 0.5 or x.std() < FLAT or y.std() < FLAT:
        return -1.0, shared, 0
    return float(np.corrcoef(x, y)[0, 1]), shared, len(np.unique(x[:: max(1, x.size // 10_000)]))


def _aligned(thumbnails: Sequence[Array], shape: tuple[int, ...], template: Array | None = None) -> tuple[Array, Array]:
    """(scans, i, j, k) on one grid, each where it fits the mean best, and the share of scans that cover a voxel."""
    placed = [_place(one, shape) for one in thumbnails]
    volumes = np.stack([volume for volume, _ in placed])
    masks = np.stack([mask for _, mask in placed]).astype(np.float32)
    target = volumes.mean(0) if template is None else template
    reach = [max(2, side // REACH) for side in shape]
    window = np.ix_(*(np.arange(-r, r + 1) for r in reach))
    shifts = np.zeros((len(volumes), 3), dtype=np.int64)
    for _ in range(ROUNDS if template is None else 1):
        wanted = np.asarray(fft.rfftn(target))
        for row, volume in enumerate(volumes):
            fit = np.asarray(fft.irfftn(np.conj(np.asarray(fft.rfftn(volume))) * wanted, shape))[window]
            shifts[row] = np.array(np.unravel_index(int(np.argmax(fit)), fit.shape)) - reach
        target = np.mean([np.roll(v, tuple(s), (0, 1, 2)) for v, s in zip(volumes, shifts, strict=True)], axis=0)
    for row, shift in enumerate(shifts):
        volumes[row] = np.roll(volumes[row], tuple(shift), (0, 1, 2))
        masks[row] = np.roll(masks[row], tuple(shift), (0, 1, 2))
    return volumes, masks.mean(0)


def _place(volume: Array, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Middle on middle: cut or padded with 0, and where there is something."""
    target, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
    spare = [wanted - side for wanted, side in zip(shape, volume.shape, strict=True)]
    to = tuple(
        slice(max(s // 2, 0), max(s // 2, 0) + min(n, w)) for s, n, w in zip(spare, volume.shape, shape, strict=True)
    )
    of = tuple(
        slice(max(-s // 2, 0), max(-s // 2, 0) + min(n, w)) for s, n, w in zip(spare, volume.shape, shape, strict=True)
    )
    target[to], mask[to] = volume[of], True
    return target, mask


def _unit(rows: Array) -> Array:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
