"""Variance components of crossed groups by restricted maximum likelihood (REML).

Observations y (n,) with fixed effects X b and independent random effects of several groupings,

    y = X b + Σ_i Z_i u_i + e,   u_i ~ N(0, σ_i²),   e_c ~ N(0, σ²/w_c),

Z_i the 0/1 matrix of grouping i, w the observations' relative weights. With the ratios
t_i = σ_i²/σ² and H = W⁻¹ + Σ t_i Z_i Z_iᵀ the restricted log-likelihood, σ² at its best, is

    −2 ℓ(t) = (n − p)·ln σ̂²(t) + ln|WH| + ln|Xᵀ H⁻¹ X|,   σ̂² = yᵀ P y/(n − p),

with P the usual projection. All of it follows from the groups' weights and cross-weights ZᵀWZ
(q × q, q the number of groups), never from an n × n matrix; gradient and expected information are
exact (Searle, Casella and McCulloch, Variance Components, 1992, chapter 6). General mixed-model
programs solve the same equations; those for Python (statsmodels) form n × n blocks, too large for
16,384 cells.

Which groupings an array has is not decided here (`rramfit.fitting.statistics.over_array.lines`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

__all__ = ["CrossedComponents", "fit_crossed", "predict_effects"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SMALLEST, _LARGEST = 1e-7, 1e3  # of a ratio t


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedComponents:
    """Variance components with their errors.

    Attributes
    ----------
    variance : (i,) array
        σ_i² of each grouping, in the unit of y².
    residual : float
        σ².
    covariance : (i, i) array
        Of the variance components, from the expected information.
    log_likelihood : float
        Restricted, at the maximum.
    """

    variance: Floats
    residual: float
    covariance: Floats
    log_likelihood: float


class _Sums:
    """Weighted sums over groups of observations, fixed effects and other groups."""

    def __init__(
        self, y: Floats, groups: Sequence[Integers], fixed: Floats, weight: Floats
    ) -> None:
        self.sizes = [int(g.max()) + 1 for g in groups]
        ends = np.concatenate([[0], np.cumsum(self.sizes)])
        total = int(ends[-1])
        zz, zx, zy = np.zeros((total, total)), np.zeros((total, fixed.shape[1])), np.zeros(total)
        for i, g in enumerate(groups):
            at = slice(ends[i], ends[i + 1])
            n = self.sizes[i]
            zy[at] = np.bincount(g, weight * y, n)
            for k, column in enumerate(fixed.T):
                zx[at, k] = np.bincount(g, weight * column, n)
            for j in range(i, len(groups)):
                m = self.sizes[j]
                cross = np.bincount(g * m + groups[j], weight, n * m).reshape(n, m)
                zz[at, ends[j] : ends[j + 1]] = cross
                zz[ends[j] : ends[j + 1], at] = cross.T
        self.used = np.diagonal(zz) > 0
        self.zz, self.zx, self.zy = zz[np.ix_(self.used, self.used)], zx[self.used], zy[self.used]
        self.xx, self.xy = (fixed.T * weight) @ fixed, (fixed.T * weight) @ y
        self.yy = float((weight * y) @ y)
        self.label = np.repeat(np.arange(len(groups)), self.sizes)[self.used]
        self.df = len(y) - fixed.shape[1]

    def solve(self, ratio: Floats) -> _Solution:
        root = np.sqrt(ratio)[self.label]
        m = self.zz * np.outer(root, root)
        m[np.diag_indices_from(m)] += 1.0
        lower = linalg.cholesky(m, lower=True, overwrite_a=True, check_finite=False)
        scaled = np.column_stack([self.zx, self.zy]) * root[:, None]
        half = linalg.solve_triangular(lower, scaled, lower=True, check_finite=False)
        p = self.xx.shape[0]
        left = self.xx - half[:, :p].T @ half[:, :p]
        right = self.xy - half[:, :p].T @ half[:, p]
        factor = linalg.cho_factor(left, lower=True)
        beta = linalg.cho_solve(factor, right)
        rss = self.yy - float(half[:, p] @ half[:, p]) - float(right @ beta)
        inverse = linalg.lapack.dtrtri(lower, lower=1)[0]
        logdet = 2 * float(np.log(np.diagonal(lower)).sum() + np.log(np.diagonal(factor[0])).sum())
        return _Solution(self, ratio, root, inverse, factor, beta, max(rss, 1e-300), logdet)


@dataclass(frozen=True, slots=True)
class _Solution:
    """The likelihood's parts at one set of ratios."""

    sums: _Sums
    ratio: Floats
    root: Floats
    inverse: Floats  # of the Cholesky factor of M = 1 + T^½ ZᵀWZ T^½
    fixed: tuple[Floats, bool]
    beta: Floats
    rss: float
    logdet: float

    @property
    def residual(self) -> float:
        return self.rss / float(self.sums.df)

    @property
    def objective(self) -> float:
        return 0.5 * (float(self.sums.df) * math.log(self.residual) + self.logdet)

    def projected(self) -> tuple[Floats, Floats]:
        """Return Zᵀ H⁻¹ X, (q, p), and ZᵀPy, (q,); M⁻¹T^½Zᵀ· scaled back by T^−½."""
        known = self.sums.zy - self.sums.zx @ self.beta
        both = np.column_stack([self.sums.zx, known]) * self.root[:, None]
        solved = self.inverse.T @ (self.inverse @ both)
        back = solved / self.root[:, None]
        return back[:, :-1], back[:, -1]

    def gradient(self) -> Floats:
        """Of the objective in ln t, (i,)."""
        of_fixed, of_rest = self.projected()
        diagonal = (1 - np.sum(self.inverse**2, axis=0)) / self.root**2
        half = linalg.solve_triangular(self.fixed[0], of_fixed.T, lower=True)
        trace = diagonal - np.sum(half**2, axis=0)
        each = 0.5 * (trace - of_rest**2 / self.residual)
        found = np.bincount(self.sums.label, each, len(self.ratio)) * self.ratio
        return np.asarray(found, dtype=np.float64)

    def information(self) -> Floats:
        """Return the expected information of (σ², σ_1², …), (1 + i, 1 + i), at unit σ²."""
        of_fixed, _ = self.projected()
        m = self.inverse.T @ self.inverse
        zpz = (np.eye(len(m)) - m) / np.outer(self.root, self.root)
        half = linalg.solve_triangular(self.fixed[0], of_fixed.T, lower=True)
        zpz -= half.T @ half
        count, label = len(self.ratio), self.sums.label
        square = zpz**2
        by = np.zeros((count, len(label)))
        np.add.at(by, label, square)
        pairs = np.stack([np.bincount(label, row, count) for row in by])
        trace = np.bincount(label, np.diagonal(zpz), count)
        with_residual = trace - pairs @ self.ratio  # tr(P Z_i Z_iᵀ P W⁻¹)
        both = self.sums.df - 2 * float(trace @ self.ratio) + float(self.ratio @ pairs @ self.ratio)
        out = np.empty((count + 1, count + 1))
        out[0, 0], out[0, 1:], out[1:, 0], out[1:, 1:] = both, with_residual, with_residual, pairs
        return 0.5 * out


