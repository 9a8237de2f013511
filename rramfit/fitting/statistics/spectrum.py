"""Spectrum of read noise: S(f) = A·(f^−γ + w), by Whittle's likelihood over many cells.

The reads of every cell, evenly spaced in time, are scaled to unit variance, tapered (Hann) and
transformed. The mean periodogram of n cells at a frequency is S times χ²/df, so

    −ln L = n·Σ_j m_j·(ln S_j + P_j/S_j)

with P_j averaged over bins of m_j frequencies, linearly spaced at low and log-spaced at high
frequencies. S_j includes the leakage of the taper into neighbours: (S_{j−1} + 4·S_j + S_{j+1})/6.
The white floor w, from the instrument or aliasing, is kept only if it raises the likelihood enough.
The error of γ is clustered by cell: spectra differ between cells far more than the ordinates of one
cell scatter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_READS", "Spectrum", "evenly_sampled", "fit_spectrum"]

Floats = NDArray[np.float64]

FEWEST_READS = 64
_SINGLE = 32  # ordinates up to this one are not binned
_PER_DECADE = 16  # bins per decade above
_FLOOR_WORTH = 10.0  # least gain of log-likelihood for a white floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """Spectral exponent over cells.

    Attributes
    ----------
    exponent, stderr : float
    floor : float
        White share of the power at the lowest frequency.
    influence : (cell,) array
        Influence of each cell on the exponent.
    frequency : (bin,) array
        [cycles per read]
    power : (bin,) array
        Mean periodogram of the cells, scaled to unit variance.
    model : (bin,) array
        Fitted spectrum.
    """

    exponent: float
    stderr: float
    floor: float
    influence: Floats
    frequency: Floats
    power: Floats
    model: Floats

    def series(self, n: int, draws: int, rng: np.random.Generator) -> Floats:
        """Draw Gaussian series with this spectrum, (draws, n).

        Each is cut from a periodic series four times as long, so that its ends need not match.
        """
        f = np.fft.rfftfreq(4 * n)[1:]
        lowest = self.frequency[0]
        white = self.floor / (1 - self.floor) * lowest**-self.exponent if self.floor < 1 else 0.0
        amplitude = np.sqrt(f**-self.exponent + white)
        z = np.zeros((draws, len(f) + 1), dtype=np.complex128)
        z.real[:, 1:] = rng.standard_normal((draws, len(f))) * amplitude
        z.imag[:, 1:] = rng.standard_normal((draws, len(f))) * amplitude
        return np.array(np.fft.irfft(z, n=4 * n, axis=1)[:, :n])


def evenly_sampled(time: Floats) -> bool:
    """Return whether reads are evenly spaced in time, to within 1 % of a step."""
    steps = np.diff(time)
    return bool(
        len(steps) > 0
        and steps.min() > 0
        and np.abs(steps - steps.mean()).max() <= 0.01 * steps.mean()
    )


def fit_spectrum(y: Floats) -> Spectrum | None:
    """Fit the spectral exponent.

    Parameters
    ----------
    y : (cell, read) array
        Evenly spaced reads without gaps [S].

    Returns
    -------
    Spectrum or None
        None for fewer than 64 reads, or if no cell varies.
    """
    n = y.shape[1]
    if n < FEWEST_READS:
        return None
    r = y - y.mean(axis=1, keepdims=True)
    power = (r**2).mean(axis=1)
    varies = power > 0
    if not varies.any():
        return None
    taper = 1 - np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)
    taper /= math.sqrt(float((taper**2).sum()))
    spectra = np.abs(np.fft.rfft(r[varies] / np.sqrt(power[varies])[:, None] * taper, axis=1)) ** 2
    last = (n - 1) // 2  # below Nyquist, whose ordinate has half the degrees of freedom
    edges = _bins(last)
    size = np.diff(edges).astype(float)
    cells = np.add.reduceat(spectra[:, : last + 1], edges[:-1], axis=1)[:, : len(size)] / size
    mean = cells.mean(axis=0)
    theta, with_floor = _fit(mean, size, edges, n, len(cells))
    model, slope = _model(theta, edges, n, with_floor=with_floor)
    information = (slope * size) @ slope.T
    scores = ((cells / model - 1) * size) @ slope.T
    influence = np.zeros(len(y))
    influence[varies] = (scores @ np.linalg.inv(information))[:, 0] / len(cells)
    m = int(varies.sum())
    error = math.sqrt(float((influence**2).sum()) * m / max(m - 1, 1))
    if m == 1:  # one cell: error of the likelihood, times 35/18 for overlapping Hann ordinates
        error = math.sqrt(35 / 18 * float(np.linalg.inv(information)[0, 0]))
    lowest = edges[0] / n
    floor = math.exp(theta[2]) if with_floor else 0.0
    frequency = 0.5 * (edges[:-1] + edges[1:] - 1)
    return Spectrum(
        exponent=float(theta[0]),
        stderr=error,
        floor=floor / (floor + lowest ** -float(theta[0])),
        influence=influence,
        frequency=frequency / n,
        power=mean,
        model=model,
    )


def _bins(last: int) -> NDArray[np.int64]:
    """Return the bin edges; the first two ordinates are omitted: the mean leaks into them."""
    single = np.arange(2, min(_SINGLE, last) + 1)
    if last <= _SINGLE:
        return np.append(single, last + 1)
    count = max(int(math.log10(last / _SINGLE) * _PER_DECADE), 1)
    wide = np.unique(np.geomspace(_SINGLE + 1, last + 1, count + 1).round().astype(np.int64))
    return np.concatenate([single, wide])


def _model(
    theta: Floats, edges: NDArray[np.int64], n: int, *, with_floor: bool
) -> tuple[Floats, Floats]:
    """Return the expected binned periodogram, and slopes of its logarithm in (γ, ln A[, ln w])."""
    j = np.arange(edges[0] - 1, edges[-1] + 1)
    log_f = np.log(j / n)
    line = np.exp(-theta[0] * log_f)
    white = math.exp(theta[2]) if with_floor else 0.0

    def leaked(s: Floats) -> Floats:
        spread = (s[:-2] + 4 * s[1:-1] + s[2:]) / 6
        return np.add.reduceat(spread, edges[:-1] - edges[0]) / np.diff(edges)

    total = leaked(line + white)
    slopes = [-leaked(log_f * line) / total, np.ones_like(total)]
    if with_floor:
        slopes.append(leaked(np.full_like(line, white)) / total)
    return np.exp(theta[1]) * total, np.stack(slopes)


def _objective(mean: Floats, size: Floats, model: Floats) -> float:
    return float((size * (np.log(model) + mean / model)).sum())


def _fit(
    mean: Floats, size: Floats, edges: NDArray[np.int64], n: int, cells: int
) -> tuple[Floats, bool]:
    plain = _scored(np.array([1.0, 0.0]), mean, size, edges, n, with_floor=False)
    base = _objective(mean, size, _model(plain, edges, n, with_floor=False)[0])
    best, gain = plain, 0.0
    for gamma in (0.8, 1.2, 1.8):
        for cross in (0.02, 0.1):  # cycles per read above which the floor dominates
            start = np.array([gamma, 0.0, -gamma * math.log(cross)])
            theta = _scored(start, mean, size, edges, n, with_floor=True)
            value = _objective(mean, size, _model(theta, edges, n, with_floor=True)[0])
            if base - value > gain:
                best, gain = theta, base - value
    # A floor without a slope is meaningless.
    keep = len(best) == 3 and gain * cells > _FLOOR_WORTH and 0.3 < best[0] < 4
    return (best, True) if keep else (plain, False)


def _scored(
    theta: Floats,
    mean: Floats,
    size: Floats,
    edges: NDArray[np.int64],
    n: int,
    *,
    with_floor: bool,
) -> Floats:
    """Maximise the likelihood by Fisher scoring with step halving."""
    model, slope = _model(theta, edges, n, with_floor=with_floor)
    theta = theta.copy()
    theta[1] = math.log(float((size * mean / model).sum() / size.sum()))  # A in closed form
    model = model * math.exp(theta[1])
    value = _objective(mean, size, model)
    for _ in range(60):
        information = (slope * size) @ slope.T + 1e-9 * np.eye(len(theta))
        step = np.linalg.solve(information, slope @ (size * (mean / model - 1)))
        step = np.clip(step, -1.0, 1.0)
        for _ in range(20):
            trial, trial_slope = _model(theta + step, edges, n, with_floor=with_floor)
            reached = _objective(mean, size, trial)
            if reached <= value + 1e-14 * abs(value):
                break
            step = step / 2
        else:
            break
        theta, model, slope = theta + step, trial, trial_slope
        if value - reached < 1e-10:
            break
        value = reached
    return theta
