"""Conversion of integer sums and their addition to partial sums in one pass, compiled by numba.

    total += counts·clip(round(p₀ + p₁S + p₂S² + p₃S³ + noise), 0, top)      S = 64·high + low

Columns are divided among as many Python threads as torch has; the result does not depend on their
number. OpenMP threads of numba are not used: they wait actively, which slows the products of torch.
Imported only if numba is installed.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.mapping.tiles.integers.bit_planes import BASE

__all__ = ["add_converted"]

Floats = NDArray[np.float32]

_ROUNDING = np.float32(1.5 * 2**23)
"""Adding and subtracting it rounds a float32 between 0 and 2^22 to the nearest integer."""

_ZERO = np.float32(0)
_BASE = np.int32(BASE)
_NONE = np.zeros((1, 1), dtype=np.float32)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add(
    sums: NDArray[np.int32],
    polynomial: Floats,
    counts: Floats,
    top: np.float32,
    noise: Floats,
    noisy: bool,
    total: Floats,
    begin: int,
    end: int,
) -> None:
    columns, vectors = total.shape
    for c in range(begin, end):
        constant, first, second, third = polynomial[:, c]
        count = counts[c]
        for v in range(vectors):
            x = np.float32(_BASE * sums[c, v] + sums[columns + c, v])
            code = constant + x * (first + x * (second + x * third))
            if noisy:
                code += noise[c, v]
            code = (min(max(code, _ZERO), top) + _ROUNDING) - _ROUNDING
            total[c, v] += count * code


def add_converted(
    sums: Tensor,
    polynomial: Tensor,
    counts: Tensor,
    top: float,
    noise: Tensor | None,
    total: Tensor,
) -> None:
    """Convert integer sums and add them to partial sums, in place.

    Parameters
    ----------
    sums : (2·column, vector) int32 tensor
        High and low bytes.
    polynomial : (4, column) tensor
        Code of the converter by powers of the sum [LSB].
    counts : (column,) tensor
        Weight of a code.
    top : float
        Highest code.
    noise : (column, vector) tensor or None
        [LSB]
    total : (column, vector) tensor
    """
    threads, columns = torch.get_num_threads(), len(total)
    given = (
        sums.numpy(),
        polynomial.numpy(),
        counts.numpy(),
        np.float32(top),
        _NONE if noise is None else noise.numpy(),
        noise is not None,
        total.numpy(),
    )
    if threads == 1:
        _add(*given, 0, columns)
        return
    edges = [columns * k // threads for k in range(threads + 1)]
    others = [_pool(threads).submit(_add, *given, begin, end) for begin, end in pairwise(edges[1:])]
    _add(*given, *edges[:2])
    for other in others:
        other.result()


@functools.lru_cache(1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1)
