"""Hard and soft programming failure, separated by repeated attempts.

Cell c was programmed n_c times to one level and failed x_c times. A share h of cells never programs
at the level; the others fail each time with probability s:

    P(x | n) = h·1[x = n] + (1 − h)·C(n, x)·s^x·(1 − s)^(n − x).

Sufficient statistics are Σ x and Σ (n − x) over cells with x < n, their number, and the n of cells
with x = n. With h = sin²α and s = sin²β, Jeffreys' prior of a single share is flat in the angle;
this prior is used for both. The posterior of (α, β) in [0, π/2]² is integrated on a grid that zooms
in on its support. Point estimates are maximum likelihood. Intervals are equal-tailed, and extend to
0 if the likelihood ratio does not exclude 0 at 2.5 % one-sided. For rare events this is Jeffreys'
interval, whose coverage is nominal on average, unlike that of a Wald interval.

If s differs between cells, the failures of cells with x < n scatter more than binomially; this is
tested, and the weight of these cells is divided by the excess. The fit needs two attempts per cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.quantity import Quantity
from rramfit.errors import FitError

__all__ = ["Attempts", "HardSoft", "attempts_of", "fit_hard_soft", "hard_soft_likelihood"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_GRID, _ZOOMS = 81, 4
_REACH = 14.0  # drop in log-likelihood beyond which the posterior is negligible
_ONE_SIDED = 3.841  # χ²(1): 2.5 % one-sided, because a share of 0 is on the boundary
_MOST_STEPS, _FLAT = (
    2000,
    1e-10,
)  # expectation-maximisation: steps; gradient per cell at which it stops
_MOST_EXACT = 200  # attempts up to which the scatter uses the exact distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Sufficient statistics of the cells at one level."""

    cells_mixed: float  # cells that succeeded at least once
    failed: float  #      their failures
    passed: float  #      their successes
    full_n: Floats  #     (group,) attempts of cells that failed every time
    full_cells: Floats  # (group,) number of such cells


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSoft:
    """Hard share and soft probability at one level."""

    hard: Quantity
    soft: Quantity
    log_likelihood: float
    scatter: float  # variance of failures over cells, relative to binomial
    scatter_p: float  # P(at least as much by chance)

    def spanning(self, other: HardSoft) -> HardSoft:
        """Return the estimates with intervals that also span those of the other fit."""
        return replace(
            self, hard=_spanning(self.hard, other.hard), soft=_spanning(self.soft, other.soft)
        )

    def posterior(self, attempts: Integers, failures: Integers) -> Floats:
        """Return P(a cell never programs | its attempts); NaN if it was not tried."""
        h, s = self.hard.value, self.soft.value
        n = attempts.astype(float)
        full = h / np.maximum(h + (1 - h) * s**n, 1e-300)
        out = np.where(failures == attempts, full, 0.0)
        return np.where(attempts > 0, out, np.nan)


def _spanning(q: Quantity, other: Quantity) -> Quantity:
    ends = [*(q.ci95 or ()), *(other.ci95 or ()), q.value]
    low, high = min(ends), max(ends)
    return Quantity.within(q.value, max(q.stderr or 0.0, (high - low) / 3.92), q.unit, (low, high))


def attempts_of(n: Integers, x: Integers) -> Attempts:
    """Summarize the attempts n and failures x of cells, (cell,)."""
    n, x = n[n > 0], x[n > 0]
    full = x == n
    values, counts = np.unique(n[full], return_counts=True)
    return Attempts(
        cells_mixed=float((~full).sum()),
        failed=float(x[~full].sum()),
        passed=float((n - x)[~full].sum()),
        full_n=values.astype(np.float64),
        full_cells=counts.astype(np.float64),
    )


def hard_soft_likelihood(theta: Floats, data: Attempts) -> tuple[float, Floats]:
    """Compute the log-likelihood in angles, and its gradient.

    Parameters
    ----------
    theta : (2,) array
        α, β with h = sin²α, s = sin²β.
    data : Attempts

    Returns
    -------
    log_likelihood : float
        Without the binomial coefficients.
    gradient : (2,) array
        With respect to (α, β).
    """
    h, s = np.sin(theta) ** 2
    soft_full = s**data.full_n
    p = np.maximum(h + (1 - h) * soft_full, 1e-300)
    value = special.xlog1py(data.cells_mixed, -h) + special.xlogy(data.failed, s)
    value += special.xlog1py(data.passed, -s) + float(data.full_cells @ np.log(p))
    sin2 = np.sin(2 * theta)  # dh/dα
    cos = np.cos(theta)
    tan, cot = np.tan(theta), cos / np.maximum(np.sin(theta), 1e-150)
    d_alpha = -2 * data.cells_mixed * tan[0]
    d_alpha += float(data.full_cells @ ((1 - soft_full) / p)) * sin2[0]
    d_beta = 2 * data.failed * cot[1] - 2 * data.passed * tan[1]
    d_s = (1 - h) * data.full_n * s ** np.maximum(data.full_n - 1, 0) / p
    d_beta += float(data.full_cells @ d_s) * sin2[1]
    return float(value), np.array([d_alpha, d_beta])


