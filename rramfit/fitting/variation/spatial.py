"""Variation of a level over the array: trends along rows and columns, and a smooth random field.

The trend is the least-squares plane through the mean conductances of the cells. Its errors allow
for the smooth field, part of which looks like a trend on a single array:

    Var(slope) = Σ_c a_c²·e_c² + Σ_{c≠c'} a_c·a_c'·cov(e_c, e_c'),

with a the coefficients of the cells in the slope and e the residuals from the plane.

Length and share of the field are posterior medians and 95 % intervals from its likelihood
(`rramfit.fitting.statistics.over_array.smooth_field`). The share refers to d2d², so the scatter of
the cell means between cycles is subtracted; with one reading per cell this is not possible, and no
share is reported. The field was found in normal scores: the share is converted by the ratio of the
sums Σ a_c·a_c'·K over pairs of cells, of the means and of their scores, because scores of a bimodal
level compress the distance of its modes, which the field has no part in. A length is reported if
the field is significant against white noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import SpatialCard
from rramfit.fitting.statistics.inference import Driver, mixture_error
from rramfit.fitting.statistics.over_array.smooth_field import SmoothField, plane

__all__ = ["SIGNIFICANT", "SpatialFit", "fit_spatial"]

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05
"""p-value below which an array has a smooth field: in findings, in text and in the report."""

_ENDS = (0.025, 0.5, 0.975)
_CAUTION = 0.8  # power of the likelihood, which understates the scatter of strong fields' shares


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialFit:
    """Trend and smooth field of one level."""

    row_trend: Quantity  # [S per pitch]
    col_trend: Quantity
    correlation_length: Quantity | None = None  # [pitches]
    share: Quantity | None = None  # fraction of d2d²
    p_value: float | None = None

    @property
    def has_field(self) -> bool:
        """Whether the smooth field is significant."""
        return self.p_value is not None and self.p_value < SIGNIFICANT

    def to_card(self) -> SpatialCard:
        """Return the fit as an entry of a card."""
        return SpatialCard(
            row_trend=self.row_trend,
            col_trend=self.col_trend,
            correlation_length=self.correlation_length,
            share=self.share,
            p_value=self.p_value,
        )


def fit_spatial(
    mean: Floats, driver: Driver, *, noise: tuple[float, float] | None, seed: int = 0
) -> SpatialFit:
    """Fit trend and smooth field of one level.

    Parameters
    ----------
    mean : (row, col) array
        Mean conductance of each cell [S], NaN where unknown.
    driver : Driver
        Driver from the same cells.
    noise : (float, float), optional
        Share of variation between cycles in the variance of the cell means about the plane, and its
        standard error; None if unknown.
    seed : int
        Seed of the test for a smooth field.
    """
    residual, coefficients, observed = plane(mean)
    field = driver.field
    variance = float(residual[observed].var())
    slopes = []
    for a, slope in zip(_slope_weights(observed), coefficients[1:], strict=True):
        own = float(np.sum((a * residual) ** 2))
        inflation, df = 1.0, max(float(observed.sum() - 3), 1.0)
        of_lines, df_lines = 0.0, np.inf
        if driver.lines is not None:
            sums = driver.lines.pair_sums(a)
            of_lines = variance * max(
                sum(float(x) * e.variance for x, e in zip(sums, driver.lines.effects, strict=True)),
                0.0,
            )
            df_lines = driver.lines.error_df(np.maximum(sums, 0.0))
        smooth = np.zeros(1)
        if field is not None:
            smooth = np.maximum(field.variance * field.share * field.pair_sums(weights=a), 0)
        if own > 0:
            every = own + of_lines + variance * smooth
            inflation, df = mixture_error(field, every, own, df, lines=of_lines, df_lines=df_lines)
        error = math.sqrt(own * inflation)
        slopes.append(Quantity.estimated(float(slope), error, "S", df=df))
    row, col = slopes
    if field is None:
        return SpatialFit(row_trend=row, col_trend=col)
    p_value = field.p_value(seed)
    trend = _trend_variance(row, mean.shape[0]) + _trend_variance(col, mean.shape[1])
    share = None
    if noise is not None and variance > 0:
        lines = 0.0 if driver.lines is None else driver.lines.variance
        ratio = _of_means(field, residual / math.sqrt(variance), driver.scores)
        share = _share(field, noise, trend=trend / variance + lines, ratio=ratio)
    length = _length(field) if p_value < SIGNIFICANT else None
    return SpatialFit(
        row_trend=row, col_trend=col, correlation_length=length, share=share, p_value=p_value
    )


def _slope_weights(observed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the coefficient of each cell in the least-squares slopes along rows and columns."""
    r, c = np.nonzero(observed)
    design = np.stack([np.ones(len(r)), r - r.mean(), c - c.mean()])
    solved = np.linalg.pinv(design @ design.T) @ design
    rows, cols = np.zeros(observed.shape), np.zeros(observed.shape)
    rows[observed], cols[observed] = solved[1], solved[2]
    return rows, cols


