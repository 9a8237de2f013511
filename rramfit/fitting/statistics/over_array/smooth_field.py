"""Smooth random field over the array: its strength, its correlation length and their uncertainty.

A field x over the cells is modelled as a linear trend, plus a smooth random field, plus line
offsets, plus white noise:

    cov(x_c, x_c') = v·[(1 − s)·(δ_cc' + lines) + s·K(d_cc'/ℓ)],

with v(1 − s) the variance of a cell, s the smooth share, ℓ the length over which the correlation
falls to 1/e, and K one of the kernels of `rramfit.fitting.statistics.over_array.kernels`. The trend
is removed by least squares. The likelihood is that of the cosine ordinates of the residual
(`rramfit.fitting.statistics.over_array.ordinates`); line offsets, known from
`rramfit.fitting.statistics.over_array.lines`, add their expected power to the white noise. Cells
without a measurement are filled with zero. If the measured cells are scattered over the array at a
density ρ < 1, the observed smooth share is ρ·s; the likelihood allows for this. If they are on
every p-th line, as a level that was programmed in stripes, the lattice of these lines is taken for
the array; if they are on another pattern, ordinates are correlated, and the log-likelihood is
multiplied by ρ.

An array holds only a few patches of a long-range field, so a single best (K, ℓ, s) is not reliable.
The likelihood is evaluated on a grid, with a prior over the kernels, flat in ln ℓ and
in the logarithm of the ratio of the smooth field's peak power to the noise, and with part of the
prior on "no field". Results are averaged over the grid.

A smooth field moves the mean over the array most, and no ordinate shows that movement: a kernel
extrapolates it from the lowest ordinates. The power that a kernel puts into the unobserved ordinate
(0,0) is therefore limited to `_MAX_EXTRAPOLATION` times its power in the ordinates beside it.

Not here: which quantities the field makes uncertain, and by how much
(`rramfit.fitting.statistics.inference`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.fitting.statistics.over_array.cell_pattern import (
    lattice,
    pair_shares,
    pairs_by_distance,
)
from rramfit.fitting.statistics.over_array.kernels import KERNELS, PRIOR, correlation
from rramfit.fitting.statistics.over_array.lines import COSINE_SHARE, LineComponents
from rramfit.fitting.statistics.over_array.ordinates import Ordinates, expected_ordinates
from rramfit.streams import stream

__all__ = ["SmoothField", "fit_smooth_field", "plane", "smallest_side"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

smallest_side = 8  # [cells] per side; on a smaller array a smooth field looks like a trend

_FEWEST_LINES = 2
_SHORTEST = 1.0  # [pitches]
_FAINTEST = 0.5  # peak power of the smooth field over the noise's
_LARGEST_SHARE = 0.995
_NO_FIELD = 0.5  # prior weight
_COARSE, _FINE = (16, 24), (12, 24)
_MAX_EXTRAPOLATION = 3.0  # power of the unseen ordinate (0,0) over that of the lowest seen
_NEGLIGIBLE = 9.0  # log weight below the best at which a coarse cell is not refined
_CAUTION = 0.9  # of the likelihood: neighbouring ordinates are not quite independent
_NULL_DRAWS, _NULL_DRAWS_ON = 999, 199
_FAINT = 1e-3  # of the strongest length: shorter of that are not summed


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothField:
    """Likelihood of a smooth field on a grid of its parameters.

    The last grid point is "no field": length and share 0.
    """

    kernel: Integers  #             (grid,) index in `KERNELS`
    length: Floats  # [pitches]     (grid,)
    share: Floats  #                (grid,) fraction of the variance
    variance: Floats  # [unit of x²] (grid,) maximum-likelihood value at each point
    weight: Floats  #               (grid,) posterior, sums to 1
    log_likelihood: Floats  #       (grid,) less that of no field
    gain: float  #                  log-likelihood of the best field of the coarse grid over none
    limit: Floats  #                (grid,) most of `pair_sums` that the lowest ordinates bear out
    observed: Bools  #              (row, col)
    _sums: dict[tuple[int, bool, bytes], Floats] = field(
        default_factory=dict, repr=False, compare=False
    )

    def p_value(self, seed: int = 0) -> float:
        """Return the probability that white noise gains as much, from simulation."""
        cut = lattice(self.observed)
        inside = self.observed[cut]
        if pair_shares(inside) is not None:
            null = _null_gains_on(inside.shape, _pitch(cut), inside.tobytes(), seed)
        else:
            null = _null_gains(inside.shape, _pitch(cut), _rounded(inside.mean()), seed)
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

    def line_power(self, axis: int) -> float:
        """Variance that the field itself gives to the means of whole lines, in the unit of x².

        Above the lowest cosines along the lines, and above what it puts beside the axis.

        Parameters
        ----------
        axis : {0, 1}
            0 for rows, 1 for columns.
        """
        cut = lattice(self.observed)
        inside, pitch = self.observed[cut], _pitch(cut)
        shape = (inside.shape[0], inside.shape[1])
        expected = np.zeros(shape)
        points = np.stack([self.kernel[:-1], self.length[:-1]])
        each, back = np.unique(points, axis=1, return_inverse=True)
        strength = np.bincount(back, (self.weight * self.variance * self.share)[:-1])
        for (kernel, length), x in zip(each.T, strength, strict=True):
            if x > _FAINT * strength.max():
                expected += x * expected_ordinates(
                    shape, KERNELS[int(kernel)], float(length), pitch
                )
        if axis == 1:
            expected = expected.T
        low = [2 + n // COSINE_SHARE for n in expected.shape]
        beside = expected[low[0] :, low[1] :]
        return float(expected[low[0] :, 0].mean() - beside.mean()) / expected.shape[1]

    def pair_sums(self, power: int = 1, *, weights: Floats | None = None) -> Floats:
        """Sum over pairs of different cells of a_c·a_c'·K(d/ℓ)^power, (grid,), read-only.

        The weights a, (row, col), are 1 for observed cells where not given; the sum is then limited
        to what the lowest ordinates bear out. Sums are kept, as all estimates of a level need them.
        """
        a = self.observed.astype(np.float64) if weights is None else weights
        key = power, weights is None, hashlib.sha256(a.tobytes()).digest()
        if key not in self._sums:
            sums = self._pair_sums(a, power)
            self._sums[key] = sums if weights is not None else np.minimum(sums, self.limit)
            self._sums[key].flags.writeable = False
        return self._sums[key]

    def _pair_sums(self, weights: Floats, power: int) -> Floats:
        sums = np.zeros(len(self.length))
        points = np.stack([self.kernel[:-1], self.length[:-1]])
        each, back = np.unique(points, axis=1, return_inverse=True)
        distance, pairs = pairs_by_distance(weights)
        for i, (kernel, length) in enumerate(each.T):
            k = correlation(KERNELS[int(kernel)], distance / length)
            sums[:-1][back == i] = float(pairs @ k**power)
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


def fit_smooth_field(values: Floats, *, lines: LineComponents | None = None) -> SmoothField | None:
    """Likelihood of a smooth field on a grid of its parameters.

    Parameters
    ----------
    values : (row, col) array
        NaN where not observed.
    lines : LineComponents, optional
        Line effects of the same field.

    Returns
    -------
    SmoothField or None
        None if fewer than `smallest_side` rows or columns or too few cells are observed, or if the
        field is constant.
    """
    residual, _, observed = plane(values)
    cut = lattice(observed)
    residual, inside = residual[cut], observed[cut]
    n, pitch = int(inside.sum()), _pitch(cut)
    extent = [size * step for size, step in zip(inside.shape, pitch, strict=True)]
    if (
        min(inside.shape) < _FEWEST_LINES
        or min(extent) < smallest_side
        or n < 2 * smallest_side
        or not residual.any()
    ):
        return None
    density, counting = n / inside.size, 1.0
    thinned = density
    ordinates = Ordinates.of(inside.shape, pitch)
    pairs = pair_shares(inside)
    if pairs is not None:
        thinned, counting = 1.0, density
        ordinates = _patterned(inside.shape, pitch, inside.tobytes())
    if lines is not None:
        of_lines = lines.spectrum(observed, cut)
        ordinates = Ordinates(inside.shape, of_lines, pitch=pitch, pairs=pairs)
    power = ordinates.sums(residual)
    grid = _Grid.coarse(ordinates, thinned)
    log_likelihood = counting * grid.evaluate(ordinates, power)[0]
    gain = float(log_likelihood.max() - log_likelihood[-1])
    grid = grid.refined(ordinates, log_likelihood + grid.log_prior)
    log_likelihood, variance = grid.evaluate(ordinates, power)
    log_likelihood *= counting
    log_weight = _CAUTION * log_likelihood + grid.log_prior
    weight = np.exp(log_weight - log_weight.max())
    return SmoothField(
        kernel=grid.kernel,
        length=grid.length,
        share=grid.share,
        variance=variance / density,
        weight=weight / weight.sum(),
        log_likelihood=log_likelihood - log_likelihood[-1],
        gain=max(gain, 0.0),
        limit=np.maximum(n * (_MAX_EXTRAPOLATION * grid.lowest - 1), 0.0),
        observed=observed,
    )


class _Grid:
    """Points (K, ℓ, s), "no field" last, with the shape of the spectrum at each."""

    def __init__(
        self,
        ordinates: Ordinates,
        density: float,
        lengths: tuple[tuple[int, Floats], ...],
        place: Floats,
        area: float,
    ) -> None:
        self.density, self.lengths, self.place = density, lengths, place
        white = 1 + ordinates.lines
        low = ordinates.lowest
        kernel, length, share, spectrum, lowest = [], [], [], [], []
        for k, ln_length in lengths:
            for ln in ln_length:
                peak, smooth = ordinates.smooth(KERNELS[k], float(np.exp(ln)))
                largest = density * _LARGEST_SHARE * peak / (1 - density * _LARGEST_SHARE)
                amplitude = _FAINTEST * (max(largest, 2 * _FAINTEST) / _FAINTEST) ** place
                thinned = amplitude / (peak + amplitude)  # ρ·s
                kernel.append(np.full(len(place), k))
                length.append(np.full(len(place), np.exp(ln)))
                share.append(np.minimum(thinned / density, _LARGEST_SHARE))
                spectrum.append((1 - thinned[:, None]) * white + thinned[:, None] * smooth)
                lowest.append(np.full(len(place), float(smooth[low].mean())))
        self.kernel = np.append(np.concatenate(kernel), 0)
        self.length = np.append(np.concatenate(length), 0.0)
        self.share = np.append(np.concatenate(share), 0.0)
        self.lowest = np.append(np.concatenate(lowest), 0.0)
        self.spectrum = np.vstack([*spectrum, white])
        prior = np.array(PRIOR)[self.kernel]
        prior[:-1] *= (1 - _NO_FIELD) * area / prior[:-1].sum()
        self.log_prior = np.log(prior)
        self.log_prior[-1] = np.log(_NO_FIELD)

    @staticmethod
    def coarse(ordinates: Ordinates, density: float) -> _Grid:
        if ordinates.pairs is not None or ordinates is Ordinates.of(
            ordinates.shape, ordinates.pitch
        ):
            return _coarse_grid(ordinates, _rounded(density))
        return _make_coarse_grid(ordinates, _rounded(density))

    def evaluate(self, ordinates: Ordinates, power: Floats) -> tuple[Floats, Floats]:
        """Log-likelihood with the variance at its best, and that variance.

        Both (grid, …) for `power` of (bin, …).
        """
        variance = (1 / self.spectrum) @ power / ordinates.total
        logs = np.log(self.spectrum) @ ordinates.count
        logs = logs.reshape(-1, *(1,) * (power.ndim - 1))
        log_likelihood = -0.5 * (ordinates.total * np.log(variance) + logs)
        return np.asarray(log_likelihood, dtype=np.float64), variance

    def refined(self, ordinates: Ordinates, log_weight: Floats) -> _Grid:
        """Lay the fine grid over the part of this one that matters."""
        if not np.isfinite(log_weight[:-1].max()):
            msg = (
                "The likelihood of a smooth field is not finite: the readings differ by too many "
                "orders of magnitude. Check their unit and their largest values."
            )
            raise FitError(msg)
        shape = len(self.lengths), len(self.lengths[0][1]), len(self.place)
        matters = log_weight[:-1].reshape(shape) > log_weight[:-1].max() - _NEGLIGIBLE
        places, part = _finer(self.place, matters.any(axis=(0, 1)), _FINE[1])
        lengths, area = [], 0.0
        for (k, ln_length), of_kernel in zip(self.lengths, matters, strict=True):
            if of_kernel.any():
                finer, share = _finer(ln_length, of_kernel.any(axis=1), _FINE[0])
                lengths.append((k, finer))
                area += share * PRIOR[k]
        return _Grid(ordinates, self.density, tuple(lengths), places, area=area * part)


def _finer(centres: Floats, used: Bools, count: int) -> tuple[Floats, float]:
    """Return `count` centres over those in use and their neighbours, and the share they cover."""
    at = np.flatnonzero(used)
    step = centres[1] - centres[0]
    low = max(centres[at[0]] - 1.5 * step, centres[0] - 0.5 * step)
    high = min(centres[at[-1]] + 1.5 * step, centres[-1] + 0.5 * step)
    finer = low + (high - low) * (np.arange(count) + 0.5) / count
    return finer, float((high - low) / (step * len(centres)))


@lru_cache(maxsize=16)
def _coarse_grid(ordinates: Ordinates, density: float) -> _Grid:
    return _make_coarse_grid(ordinates, density)


def _make_coarse_grid(ordinates: Ordinates, density: float) -> _Grid:
    low, high = np.log(_SHORTEST), np.log(ordinates.longest)
    ln_length = low + (high - low) * (np.arange(_COARSE[0]) + 0.5) / _COARSE[0]
    place = (np.arange(_COARSE[1]) + 0.5) / _COARSE[1]
    lengths = tuple((k, ln_length) for k in range(len(KERNELS)))
    return _Grid(ordinates, density, lengths, place, area=1.0)


def _rounded(density: float) -> float:
    """Round to two digits, so that similar densities share a grid."""
    return float(f"{density:.2g}")


@lru_cache(maxsize=32)
def _null_gains(
    shape: tuple[int, int], pitch: tuple[int, int], density: float, seed: int
) -> Floats:
    ordinates = Ordinates.of(shape, pitch)
    draws = stream(seed, "smooth field").chisquare(
        ordinates.count[:, None], (len(ordinates.count), _NULL_DRAWS)
    )
    log_likelihood, _ = _coarse_grid(ordinates, density).evaluate(ordinates, draws)
    return np.asarray(log_likelihood.max(axis=0) - log_likelihood[-1], dtype=np.float64)


@lru_cache(maxsize=16)
def _patterned(shape: tuple[int, int], pitch: tuple[int, int], observed: bytes) -> Ordinates:
    """Ordinates of cells on a pattern, kept for the next field on it."""
    inside = np.frombuffer(observed, dtype=np.bool_).reshape(shape)
    return Ordinates(shape, pitch=pitch, pairs=pair_shares(inside))


@lru_cache(maxsize=16)
def _null_gains_on(
    shape: tuple[int, int], pitch: tuple[int, int], observed: bytes, seed: int
) -> Floats:
    """Gains of white noise on a pattern of cells, whose ordinates are correlated."""
    ordinates = _patterned(shape, pitch, observed)
    inside = np.frombuffer(observed, dtype=np.bool_).reshape(shape)
    rng = stream(seed, "smooth field on a pattern")
    draws = np.stack(
        [
            ordinates.sums(plane(np.where(inside, rng.standard_normal(shape), np.nan))[0])
            for _ in range(_NULL_DRAWS_ON)
        ],
        axis=1,
    )
    log_likelihood, _ = _Grid.coarse(ordinates, 1.0).evaluate(ordinates, draws)
    gain = log_likelihood.max(axis=0) - log_likelihood[-1]
    return np.asarray(float(inside.mean()) * gain, dtype=np.float64)


def _pitch(cut: tuple[slice, slice]) -> tuple[int, int]:
    return int(cut[0].step), int(cut[1].step)