def fit_hard_soft(n: Integers, x: Integers, *, clustering: float = 1.0) -> HardSoft:
    """Fit hard share and soft probability to cells with repeated attempts.

    Parameters
    ----------
    n, x : (cell,) int arrays
        Attempts and failures of each cell that is not stuck.
    clustering : float
        Variance of the number of hard cells over that of independent cells; the weight of the
        data on h is divided by it.

    Returns
    -------
    HardSoft

    Raises
    ------
    FitError
        If no cell was tried at least twice.
    """
    if not (n > 1).any():
        msg = f"each of {int((n > 0).sum())} cells was tried once; hard and soft failure need two"
        raise FitError(msg)
    data = attempts_of(n, x)
    top, best = _maximum(data)
    h, s = np.sin(top) ** 2
    scatter, scatter_p = _scatter(n, x, float(s))
    weight = 1.0 / scatter if scatter_p < 1e-3 else 1.0
    tempered = _weighted(data, weight, 1.0 / max(clustering, 1.0))
    (h_low, h_high, h_sd), (s_low, s_high, s_sd) = _posterior(tempered, top)
    if 2 * (best - _profile(data, 0, 0.0)) < _ONE_SIDED * max(clustering, 1.0):
        h_low = 0.0
    if 2 * (best - _profile(data, 1, 0.0)) < _ONE_SIDED / weight:
        s_low = 0.0
    return HardSoft(
        hard=Quantity.within(h, h_sd, "1", (min(h_low, h), max(h_high, h))),
        soft=Quantity.within(s, s_sd, "1", (min(s_low, s), max(s_high, s))),
        log_likelihood=best,
        scatter=scatter,
        scatter_p=scatter_p,
    )


def _weighted(data: Attempts, soft: float, hard: float) -> Attempts:
    """Scale the weights: attempts of responding cells by `soft`, numbers of cells by `hard`."""
    return Attempts(
        cells_mixed=data.cells_mixed * hard,
        failed=data.failed * soft,
        passed=data.passed * soft,
        full_n=data.full_n,
        full_cells=data.full_cells * hard,
    )


def _start(data: Attempts) -> Floats:
    full = data.full_cells.sum()
    cells = full + data.cells_mixed
    h = (full + 0.25) / (cells + 0.5)
    s = (data.failed + 0.25) / (data.failed + data.passed + 0.5)
    return np.asarray(np.arcsin(np.sqrt([h, s])), dtype=np.float64)


def _maximum(data: Attempts) -> tuple[Floats, float]:
    """Return the angles that maximise the likelihood, and its logarithm.

    Expectation-maximisation stops when the gradient vanishes. It converges slowly towards a hard
    share of 0, so this boundary is tried separately.
    """
    cells = max(data.cells_mixed + float(data.full_cells.sum()), 1.0)
    top = _start(data)
    for step in range(_MOST_STEPS):
        top = _em_step(top, data)
        if step % 10 == 9:
            gradient = hard_soft_likelihood(top, data)[1]
            if float(np.abs(gradient).max()) < _FLAT * cells:
                break
    best = hard_soft_likelihood(top, data)[0]
    failed = data.failed + float(data.full_cells @ data.full_n)
    no_hard = np.array([0.0, math.asin(math.sqrt(failed / max(failed + data.passed, 1.0)))])
    value = hard_soft_likelihood(no_hard, data)[0]
    on_edge = data.cells_mixed > 0 and value >= best - 1e-9 * abs(best)
    return (no_hard, value) if on_edge else (top, best)


def _em_step(theta: Floats, data: Attempts) -> Floats:
    """Do one expectation-maximisation step over the cells that always failed."""
    h, s = np.sin(theta) ** 2
    p = np.maximum(h + (1 - h) * s**data.full_n, 1e-300)
    hard = float(data.full_cells @ (h / p))
    softly = float((data.full_cells * (1 - h / p)) @ data.full_n)
    h = hard / max(data.cells_mixed + float(data.full_cells.sum()), 1e-300)
    s = (data.failed + softly) / max(data.failed + data.passed + softly, 1e-300)
    shares = np.clip([h, s], 0.0, 1.0)
    return np.asarray(np.arcsin(np.sqrt(shares)), dtype=np.float64)