def fit_crossed(
    y: Floats, groups: Sequence[Integers], fixed: Floats, *, weight: Floats | None = None
) -> CrossedComponents:
    """Fit variance components of crossed (or nested) groupings.

    Parameters
    ----------
    y : (n,) array
    groups : sequence of (n,) int arrays
        Group of each observation, in each grouping; numbers from 0.
    fixed : (n, p) array
        Fixed effects; of full rank.
    weight : (n,) array, optional
        Relative weights; 1 where not given.

    Returns
    -------
    CrossedComponents
    """
    sums = _Sums(y, groups, fixed, np.ones(len(y)) if weight is None else weight)
    scale = sums.yy / max(sums.df, 1)

    def objective(log_ratio: Floats) -> tuple[float, Floats]:
        at = sums.solve(np.exp(log_ratio))
        return at.objective, at.gradient()

    start = [_first_ratio(y, g, scale) for g in groups]
    bounds = [(np.log(_SMALLEST), np.log(_LARGEST))] * len(groups)
    found = optimize.minimize(
        objective, np.log(start), jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-3}
    )
    at = sums.solve(np.exp(found.x))
    covariance = np.asarray(np.linalg.pinv(at.information())) * at.residual**2
    return CrossedComponents(
        variance=np.asarray(at.ratio * at.residual, dtype=np.float64),
        residual=at.residual,
        covariance=covariance[1:, 1:],
        log_likelihood=-at.objective,
    )


def predict_effects(
    y: Floats,
    groups: Sequence[Integers],
    fixed: Floats,
    components: CrossedComponents,
    *,
    weight: Floats | None = None,
) -> tuple[Floats, ...]:
    """Return best linear unbiased predictions of every group's effect, of each grouping.

    Parameters
    ----------
    y, groups, fixed, weight
        As for `fit_crossed`; the fixed effects may be others than those of the fit.
    components : CrossedComponents

    Returns
    -------
    tuple of (groups,) arrays
        Zero for groups without observations.
    """
    sums = _Sums(y, groups, fixed, np.ones(len(y)) if weight is None else weight)
    at = sums.solve(np.maximum(components.variance / components.residual, _SMALLEST))
    predicted = np.zeros(len(sums.used))
    predicted[sums.used] = at.root**2 * at.projected()[1]
    ends = np.cumsum(sums.sizes)[:-1]
    return tuple(np.split(predicted, ends))


def _first_ratio(y: Floats, group: Integers, scale: float) -> float:
    """Between-group variance by the method of moments, over the residual's; a start only."""
    count = np.bincount(group)
    kept = count > 0
    means = np.bincount(group, y)[kept] / count[kept]
    size = float(count[kept].mean())
    between = float(np.var(means)) - scale / size
    return float(np.clip(between / max(scale - between, 0.1 * scale), 0.1 / size, 10.0))