def _trend_variance(slope: Quantity, cells: int) -> float:
    """Return the variance over a line of cells due to a slope [S²], corrected for its error."""
    return max(slope.value**2 - (slope.stderr or 0.0) ** 2, 0.0) * (cells**2 - 1) / 12


def _of_means(field: SmoothField, means: Floats, scores: Floats) -> tuple[float, float]:
    """Return the field's variance in means over that in scores, and its standard error.

    It is drawn towards 1 by what independent cells make of the sums.
    """
    seen = field.observed
    z = np.where(seen, np.nan_to_num(scores), 0.0)
    v, z = np.where(seen, means, 0.0), z / max(float(z[seen].std()), 1e-300)
    at = int(np.argmax(field.weight[:-1]))
    of_v, of_z = (float(field.pair_sums(weights=a)[at]) for a in (v, z))
    chance = 2 * float(field.pair_sums(2, weights=seen.astype(np.float64))[at] + seen.sum())
    r = float(np.clip(np.mean(v[seen] * z[seen]), 0.0, 1.0))
    if of_z <= 0:
        return 1.0, 0.0
    known = of_z**2 / (of_z**2 + chance)
    error = known * math.sqrt(chance * (1 - r**4)) / of_z
    return max(1 + known * (of_v / of_z - 1), 0.0), error


def _share(
    field: SmoothField, noise: tuple[float, float], *, trend: float, ratio: tuple[float, float]
) -> Quantity:
    """Return the share of the field in d2d², from variances relative to that about the plane."""
    smooth = field.variance * field.share
    white = field.variance - smooth  # of independent cells, and of cycles
    d2d = np.maximum(smooth + white - noise[0], 1e-9) + trend
    share = np.clip(ratio[0] * smooth / d2d, 0.0, 1.0)
    low, middle, high = field.quantiles(share, _ENDS, caution=_CAUTION)
    n = int(field.observed.sum())
    other = middle * math.hypot(noise[1], math.sqrt(2 / n)) / max(1 - noise[0] + trend, 1e-9)
    other = math.hypot(other, middle * ratio[1] / max(ratio[0], 0.1))
    down, up = (math.hypot(side, 1.96 * other) for side in (middle - low, high - middle))
    error = math.hypot(math.sqrt(max(field.mean(share**2) - field.mean(share) ** 2, 0.0)), other)
    ends = 0.0 if low <= 0 else max(middle - down, 0.0), min(middle + up, 1.0)
    return Quantity.within(middle, error, "1", ends)


def _length(field: SmoothField) -> Quantity:
    """Return the correlation length, given that there is a field."""
    weight = field.weight[:-1] / max(float(field.weight[:-1].sum()), 1e-300)
    length = field.length[:-1]
    order = np.argsort(length, kind="stable")
    lengths, first = np.unique(length[order], return_index=True)
    mass = np.add.reduceat(weight[order], first)
    low, middle, high = np.interp(_ENDS, np.cumsum(mass) - 0.5 * mass, lengths)
    error = math.sqrt(float(weight @ (length - weight @ length) ** 2))
    return Quantity.within(float(middle), error, "1", (float(low), float(high)))
