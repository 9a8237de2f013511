"""Correlation functions of a smooth random field over the array.

One array shows a field's low frequencies a few times at most, and kernels that fit the cells
equally well disagree about what lies beyond the array's size. So a family of kernels is used and
averaged over, from rough to smooth, and one with two scales:

    exponential           exp(−x)                                     Matérn, ν = 1/2
    matern 3/2            (1 + x)·exp(−x)
    matern 5/2            (1 + x + x²/3)·exp(−x)
    squared exponential   exp(−x²)                                    Matérn, ν → ∞
    two scales            ¾·exp(−x²) + ¼·exp(−(x/4)²)

with x = d/ℓ times a constant such that each falls to 1/e at the distance d = ℓ: a length means the
same for all of them (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, 4.2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

__all__ = ["KERNELS", "PRIOR", "correlation"]

Floats = NDArray[np.float64]

_SHAPES: dict[str, Callable[[Floats], Floats]] = {
    "exponential": lambda x: np.exp(-x),
    "matern 3/2": lambda x: (1 + x) * np.exp(-x),
    "matern 5/2": lambda x: (1 + x + x**2 / 3) * np.exp(-x),
    "squared exponential": lambda x: np.exp(-(x**2)),
    "two scales": lambda x: 0.75 * np.exp(-(x**2)) + 0.25 * np.exp(-((x / 4) ** 2)),
}

KERNELS = tuple(_SHAPES)
"""Names of the kernels."""

PRIOR = (0.15, 0.15, 0.2, 0.4, 0.1)
"""Prior weight of each kernel: half of it on smooth ones, a tenth on two scales."""

_SCALE = {
    name: float(optimize.brentq(lambda x, f=f: float(f(np.float64(x))) - np.exp(-1.0), 0.1, 10.0))
    for name, f in _SHAPES.items()
}


def correlation(kernel: str, distance: Floats) -> Floats:
    """Correlation of a field at two cells, for their distance in units of the length ℓ."""
    return _SHAPES[kernel](_SCALE[kernel] * distance)
