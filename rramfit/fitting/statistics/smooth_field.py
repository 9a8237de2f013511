"""Smooth random field over the array: its strength, its correlation length and their uncertainty.

A field x over the cells is modelled as a linear trend, plus a smooth random field, plus white
noise:

    cov(x_c, x_c') = v·[(1 − s)·δ_cc' + s·exp(−(d_cc'/ℓ)²)],

with v the variance, s the smooth share and ℓ the length over which the correlation falls to 1/e.
The trend is removed by least squares. The residual is transformed by the DCT-II, whose ordinates
are nearly independent and whose expectations under the smooth field are exact for the finite array,
without wrap-around or neglected leakage. This is the debiased Whittle likelihood (Sykulski et al.,
Biometrika 106 (2019) 251), here for the cosine transform. With K_n the correlation matrix of a line
of n cells and u_j the j-th cosine vector,

    E I_jl = v·[(1 − s) + s·(u_jᵀ K_R u_j)·(u_lᵀ K_C u_l)].

The ordinates (0,0), (1,0) and (0,1) are omitted because the mean and the trend absorb them. Cells
without a measurement are filled with zero. If the measured cells are scattered over the array at a
density ρ < 1, the observed smooth share is ρ·s; the likelihood allows for this.

An array holds only a few patches of a long-range field, so a single best (ℓ, s) is not reliable.
The likelihood is evaluated on a grid, with a prior that is flat in ln ℓ and in the logarithm of the
ratio of the smooth field's peak power to the noise, and with part of the prior on "no field".
Results are averaged over the grid.

Not here: which quantities the field makes uncertain, and by how much
(`rramfit.fitting.statistics.inference`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from rramfit.streams import stream

__all__ = ["SmoothField", "fit_smooth_field", "plane", "smallest_side"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

smallest_side = 8  # [cells] per side; on a smaller array a smooth field looks like a trend

_SHORTEST = 1.0  # [pitches]
_LONGEST = 0.45  # times the shorter side; a longer field looks like a trend
_FAINTEST = 0.5  # peak power of the smooth field over that of the noise
_LARGEST_SHARE = 0.995
_NO_FIELD = 0.5  # prior weight
_COARSE, _FINE = (16, 24), (24, 24)
_NEGLIGIBLE = 9.0  # coarse grid cells with a log weight this far below the best are not refined
_CAUTION = 0.9  # power of the likelihood: neighbouring ordinates are weakly correlated
_NULL_DRAWS = 999
_SINGLE = 16  # ordinates up to this radius are not binned


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothField:
    """Likelihood of a smooth field on a grid of its parameters.

    The last grid point is "no field": length and share 0.
    """

    length: Floats  # [pitches]     (grid,)
    share: Floats  #                (grid,) fraction of the variance
    variance: Floats  # [unit of x²] (grid,) maximum-likelihood value at each point
    weight: Floats  #               (grid,) posterior, sums to 1
    log_likelihood: Floats  #       (grid,) less that of no field
    gain: float  #                  log-likelihood of the best coarse-grid field, less that of none
    observed: Bools  #              (row, col)

    def p_value(self, seed: int = 0) -> float:
        """Return the probability that white noise gains as much, from 999 draws."""
        box = _bounding_box(self.observed)
        inside = self.observed[box]
        null = _null_gains(inside.shape, _rounded(inside.mean()), seed)
        return float((1 + np.sum(null >= self.gain)) / (1 + len(null)))

    def mean(self, values: Floats) -> float:
        """Return the posterior mean of a number given at each point of the grid."""
        return float(self.weight @ values)

    def quantiles(
        self, values: Floats, probability: tuple[float, ...], *, caution: float = 1.0
    ) -> tuple[float, ...]:
        """Return posterior quantiles of a number given at each point of the grid.

        A `caution` below 1 raises the likelihood to that power.
        """
        order = np.argsort(values)
        with np.errstate(divide="ignore"):  # weights can underflow to 0
            log_weight = np.log(self.weight) + (caution - 1) * self.log_likelihood
        weight = np.exp(log_weight - log_weight.max())
        weight = weight[order] / weight.sum()
        cumulative = np.cumsum(weight) - 0.5 * weight
        return tuple(float(q) for q in np.interp(probability, cumulative, values[order]))

    def pair_sums(self, power: int = 1, *, weights: Floats | None = None) -> Floats:
        """Sum a_c·a_c'·exp(−(d/ℓ)²)^power over pairs of different cells, (grid,).

        The weights a, (row, col), default to 1 for observed cells.
        """
        a = self.observed.astype(np.float64) if weights is None else weights
        sums = np.zeros(len(self.length))
        lengths, back = np.unique(self.length[:-1], return_inverse=True)
        sums[:-1] = _pair_sums(a, lengths / np.sqrt(power))[back]
        return sums


def plane(values: Floats) -> tuple[Floats, Floats, Bools]:
    """Remove mean and linear trend from a field.

    Parameters
    ----------
    values : (row, col) array
        NaN where not observed.

    Returns
    -------
    residual : (row, col) array
        Zero where not observed.
    coefficients : (3,) array
        Value at the array's centre, slope along rows and along columns [unit per pitch].
    observed : (row, col) bool array
    """
    rows, cols = values.shape
    observed = np.isfinite(values)
    r = np.arange(rows) - (rows - 1) / 2
    c = np.arange(cols) - (cols - 1) / 2
    m = observed.astype(np.float64)
    x = np.where(observed, values, 0.0)
    per_row, per_col = m.sum(axis=1), m.sum(axis=0)
    moments = np.array(
        [
            [m.sum(), r @ per_row, c @ per_col],
            [r @ per_row, r**2 @ per_row, r @ m @ c],
            [c @ per_col, r @ m @ c, c**2 @ per_col],
        ]
    )
    right = np.array([x.sum(), r @ x.sum(axis=1), c @ x.sum(axis=0)])
    coefficients = np.asarray(np.linalg.lstsq(moments, right)[0], dtype=np.float64)
    fitted = coefficients[0] + coefficients[1] * r[:, None] + coefficients[2] * c
    return np.where(observed, x - fitted, 0.0), coefficients, observed


def fit_smooth_field(values: Floats) -> SmoothField | None:
    """Compute the likelihood of a smooth field on a grid of its parameters.

    Parameters
    ----------
    values : (row, col) array
        NaN where not observed.

    Returns
    -------
    SmoothField or None
        None if fewer than `smallest_side` rows or columns or too few cells are observed, or if the
        field is constant.
    """
    residual, _, observed = plane(values)
    cut = _bounding_box(observed)
    residual, inside = residual[cut], observed[cut]
    n = int(inside.sum())
    if min(inside.shape) < smallest_side or n < 2 * smallest_side or not residual.any():
        return None
    ordinates = _Ordinates.of(inside.shape)
    density = n / inside.size
    power = ordinates.sums(residual)
    grid = _Grid.coarse(ordinates, density)
    log_likelihood, _ = grid.evaluate(ordinates, power)
    gain = float(log_likelihood.max() - log_likelihood[-1])
    grid = grid.refined(ordinates, log_likelihood + grid.log_prior)
    log_likelihood, variance = grid.evaluate(ordinates, power)
    log_weight = _CAUTION * log_likelihood + grid.log_prior
    weight = np.exp(log_weight - log_weight.max())
    return SmoothField(
        length=grid.length,
        share=grid.share,
        variance=variance / density,
        weight=weight / weight.sum(),
        log_likelihood=log_likelihood - log_likelihood[-1],
        gain=max(gain, 0.0),
        observed=observed,
    )


class _Ordinates:
    """Cosine ordinates of one array shape, the higher ones binned by frequency."""

    def __init__(self, shape: tuple[int, int]) -> None:
        rows, cols = shape
        size = max(shape)
        j = np.arange(rows)[:, None] * (size / rows)
        i = np.arange(cols) * (size / cols)
        radius = np.hypot(j, i).ravel()
        growth = np.log(np.maximum(radius / _SINGLE, 1.0)) / np.log1p(0.5 / _SINGLE)
        single = np.arange(radius.size) - radius.size  # one bin each, before the wider bins
        key = np.where(radius <= _SINGLE, single, np.floor(growth).astype(np.int64))
        dropped = np.zeros(shape, bool)
        dropped[0, 0] = dropped[1, 0] = dropped[0, 1] = True
        key[dropped.ravel()] = -radius.size - 1
        _, self.bin = np.unique(key, return_inverse=True)  # bin 0 holds the omitted ordinates
        self.count = np.bincount(self.bin)[1:]
        self.total = int(self.count.sum())
        self.longest = _LONGEST * min(shape)
        self.lags = [_line_autocorrelations(n) for n in shape]

    @staticmethod
    @lru_cache(maxsize=16)
    def of(shape: tuple[int, int]) -> _Ordinates:
        return _Ordinates(shape)

    def sums(self, field: Floats) -> Floats:
        """Sum the squared ordinates in each bin, (bin,)."""
        power = fft.dctn(field, type=2, norm="ortho") ** 2
        return np.asarray(np.bincount(self.bin, power.ravel())[1:], dtype=np.float64)

    def smooth(self, length: float) -> tuple[float, Floats]:
        """Return the expected (0,0) ordinate and bin means of a smooth field of variance 1."""
        along_rows, along_cols = (
            a @ np.exp(-((np.arange(len(a)) / length) ** 2)) for a in self.lags
        )
        expected = np.outer(along_rows, along_cols)
        means = np.bincount(self.bin, expected.ravel())[1:] / self.count
        return float(expected[0, 0]), np.maximum(means, 0.0)


def _line_autocorrelations(n: int) -> Floats:
    """Compute the autocorrelation of each cosine vector of n cells, both signs of a lag summed."""
    vectors = fft.dct(np.eye(n), type=2, norm="ortho", axis=0)
    spectrum = np.abs(np.fft.rfft(vectors, 2 * n, axis=1)) ** 2
    lags = np.fft.irfft(spectrum, 2 * n, axis=1)[:, :n]
    lags[:, 1:] *= 2
    return np.asarray(lags, dtype=np.float64)


class _Grid:
    """Grid points (ℓ, s), "no field" last, with the shape of the spectrum at each."""

    def __init__(
        self, ordinates: _Ordinates, density: float, ln_length: Floats, place: Floats, area: float
    ) -> None:
        self.density, self.ln_length, self.place = density, ln_length, place
        length, share, spectrum = [], [], []
        for ln in ln_length:
            peak, smooth = ordinates.smooth(float(np.exp(ln)))
            largest = density * _LARGEST_SHARE * peak / (1 - density * _LARGEST_SHARE)
            amplitude = _FAINTEST * (max(largest, 2 * _FAINTEST) / _FAINTEST) ** place
            diluted = amplitude / (peak + amplitude)  # ρ·s
            length.append(np.full(len(place), np.exp(ln)))
            share.append(np.minimum(diluted / density, _LARGEST_SHARE))
            spectrum.append(1 - diluted[:, None] + diluted[:, None] * smooth)
        self.length = np.append(np.concatenate(length), 0.0)
        self.share = np.append(np.concatenate(share), 0.0)
        self.spectrum = np.vstack([*spectrum, np.ones(len(ordinates.count))])
        points = len(self.length) - 1
        self.log_prior = np.full(points + 1, np.log((1 - _NO_FIELD) * area / points))
        self.log_prior[-1] = np.log(_NO_FIELD)

    @staticmethod
    def coarse(ordinates: _Ordinates, density: float) -> _Grid:
        return _coarse_grid(ordinates, _rounded(density))

    def evaluate(self, ordinates: _Ordinates, power: Floats) -> tuple[Floats, Floats]:
        """Return the log-likelihood, maximised over the variance, and that variance.

        Both (grid, …) for `power` of (bin, …).
        """
        variance = (1 / self.spectrum) @ power / ordinates.total
        logs = np.log(self.spectrum) @ ordinates.count
        logs = logs.reshape(-1, *(1,) * (power.ndim - 1))
        log_likelihood = -0.5 * (ordinates.total * np.log(variance) + logs)
        return np.asarray(log_likelihood, dtype=np.float64), variance

    def refined(self, ordinates: _Ordinates, log_weight: Floats) -> _Grid:
        """Return a fine grid over the part of this grid with non-negligible weight."""
        shape = len(self.ln_length), len(self.place)
        matters = log_weight[:-1].reshape(shape) > log_weight[:-1].max() - _NEGLIGIBLE
        axes, area = [], 1.0
        for axis, centres, n in ((0, self.ln_length, _FINE[0]), (1, self.place, _FINE[1])):
            used = np.flatnonzero(matters.any(axis=1 - axis))
            step = centres[1] - centres[0]
            low = max(centres[used[0]] - 1.5 * step, centres[0] - 0.5 * step)
            high = min(centres[used[-1]] + 1.5 * step, centres[-1] + 0.5 * step)
            axes.append(low + (high - low) * (np.arange(n) + 0.5) / n)
            area *= (high - low) / (step * len(centres))
        return _Grid(ordinates, self.density, axes[0], axes[1], area=area)


@lru_cache(maxsize=16)
def _coarse_grid(ordinates: _Ordinates, density: float) -> _Grid:
    low, high = np.log(_SHORTEST), np.log(ordinates.longest)
    ln_length = low + (high - low) * (np.arange(_COARSE[0]) + 0.5) / _COARSE[0]
    place = (np.arange(_COARSE[1]) + 0.5) / _COARSE[1]
    return _Grid(ordinates, density, ln_length, place, area=1.0)


def _rounded(density: float) -> float:
    """Round to two digits, so that similar densities share a grid."""
    return float(f"{density:.2g}")


@lru_cache(maxsize=32)
def _null_gains(shape: tuple[int, int], density: float, seed: int) -> Floats:
    ordinates = _Ordinates.of(shape)
    draws = stream(seed, "smooth field").chisquare(
        ordinates.count[:, None], (len(ordinates.count), _NULL_DRAWS)
    )
    log_likelihood, _ = _coarse_grid(ordinates, density).evaluate(ordinates, draws)
    return np.asarray(log_likelihood.max(axis=0) - log_likelihood[-1], dtype=np.float64)


def _bounding_box(observed: Bools) -> tuple[slice, slice]:
    box = []
    for axis in (1, 0):
        used = np.flatnonzero(observed.any(axis=axis))
        box.append(slice(used[0], used[-1] + 1) if used.size else slice(0, 0))
    return box[0], box[1]


def _pair_sums(weights: Floats, lengths: Floats) -> Floats:
    """Sum a_c·a_c'·exp(−(d/ℓ)²) over pairs of different cells, for each ℓ."""
    rows, cols = weights.shape
    spectrum = np.abs(np.fft.rfft2(weights, (2 * rows, 2 * cols))) ** 2
    pairs = np.fft.irfft2(spectrum, (2 * rows, 2 * cols))  # by lag, wrapped
    lag_r, lag_c = (np.minimum(np.arange(2 * n), 2 * n - np.arange(2 * n)) for n in (rows, cols))
    k_r = np.exp(-((lag_r / lengths[:, None]) ** 2))
    k_c = np.exp(-((lag_c / lengths[:, None]) ** 2))
    total = np.sum((k_r @ pairs) * k_c, axis=1)
    return np.asarray(total - np.sum(weights**2), dtype=np.float64)
