"""Smooth Gaussian random fields on the grid of cells.

The field has mean 0, variance 1 and correlation exp(−(d/ℓ)²) at a distance of d cell pitches. That
correlation is a product of one factor for rows and one for columns, so a field is exactly

    F = B_r·W·B_c,   B·B = C,   C_ij = exp(−((i − j)/ℓ)²),   W white

with B the symmetric square root. Unlike an embedding in a torus (FFT), no field wraps around at any
length, and a field of 128 × 128 costs two products of 128 × 128 matrices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["field_overlap", "smooth_fields"]


@lru_cache(maxsize=256)
def _root(size: int, length: float) -> Tensor:
    """Return B with B·B = C on a line of `size` cells, (size, size), float64."""
    at = np.arange(size, dtype=np.float64)
    correlation = np.exp(-(((at[:, None] - at) / length) ** 2))
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return torch.from_numpy(root)


def smooth_fields(
    shape: tuple[int, int],
    lengths: tuple[float, ...],
    *,
    count: int,
    mixing: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Draw smooth fields, one per level, correlated between levels.

    Parameters
    ----------
    shape : (rows, cols)
    lengths : tuple of float
        Correlation length of each level's field [cell pitches]; 0 means white.
    count : int
        Number of chips.
    mixing : (level, level) tensor
        Square root of the correlation matrix between levels. Fields of equal length have these
        correlations; for different lengths see `field_overlap`.
    generator : torch.Generator
        On the device of `mixing`.

    Returns
    -------
    (chip, level, row, col) tensor
        In the dtype of `mixing`.
    """
    rows, cols = shape
    field = torch.randn(
        (count, len(lengths), rows, cols),
        generator=generator,
        device=mixing.device,
        dtype=mixing.dtype,
    )
    field = torch.einsum("kl,clij->ckij", mixing, field)
    out = []
    for k, length in enumerate(lengths):
        one = field[:, k]
        if length > 0:
            one = _root(rows, length).to(mixing) @ one @ _root(cols, length).to(mixing)
        out.append(one)
    return torch.stack(out, dim=1)


def field_overlap(length: float, other: float) -> float:
    """Compute the correlation, at one cell, of two fields smoothed from the same white noise.

    Far from the edges the kernel of a field of length ℓ is a Gaussian ∝ exp(−2·(d/ℓ)²). Two such
    kernels in the plane overlap by 2·ℓ·ℓ'/(ℓ² + ℓ'²).
    """
    if length <= 0 or other <= 0:
        return 1.0 if length == other else 0.0
    return 2 * length * other / (length**2 + other**2)
