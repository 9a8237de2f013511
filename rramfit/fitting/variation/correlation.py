"""Correlation of a cell's offsets between levels, and the offsets themselves.

Variation between cycles is independent at every level, so over cells read at both levels the
covariance of the cell means is that of the offsets. Divided by the variances between cells, β, it
is their correlation, not attenuated by variation between cycles:

    R_kl = cov(m_k, m_l)/√(β_k·β_l).

For lognormal levels this is the correlation of ln G. With C the covariance, the correlation in
siemens is

    both log:  (e^C − 1)/√((e^β_k − 1)(e^β_l − 1)),   one:  C/√(β_l·(e^β_k − 1)).

The estimates are made positive semidefinite by setting negative eigenvalues to zero.

The offsets of a cell are posterior means. With b its offsets from the trend, Var b = B, and each
cell mean equal to its b plus noise of variance ω_k/n_k,

    E[b | data] = (1 + BΛ)⁻¹·BΛ·(m − μ − trend),   Λ = diag(n_k/ω_k).

A level that the cell was never programmed to is predicted from the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.variation.correlation_error import correlation_error
from rramfit.fitting.variation.one_level import LevelVariation

__all__ = ["LevelCorrelation", "cell_offsets", "fit_level_correlation"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST_COMMON = 20  # cells read at both levels
_JOINT_LEVELS = 8  # most levels whose offsets are estimated jointly


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCorrelation:
    """Correlation of a cell's offsets between levels; NaN if two levels share too few cells."""

    matrix: Floats  #  (level, level) in siemens, positive semidefinite
    stderr: Floats  #  (level, level) 0 on the diagonal
    df: Floats  #      (level, level)
    latent: Floats  #  (level, level) in the domains of the levels, positive semidefinite

    def __post_init__(self) -> None:
        for a in (self.matrix, self.stderr, self.df, self.latent):
            a.flags.writeable = False


def fit_level_correlation(
    levels: Sequence[LevelVariation | None], lines: Floats | None = None
) -> LevelCorrelation | None:
    """Estimate the correlation; None if no two levels share enough cells and have components.

    Parameters
    ----------
    levels : sequence of LevelVariation or None
    lines : (level, level) array, optional
        Correlation of line offsets; NaN where unknown.
    """
    count = len(levels)
    usable = [
        k
        for k, v in enumerate(levels)
        if v is not None and v.components.separable and v.components.between > 0
    ]
    latent, matrix = np.eye(count), np.eye(count)
    error, df = np.zeros((count, count)), np.full((count, count), np.inf)
    known = np.eye(count, dtype=bool)
    for i, k in enumerate(usable):
        for j in usable[:i]:
            a, b = levels[k], levels[j]
            if a is None or b is None:
                continue
            pair = _pair(a, b)
            if pair is None:
                continue
            r, psi, c = pair
            value, slope = _in_siemens(r, a, b)
            r_lines = math.nan if lines is None else float(lines[k, j])
            variance, df[k, j] = correlation_error(r, float(np.sum(psi**2)), c, (a, b), r_lines)
            latent[k, j] = latent[j, k] = r
            matrix[k, j] = matrix[j, k] = value
            error[k, j] = error[j, k] = abs(slope) * math.sqrt(variance)
            df[j, k] = df[k, j]
            known[k, j] = known[j, k] = True
    if known.sum() == count:
        return None
    matrix, latent = nearest_correlation(matrix), nearest_correlation(latent)
    return LevelCorrelation(
        matrix=np.where(known, matrix, np.nan),
        stderr=np.where(known, error, np.nan),
        df=df,
        latent=latent,
    )


def nearest_correlation(matrix: Floats) -> Floats:
    """Set negative eigenvalues to zero, and rescale the diagonal to 1."""
    clipped = np.clip(matrix, -1.0, 1.0)
    values, vectors = np.linalg.eigh(clipped)
    if values.min() >= 0:
        return np.asarray(clipped, dtype=np.float64)
    positive = (vectors * np.maximum(values, 0.0)) @ vectors.T
    s = np.sqrt(np.diagonal(positive))
    out = np.clip(positive / np.outer(s, s), -1.0, 1.0)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out, dtype=np.float64)


