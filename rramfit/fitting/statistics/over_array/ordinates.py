"""Cosine ordinates of a field over the array, binned, and what a smooth field puts into each.

A field x, zero where not observed, is turned by the DCT-II, whose ordinates are nearly independent.
Under a random field of correlation K between cells the expectation of an ordinate follows exactly
from the finite array, without wrap-around and with all leakage (the debiased Whittle likelihood of
Sykulski et al., Biometrika 106 (2019) 251, here for the cosine transform):

    E I_jl = Σ_d a_j(d_r)·a_l(d_c)·K(d_r, d_c),

a_j the autocorrelation of the j-th cosine vector. Ordinates (0,0), (1,0) and (0,1) are omitted
because the mean and the trend absorb them. The others are binned: singly up to a radius of 16, then
by radius, and apart where lines put power (`rramfit.fitting.statistics.over_array.lines`).

If the cells are on every p-th row and q-th column, the lattice of these is transformed, because the
transform of the whole array would repeat each ordinate p·q times. If they are on another pattern
(`rramfit.fitting.statistics.over_array.cell_pattern`), K(d) is multiplied by the number of pairs of
cells at the distance d over that expected without gaps, and divided by the density of the cells.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from rramfit.fitting.statistics.over_array.kernels import correlation

__all__ = ["Ordinates", "expected_ordinates"]

Floats = NDArray[np.float64]

_SINGLE = 16  # ordinates up to this radius have a bin each
_LONGEST = 0.45  # of the shorter side: longer fields look like the trend
_LOWEST = 3.0  # radius up to which ordinates show what the mean may hold
_SAME_LINES = 0.25  # ordinates whose line power differs by less than this factor share a bin


class Ordinates:
    """Binned ordinates of one array shape.

    Attributes
    ----------
    count : (bin,) array
        Ordinates in each bin.
    lines : (bin,) array
        Power of the lines over that of a cell, mean of each bin.
    lowest : (bin,) bool array
        Bins of the lowest ordinates, off both axes of the transform.
    longest : float
        Longest correlation length that the array can show [pitches].
    pitch : (int, int)
        Distance of neighbouring rows and columns of the lattice [pitches of the array].
    pairs : (row lag, col lag) array or None
        Share of pairs at each lag that are observed, over the density of the cells; None if the
        cells are not on a pattern.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        lines: Floats | None = None,
        *,
        pitch: tuple[int, int] = (1, 1),
        pairs: Floats | None = None,
    ) -> None:
        self.shape, self.pitch, self.pairs = shape, pitch, pairs
        extent = shape[0] * pitch[0], shape[1] * pitch[1]
        size = max(extent)
        j = np.arange(shape[0])[:, None] * (size / extent[0])
        i = np.arange(shape[1]) * (size / extent[1])
        radius = np.hypot(j, i).ravel()
        growth = np.floor(np.log(np.maximum(radius / _SINGLE, 1.0)) / np.log1p(0.5 / _SINGLE))
        power = np.zeros(radius.size) if lines is None else lines.ravel()
        kind = np.floor(np.log1p(power) / _SAME_LINES)
        key = growth * (kind.max() + 1) + kind
        key = np.where(radius <= _SINGLE, np.arange(radius.size) - radius.size, key)
        dropped = np.zeros(shape, bool)
        dropped[0, 0] = dropped[1, 0] = dropped[0, 1] = True
        key[dropped.ravel()] = -radius.size - 1
        _, self.bin = np.unique(key, return_inverse=True)  # bin 0 holds what is dropped
        self.count = np.bincount(self.bin)[1:]
        self.total = int(self.count.sum())
        self.longest = _LONGEST * min(extent)
        self.lines = np.bincount(self.bin, power)[1:] / self.count
        low = (radius <= _LOWEST * size / min(extent)) & ~dropped.ravel()
        self.lowest = np.bincount(self.bin, low)[1:] > 0

    @staticmethod
    @lru_cache(maxsize=16)
    def of(shape: tuple[int, int], pitch: tuple[int, int] = (1, 1)) -> Ordinates:
        """Ordinates of an array without lines, kept for the next field of the shape."""
        return Ordinates(shape, pitch=pitch)

    def sums(self, values: Floats) -> Floats:
        """Sum of squared ordinates in each bin, (bin,)."""
        power = fft.dctn(values, type=2, norm="ortho") ** 2
        return np.asarray(np.bincount(self.bin, power.ravel())[1:], dtype=np.float64)

    def smooth(self, kernel: str, length: float) -> tuple[float, Floats]:
        """Expect of a smooth field of variance 1: the (0,0)th ordinate, and the bin means."""
        if self.pairs is None:
            expected = expected_ordinates(self.shape, kernel, length, self.pitch)
        else:
            expected = _expected(self.shape, kernel, length, self.pitch, self.pairs)
        means = np.bincount(self.bin, expected.ravel())[1:] / self.count
        return float(expected[0, 0]), np.maximum(means, 0.0)


@lru_cache(maxsize=512)
def expected_ordinates(
    shape: tuple[int, int], kernel: str, length: float, pitch: tuple[int, int] = (1, 1)
) -> Floats:
    """Return the expected ordinates of a field of variance 1, (row, col)."""
    return _expected(shape, kernel, length, pitch, np.ones(shape))


def _expected(
    shape: tuple[int, int], kernel: str, length: float, pitch: tuple[int, int], pairs: Floats
) -> Floats:
    along_rows, along_cols = (_line_autocorrelations(n) for n in shape)
    distance = np.hypot(pitch[0] * np.arange(shape[0])[:, None], pitch[1] * np.arange(shape[1]))
    out = along_rows @ (pairs * correlation(kernel, distance / length)) @ along_cols.T
    return np.asarray(out, dtype=np.float64)


@lru_cache(maxsize=16)
def _line_autocorrelations(n: int) -> Floats:
    """Autocorrelation of each cosine vector of a line of n cells, both signs of a lag summed."""
    vectors = fft.dct(np.eye(n), type=2, norm="ortho", axis=0)
    spectrum = np.abs(np.fft.rfft(vectors, 2 * n, axis=1)) ** 2
    lags = np.fft.irfft(spectrum, 2 * n, axis=1)[:, :n]
    lags[:, 1:] *= 2
    return np.asarray(lags, dtype=np.float64)
