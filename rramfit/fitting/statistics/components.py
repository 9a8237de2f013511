"""Variance components of one level: between cells, and between cycles of a cell.

With n_c readings of cell c, their mean m_c and sum of squared deviations q_c, the model is

    y_ct = μ + b_c + w_ct,   Var b = β (between cells),   Var w = ω (between cycles).

ω̂ = Σ q_c/Σ (n_c − 1). Given ω̂, β̂ maximises the restricted likelihood: with the weights
p_c = 1/(β + ω̂/n_c) and μ̂ = Σ p_c m_c/Σ p_c it solves

    Σ p_c²·(m_c − μ̂)² = Σ p_c − Σ p_c²/Σ p_c.

The right side is the expectation of the left, so the equation holds for any distribution.
For equal n_c it is the textbook analysis of variance (Searle, Casella and McCulloch, Variance
Components, 1992, chapters 4 and 6). β̂ may be negative: truncation at zero would bias it.

A lognormal level is separated into components in y = ln G and converted exactly to siemens,

    d2d² = e^(2μ+β+ω)·(e^β − 1),   c2c² = e^(2μ+2β+ω)·(e^ω − 1).

Every estimate comes with its influence by cell; `rramfit.fitting.statistics.inference` computes
errors from these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Components", "SiemensComponents", "in_siemens", "variance_components"]

Floats = NDArray[np.float64]

_ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Mean and variance components in the domain of the readings, with influences by cell.

    `within` and `between` are NaN if no cell was read twice; `total`, the variance of a reading, is
    always known.
    """

    mean: float
    between: float  #  β
    within: float  #   ω
    total: float  #    β + ω
    degrees: int  #    Σ (n_c − 1)
    weight: Floats  #  (cell,) p_c, scaled to sum 1
    influence_mean: Floats  #    (cell,)
    influence_between: Floats  # (cell,)
    influence_within: Floats  #  (cell,)
    influence_total: Floats  #   (cell,)

    @property
    def separable(self) -> bool:
        """Whether β and ω can be separated."""
        return self.degrees > 0


def variance_components(
    n: NDArray[np.int64], mean: Floats, m2: Floats, *, trend: Floats | None = None
) -> Components:
    """Estimate the components from each cell's count, mean and sum of squares.

    Parameters
    ----------
    n : (cell,) int array
        Number of readings, at least one; at least two cells.
    mean, m2 : (cell,) arrays
    trend : (cell,) array, optional
        Trend over the array. It is part of β, but not of the error of β because it is not random.
    """
    fixed = np.zeros(len(mean)) if trend is None else trend
    degrees = int((n - 1).sum())
    if degrees == 0:
        return _one_reading_a_cell(mean, fixed)
    within = float(m2.sum()) / degrees
    centre = float(mean.mean())
    between = _between(n, mean - centre, within)
    v = between + within / n
    p = 1 / v if v.any() else np.ones(len(v))  # equal readings: equal weights
    total_weight = float(p.sum())
    mu = float(p @ mean) / total_weight
    r = mean - mu
    square = float(p @ p)
    own = p**2 * (r**2 - fixed**2 - v) / square
    psi_within = (m2 - (n - 1) * within) / degrees
    psi_between = own - own.mean() - float(p @ (p / n)) / square * psi_within
    return Components(
        mean=mu,
        between=between,
        within=within,
        total=between + within,
        degrees=degrees,
        weight=p / total_weight,
        influence_mean=p * r / total_weight,
        influence_between=psi_between,
        influence_within=psi_within,
        influence_total=psi_between + psi_within,
    )


def _between(n: NDArray[np.int64], mean: Floats, within: float) -> float:
    """Solve the restricted likelihood equation for β given ω, by Fisher scoring."""
    cells = len(n)
    spread = float(mean.var()) * cells / (cells - 1)
    between = spread - within * float((1 / n).mean())
    if within == 0:
        return spread
    lowest = -within / int(n.max()) * (1 - 1e-6)
    for _ in range(_ROUNDS):
        p = 1 / (max(between, lowest) + within / n)
        s1, s2, s3 = float(p.sum()), float(p @ p), float(p**2 @ p)
        r = mean - float(p @ mean) / s1
        score = float(p**2 @ r**2) - (s1 - s2 / s1)
        step = score / (s2 - 2 * s3 / s1 + (s2 / s1) ** 2)
        new = max(between + step, lowest)
        if abs(new - between) <= 1e-12 * (abs(new) + within):
            return new
        between = new
    return between


def _one_reading_a_cell(mean: Floats, fixed: Floats) -> Components:
    n = len(mean)
    mu = float(mean.mean())
    r = mean - mu
    total = float(r @ r) / (n - 1)
    random = r**2 - fixed**2
    unknown = np.full(n, math.nan)
    return Components(
        mean=mu,
        between=math.nan,
        within=math.nan,
        total=total,
        degrees=0,
        weight=np.full(n, 1 / n),
        influence_mean=r / n,
        influence_between=unknown,
        influence_within=unknown,
        influence_total=(random - random.mean()) / n,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiemensComponents:
    """d2d², c2c² and their sum [S²], with influences by cell; `between`, `within` may be NaN."""

    between: float
    within: float
    total: float
    influence_between: Floats
    influence_within: Floats
    influence_total: Floats


def in_siemens(c: Components, domain: str, *, excess: float = 0.0) -> SiemensComponents:
    """Convert components to siemens.

    Parameters
    ----------
    c : Components
    domain : {"linear", "log"}
        Domain in which they were estimated.
    excess : float
        Excess of Var(μ̂) over that of independent cells, in the domain: a smooth field shifts the
        whole array, which does not show in the spread about the array's mean.
    """
    between, total = c.between + excess, c.total + excess
    if domain == "linear":
        return SiemensComponents(
            between=between,
            within=c.within,
            total=total,
            influence_between=c.influence_between,
            influence_within=c.influence_within,
            influence_total=c.influence_total,
        )
    square = math.exp(2 * c.mean + total)  # e^(2μ+β+ω)
    variance = square * math.expm1(total)
    d_total = square * math.exp(total) + variance
    psi_total = 2 * variance * c.influence_mean + d_total * c.influence_total
    if not c.separable:
        return SiemensComponents(
            between=math.nan,
            within=math.nan,
            total=variance,
            influence_between=c.influence_between,
            influence_within=c.influence_within,
            influence_total=psi_total,
        )
    d2d = square * math.expm1(between)
    c2c = square * math.exp(between) * math.expm1(c.within)
    grown = square * math.exp(total)
    return SiemensComponents(
        between=d2d,
        within=c2c,
        total=variance,
        influence_between=2 * d2d * c.influence_mean
        + (d2d + square * math.exp(between)) * c.influence_between
        + d2d * c.influence_within,
        influence_within=2 * c2c * c.influence_mean
        + 2 * c2c * c.influence_between
        + (c2c + grown) * c.influence_within,
        influence_total=psi_total,
    )