def _pair(a: LevelVariation, b: LevelVariation) -> tuple[float, Floats, int] | None:
    """Return the correlation in the domains, its influence by cell, and the number of cells."""
    both = (a.readings > 0) & (b.readings > 0)
    n = int(both.sum())
    if n < _FEWEST_COMMON:
        return None
    x = np.where(both, a.centre - a.components.mean, 0.0)
    y = np.where(both, b.centre - b.components.mean, 0.0)
    covariance = float(np.sum(x * y)) / n
    scale = float(np.sqrt(a.components.between * b.components.between))
    r = covariance / scale
    psi = np.where(both, x * y - covariance, 0.0) / n / scale
    for v in (a, b):
        seen = v.readings > 0
        psi[seen] -= 0.5 * r * v.components.influence_between / v.components.between
    return r, psi, n


def _in_siemens(r: float, a: LevelVariation, b: LevelVariation) -> tuple[float, float]:
    """Return the correlation in siemens for one in the domains, and the derivative."""
    bound = min(max(r, -1.0), 1.0)
    c = bound * float(np.sqrt(a.components.between * b.components.between))
    spreads = [
        np.expm1(v.components.between) if v.domain == "log" else v.components.between
        for v in (a, b)
    ]
    both = a.domain == b.domain == "log"
    scale = float(np.sqrt(spreads[0] * spreads[1]))
    steep = float(np.exp(c)) if both else 1.0
    slope = steep * float(np.sqrt(a.components.between * b.components.between)) / scale
    return float(np.expm1(c) if both else c) / scale, slope


def cell_offsets(
    levels: Sequence[LevelVariation | None],
    correlation: LevelCorrelation | None,
    healthy: Bools,
) -> tuple[Floats, Floats]:
    """Compute the mean of each cell less that of the level, and its standard error.

    Returns
    -------
    offset : (level, row, col) array
        Posterior means if the components can be separated, otherwise differences of the readings
        [S]. NaN for cells that are not healthy or were never read, and for levels without a fit.
    stderr : (level, row, col) array
        Posterior standard deviations [S]; NaN also where the components cannot be separated.
    """
    out, stderr = np.full((2, len(levels), *healthy.shape), np.nan)
    separable = [k for k, v in enumerate(levels) if v is not None and v.components.separable]
    groups = [separable] if len(separable) <= _JOINT_LEVELS else [[k] for k in separable]
    for group in groups:
        if group:
            known = [_known(levels[k]) for k in group]
            out[group], stderr[group] = _posterior(known, group, correlation)
    for k, v in enumerate(levels):
        if v is not None and not v.components.separable:
            b = v.centre - v.components.mean
            level_mean = np.exp(v.components.mean + v.components.total / 2)
            out[k] = np.exp(v.centre) - level_mean if v.domain == "log" else b
    read = np.zeros(healthy.shape, bool)
    for v in levels:
        read |= v.readings > 0 if v is not None else False
    there = healthy & read
    return np.where(there, out, np.nan), np.where(there, stderr, np.nan)


def _known(v: LevelVariation | None) -> LevelVariation:
    if v is None:
        msg = "a level without a fit has no offsets"
        raise ValueError(msg)
    return v


def _posterior(
    levels: Sequence[LevelVariation], index: list[int], correlation: LevelCorrelation | None
) -> tuple[Floats, Floats]:
    """Compute posterior means and standard deviations of levels jointly, (level, row, col) [S]."""
    count, shape = len(levels), levels[0].readings.shape
    prior = np.empty(count)
    rate, data = np.empty((2, *shape, count))
    for i, v in enumerate(levels):
        seen = v.readings > 0
        fixed = v.trend + v.lines
        prior[i] = max(v.components.between - float(fixed[seen].var()), 0.0)
        noise = max(v.components.within, 1e-9 * v.components.total, 1e-300)
        rate[..., i] = v.readings / noise
        data[..., i] = np.where(seen, v.centre - v.components.mean - fixed, 0.0)
    r = np.eye(count) if correlation is None else correlation.latent[np.ix_(index, index)]
    b = r * np.sqrt(np.outer(prior, prior))
    system = np.eye(count) + b * rate[..., None, :]
    means = np.linalg.solve(system, ((rate * data) @ b)[..., None])[..., 0]
    variances = np.diagonal(np.linalg.solve(system, np.broadcast_to(b, system.shape)), 0, -2, -1)
    out, stderr = np.empty((2, count, *shape))
    for i, v in enumerate(levels):
        variance = np.maximum(variances[..., i], 0.0)
        own = means[..., i] + v.trend + v.lines
        c = v.components
        if v.domain == "log":
            level_mean = np.exp(c.mean + (c.between + c.within) / 2)
            cell_mean = np.exp(c.mean + own + (variance + c.within) / 2)
            out[i], stderr[i] = cell_mean - level_mean, cell_mean * np.sqrt(np.expm1(variance))
        else:
            out[i], stderr[i] = own, np.sqrt(variance)
    return out, stderr
