"""What a scanner makes of a head: tone, gain, coil shading, Rician noise and 12 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .anatomy import WHITE_MATTER, smooth_field
from .plan import Site
from .seeds import generator

Array = NDArray[Any]

# Standard deviation of the logarithm of the coil's shading. It marks every patch of a patient, so with 0.07 a
# network of 24 patients learns the patients by heart instead of the lesions in a few of their patches.
BIAS = 0.02


def acquire(tissue: Array, site: Site, number: int, *, spacing_mm: float) -> Array:
    """The stored values (uint16, at most 4095) of `tissue` (template intensities) as scanned at `site`.

    Noise is Rician: the magnitude of a complex signal with Gaussian noise in both parts (Gudbjartsson & Patz 1995).
    """
    random = generator("scanner", number)
    signal = WHITE_MATTER * (tissue.clip(0) / WHITE_MATTER) ** site.tone
    signal *= np.exp(np.float32(BIAS) * smooth_field(random, tissue.shape, spacing_mm, knots_mm=90.0))
    sigma = np.float32(site.noise * WHITE_MATTER)
    real = signal + sigma * random.standard_normal(tissue.shape, dtype=np.float32)
    imaginary = sigma * random.standard_normal(tissue.shape, dtype=np.float32)
    gain = site.gain * float(np.exp(random.normal(0.0, 0.08)))
    return np.rint(gain * np.sqrt(real**2 + imaginary**2)).clip(0, 4095).astype(np.uint16)