def _profile(data: Attempts, which: int, share: float) -> float:
    """Return the maximum log-likelihood with one share held fixed."""
    held = math.asin(math.sqrt(share))

    def nll(angle: float) -> float:
        theta = np.array([held, angle]) if which == 0 else np.array([angle, held])
        return -hard_soft_likelihood(theta, data)[0]

    found = optimize.minimize_scalar(
        nll, bounds=(0.0, 0.5 * math.pi - 1e-9), method="bounded", options={"xatol": 1e-10}
    )
    return -min(float(found.fun), nll(0.0))


def _posterior(
    data: Attempts, top: Floats
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the 2.5 % and 97.5 % quantiles and standard deviation of h and of s."""
    low, high = np.zeros(2), np.full(2, 0.5 * math.pi - 1e-9)
    log_p = np.zeros((1, 1))
    a, b = top[:1], top[1:]
    for zoom in range(_ZOOMS):
        a, b = (np.linspace(low[i], high[i], _GRID) for i in range(2))
        log_p = _grid_likelihood(a, b, data)
        log_p -= log_p.max()
        if zoom == _ZOOMS - 1:
            break
        near = np.argwhere(log_p > -_REACH)
        first, last = near.min(axis=0) - 1, near.max(axis=0) + 1
        step = (high - low) / (_GRID - 1)
        low, high = np.maximum(low + first * step, low), np.minimum(low + last * step, high)
    w = np.exp(log_p)
    return _marginal(a, w.sum(axis=1)), _marginal(b, w.sum(axis=0))


def _grid_likelihood(a: Floats, b: Floats, data: Attempts) -> Floats:
    h, s = np.sin(a)[:, None] ** 2, np.sin(b)[None, :] ** 2
    value = special.xlog1py(data.cells_mixed, -h) + special.xlogy(data.failed, s)
    value = value + special.xlog1py(data.passed, -s)
    for n, cells in zip(data.full_n, data.full_cells, strict=True):
        value = value + cells * np.log(np.maximum(h + (1 - h) * s**n, 1e-300))
    return np.asarray(value, dtype=np.float64)


def _marginal(angle: Floats, weight: Floats) -> tuple[float, float, float]:
    """Return quantiles and standard deviation of a share from its angle's posterior on a grid."""
    step = 0.5 * (weight[1:] + weight[:-1])
    cumulative = np.concatenate([[0.0], np.cumsum(step)])
    cumulative /= cumulative[-1]
    low, high = np.sin(np.interp([0.025, 0.975], cumulative, angle)) ** 2
    share = np.sin(angle) ** 2
    w = weight / weight.sum()
    mean = float(w @ share)
    return float(low), float(high), math.sqrt(max(float(w @ (share - mean) ** 2), 0.0))


def _scatter(n: Integers, x: Integers, s: float) -> tuple[float, float]:
    """Compare the variance of failures, over cells that succeeded at least once, with binomial.

    Returns
    -------
    scatter, p_value : float
        Ratio to the binomial distribution truncated to x < n, and its p-value from the normal
        approximation of the sum of squares.
    """
    keep = (x < n) & (n > 2)  # with two attempts, the mean determines the scatter
    n, x = n[keep], x[keep]
    if x.sum() < 5:
        return 1.0, 1.0
    squares = variance = fourth = 0.0
    for m in np.unique(n):
        y = x[n == m].astype(float)
        if m <= _MOST_EXACT:
            k = np.arange(m)
            log_p = special.xlogy(k, s) + special.xlog1py(m - k, -s)
            log_p += special.gammaln(m + 1) - special.gammaln(k + 1) - special.gammaln(m - k + 1)
            p = np.exp(log_p)
            p /= p.sum()
            mean = float(p @ k)
            v = float(p @ (k - mean) ** 2)
            f = float(p @ (k - mean) ** 4)
        else:
            mean, v = m * s, m * s * (1 - s)
            f = 3 * v**2
        squares += float(((y - mean) ** 2).sum())
        variance += len(y) * v
        fourth += len(y) * (f - v**2)
    z = (squares - variance) / math.sqrt(max(fourth, 1e-300))
    return max(squares / variance, 1.0), float(special.ndtr(-z))
