"""The sampler's parameters: a card's numbers as arrays over levels, on the latent scale.

A card has standard deviations in siemens; the model draws latent normals
(`rramfit.array.devices.latent`). This module solves for the latent parameters with which the drawn
conductances have the card's mean, standard deviation, d2d, c2c, read noise, correlation between
levels, spatial share and correlation length:

    shrink_k    state variance = std² − read² − trend variance
    a_k         shrink²·P(a²) = d2d² − trend variance
    s_k         shrink²·P(a²·s) = share·d2d²
    λ_ik        shrink²·P(a²·λ_i) = variance of line offsets of kind i
    read noise  ∝ G^(exponent + 1) if the card has an exponent, with `read` as root mean square
    ℓ_k         the field's covariance in siemens falls to 1/e at the card's correlation length
    R_kl        the cells' offsets, trends included, have the card's correlation

The trend's variance is that over the array of the card. For quantities that a card lacks, the model
takes the simplest assumption and lists it in `assumptions`. `estimands` does the inverse: it
computes a card's quantities from these parameters, for an array of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.array.devices.fields import field_overlap
from rramfit.array.devices.latent import cross_covariance, explained, solve_rising, spectra
from rramfit.array.devices.line_shares import (
    LineShares,
    known_line_correlation,
    line_coupling,
    line_shares,
    line_variances,
    stack_shares,
)
from rramfit.array.devices.quantiles import latent_knots, quantile_table
from rramfit.card.conditions.change_at import read_noise_std
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard, ModelCard, SpatialCard, VariationCard
from rramfit.errors import ArrayError

__all__ = [
    "NOISE_RANGE",
    "Estimands",
    "LevelParameters",
    "estimands",
    "level_parameters",
    "relative_read_noise",
    "trend_covariance",
]

Floats = NDArray[np.float64]

NOISE_RANGE = 0.02
"""Read noise is constant below this share of a level's mean, and above its inverse."""

_FAR = 1e3
"""Reference conductance [S] of a level at 0 S: far above any state, so its noise is constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelParameters:
    """Level statistics on the latent scale, one entry per level."""

    table: Floats  # [S]   (level, knot) quantiles
    coefficients: Floats  # [S]   (level, order) Hermite coefficients; the first is the mean
    power: Floats  # [S²]  (level, order)
    shrink: Floats  #       (level,) ratio of the spread of states to that of the family
    a: Floats  #       (level,) weight of the cell in the latent value
    s: Floats  #       (level,) the smooth field's share of the cell's latent part
    lengths: tuple[float, ...]  # (level,) of the latent field [cell pitches]; 0 without field
    correlation: Floats  #       (level, level) of field and of remainder between levels
    lines: tuple[LineShares, ...]
    line_correlation: Floats  #  (level, level) of line offsets between levels
    lines_only: NDArray[np.bool_]  # (level,) d2d is unknown: only lines persist over cycles
    row_trend: Floats  # [S per pitch] (level,)
    col_trend: Floats  # [S per pitch] (level,)
    read: Floats  # [S]   (level,) between reads of a state
    read_power: float  #       read noise is proportional to G to this power
    read_scale: Floats  # [S]   (level,) read noise of a cell at `read_reference`
    read_reference: Floats  # [S] (level,) the level's mean, or `_FAR`
    assumptions: tuple[str, ...]

    @property
    def mean(self) -> Floats:
        """Return the level means, (level,) [S]."""
        return self.coefficients[:, 0]

    @property
    def deviation_correlation(self) -> Floats:
        """Return the correlation of the cells' latent D between levels, (level, level)."""
        of_lines = stack_shares(self.lines, len(self.s))
        out = self.correlation * _coupling(self.s, of_lines.sum(axis=0), self.lengths)
        out = out + self.line_correlation * line_coupling(of_lines)
        np.fill_diagonal(out, 1.0)
        return np.asarray(out)


def _value(quantity: Quantity | None, otherwise: float) -> float:
    return otherwise if quantity is None else quantity.value


def _distribution(level: LevelCard, typical: float) -> tuple[str, dict[str, float], str | None]:
    """Return the family and the parameters of a level, and the assumption made, if any."""
    if level.distribution is not None:
        named = {name: q.value for name, q in level.distribution.parameters.items()}
        return level.distribution.family, named, None
    if level.mean is not None and level.std is not None:
        normal = {"loc": level.mean.value, "scale": level.std.value}
        text = f"levels[{level.index}] has no distribution; it is taken as normal"
        return "normal", normal, text
    centre = level.mean or level.target
    if centre is None:
        msg = (
            f"levels[{level.index}] has neither distribution, mean nor target; add one of them, or "
            "remove the level from the card"
        )
        raise ArrayError(msg)
    text = f"levels[{level.index}] has no std; it gets the median relative std of the other levels"
    return "normal", {"loc": centre.value, "scale": abs(centre.value) * typical}, text


def trend_covariance(row: Floats, col: Floats, shape: tuple[int, int]) -> Floats:
    """Return the covariance over an array of the trends of two levels, (level, level) [S²]."""
    rows, cols = shape
    return np.outer(row, row) * (rows**2 - 1) / 12 + np.outer(col, col) * (cols**2 - 1) / 12


def _spatial(card: ModelCard) -> list[SpatialCard]:
    """Return the spatial part of every level's variation, empty if the card has none."""
    by_level = {v.level: v for v in card.variation}
    none = SpatialCard()
    return [
        (by_level[level.index].spatial or none) if level.index in by_level else none
        for level in card.levels
    ]


def relative_read_noise(state: Floats, power: float) -> Floats:
    """Return the read noise of states relative to that at the reference.

    `state` is relative to the level's `read_reference`.
    """
    return np.clip(state, NOISE_RANGE, 1 / NOISE_RANGE) ** power


def _mean_square(noise: Floats) -> Floats:
    """Return the mean square over the latent knots, (level,)."""
    weight = np.exp(-0.5 * latent_knots() ** 2)
    return np.asarray((noise**2 @ weight) / weight.sum())


def level_parameters(card: ModelCard) -> LevelParameters:
    """Solve a card's levels and variation for the sampler's parameters.

    Raises
    ------
    ArrayError
        If the card has no levels, or a level without distribution, mean and target.
    """
    if not card.levels:
        msg = f"card {card.name!r} has no levels; expected at least one"
        raise ArrayError(msg)
    assumptions: list[str] = []
    spreads = [
        level.std.value / abs(level.mean.value)
        for level in card.levels
        if level.std is not None and level.mean is not None and level.mean.value != 0
    ]
    distributions = [
        _distribution(level, float(np.median(spreads)) if spreads else 0.0) for level in card.levels
    ]
    assumptions += [text for _, _, text in distributions if text]
    table = np.stack([quantile_table(name, parameters) for name, parameters, _ in distributions])
    coefficients, power = spectra(latent_knots(), table)
    variance = power.sum(axis=1)
    spatial = _spatial(card)
    row = np.array([_value(x.row_trend, 0.0) for x in spatial])
    col = np.array([_value(x.col_trend, 0.0) for x in spatial])
    trend = np.diagonal(trend_covariance(row, col, (card.array.rows, card.array.cols)))
    by_level = {v.level: v for v in card.variation}
    variation = [by_level.get(level.index) for level in card.levels]
    read = np.array(
        [
            read_noise_std(card, level.index, m)
            for level, m in zip(card.levels, coefficients[:, 0], strict=True)
        ]
    )
    state = variance - read**2 - trend
    for k in np.flatnonzero((state < 0) & (variance > 0)):
        assumptions.append(
            f"levels[{k}] has a std below that of read noise and trend; other variation is 0"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        shrink = np.sqrt(np.where(variance > 0, np.clip(state / variance, 0.0, 1.0), 0.0))
    power_law = 0.0
    if card.read_noise is not None and card.read_noise.exponent is not None:
        power_law = card.read_noise.exponent.value + 1
    mean = coefficients[:, 0]
    reference = np.where(mean > 1e-9 * np.abs(mean).max(), mean, _FAR)
    state_table = (mean + shrink * (table.T - mean)).T / reference[:, None]
    kinds, of_lines = line_variances(variation)
    d2d2 = _between_cells(
        variation, variance=variance, read=read, lines=of_lines.sum(axis=0), assumptions=assumptions
    )
    d2d2 = np.where(of_lines.sum(axis=0) > 0, np.maximum(d2d2, of_lines.sum(axis=0) + trend), d2d2)
    a2 = _inverse(power, (d2d2 - trend), shrink)
    share = np.array([_value(x.share, 0.0) for x in spatial])
    smooth = np.minimum(_inverse(power, share * d2d2, shrink), a2)
    with np.errstate(invalid="ignore", divide="ignore"):
        s = np.where(a2 > 0, smooth / a2, 0.0)
    lines = line_shares(kinds, [_inverse(power, v, shrink) for v in of_lines], a2=a2, most=1 - s)
    line_correlation = known_line_correlation(card, len(a2), assumptions if lines else [])
    lengths = _latent_lengths(power, smooth, [_value(x.correlation_length, 0.0) for x in spatial])
    correlation = _latent_correlation(
        card.variation_correlation,
        coefficients=coefficients * shrink[:, None],
        a=np.sqrt(a2),
        s=s,
        lengths=lengths,
        lines=lines,
        line_correlation=line_correlation,
        trend=trend_covariance(row, col, (card.array.rows, card.array.cols)),
        d2d2=shrink**2 * explained(power, a2) + trend,
        assumptions=assumptions,
    )
    return LevelParameters(
        table=table,
        coefficients=coefficients,
        power=power,
        shrink=shrink,
        a=np.sqrt(a2),
        s=s,
        lengths=lengths,
        correlation=correlation,
        lines=lines,
        line_correlation=line_correlation,
        lines_only=np.array([v is None or (v.d2d is None and v.c2c is None) for v in variation]),
        row_trend=row,
        col_trend=col,
        read=read,
        read_power=power_law,
        read_scale=read / np.sqrt(_mean_square(relative_read_noise(state_table, power_law))),
        read_reference=reference,
        assumptions=tuple(assumptions),
    )


def _between_cells(
    variation: list[VariationCard | None],
    *,
    variance: Floats,
    read: Floats,
    lines: Floats,
    assumptions: list[str],
) -> Floats:
    """Return d2d² of every level [S²]."""
    out = np.zeros_like(variance)
    for k, v in enumerate(variation):
        if v is not None and v.d2d is not None:
            out[k] = v.d2d.value**2
        elif v is not None and v.c2c is not None:
            noise = 0.0 if v.c2c_includes_read else read[k] ** 2
            out[k] = max(variance[k] - v.c2c.value**2 - noise, 0.0)
            assumptions.append(
                f"variation[{k}] has no d2d; it is taken from the level's variance less that of c2c"
            )
        else:
            out[k] = lines[k]
            kept = "only the line offsets of a cell persist"
            if not lines[k] > 0:
                kept = "no deviation of a cell persists"
            assumptions.append(f"variation[{k}] has neither d2d nor c2c; {kept} over programmings")
    return out


def _inverse(power: Floats, wanted: Floats, shrink: Floats) -> Floats:
    """Return the latent correlation x with shrink²·P(x) = wanted, from 0 to 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        target = np.where(shrink > 0, np.maximum(wanted, 0.0) / shrink**2, 0.0)
    return solve_rising(lambda x: explained(power, x), target)


def _latent_lengths(power: Floats, smooth: Floats, wanted: list[float]) -> tuple[float, ...]:
    """Return the latent lengths for which the covariance in siemens falls to 1/e as wanted."""
    target = explained(power, smooth) / math.e
    falls = solve_rising(lambda x: explained(power, x * smooth), target)
    return tuple(
        float(length / math.sqrt(-math.log(x))) if s > 0 and 0 < x < 1 else 0.0
        for length, x, s in zip(wanted, falls, smooth, strict=True)
    )


def _coupling(s: Floats, of_lines: Floats, lengths: tuple[float, ...]) -> Floats:
    """Return the correlation of D between two levels with equal field and remainder."""
    overlap = np.array([[field_overlap(x, y) for y in lengths] for x in lengths])
    rest = np.sqrt(np.maximum(1 - s - of_lines, 0.0))
    out: Floats = np.sqrt(np.outer(s, s)) * overlap + np.outer(rest, rest)
    return out


def _latent_correlation(
    card: list[list[float]] | None,
    *,
    coefficients: Floats,
    a: Floats,
    s: Floats,
    lengths: tuple[float, ...],
    lines: tuple[LineShares, ...],
    line_correlation: Floats,
    trend: Floats,
    d2d2: Floats,
    assumptions: list[str],
) -> Floats:
    """Return the R that gives the card's correlation between levels, made positive definite."""
    n = len(a)
    if n == 1:
        return np.ones((1, 1))
    if card is None:
        if (a > 0).any():
            assumptions.append(
                "variation_correlation is missing; a cell's offsets at two levels are independent"
            )
        return np.eye(n)
    if np.shape(card) != (n, n):
        msg = f"variation_correlation has shape {np.shape(card)}; expected ({n}, {n})"
        raise ArrayError(msg)
    wanted = np.asarray(card) * np.sqrt(np.outer(d2d2, d2d2)) - trend
    weight = np.outer(a, a)
    latent = solve_rising(
        lambda r: cross_covariance(coefficients, weight * r), wanted, low=-1.0, high=1.0
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        of_lines = stack_shares(lines, n)
        latent = latent - line_correlation * line_coupling(of_lines)
        coupling = _coupling(s, of_lines.sum(axis=0), lengths)
        r = np.where((weight > 0) & (coupling > 0), latent / coupling, 0.0)
    r = np.clip((r + r.T) / 2, -1.0, 1.0)
    np.fill_diagonal(r, 1.0)
    values, vectors = np.linalg.eigh(r)
    if values[0] < 0:
        r = (vectors * np.maximum(values, 0.0)) @ vectors.T
        d = np.sqrt(np.diagonal(r))
        r = r / np.outer(d, d)
    return r


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimands:
    """Population values of a card's quantities, for arrays of one size."""

    mean: Floats  # [S] (level,)
    std: Floats  # [S] (level,)
    d2d: Floats  # [S] (level,) trend and field included
    c2c: Floats  # [S] (level,) without read noise
    read: Floats  # [S] (level,)
    share: Floats  #     (level,) the field's share of d2d²
    lengths: Floats  # [cell pitches] (level,) the field's covariance falls to 1/e; NaN: no field
    correlation: Floats  #     (level, level) of cells' offsets
    lines: dict[tuple[str, int], Floats]  # [S] (level,) of line offsets, by axis and period


def estimands(p: LevelParameters, shape: tuple[int, int]) -> Estimands:
    """Return the population values of a card's quantities for arrays of `shape`."""
    trend = trend_covariance(p.row_trend, p.col_trend, shape)
    ones = np.ones_like(p.a)
    shrink2 = p.shrink**2
    whole, between = shrink2 * explained(p.power, ones), shrink2 * explained(p.power, p.a**2)
    d2d2 = between + np.diagonal(trend)
    smooth = p.a**2 * p.s
    sill = explained(p.power, smooth)
    falls = solve_rising(lambda x: explained(p.power, x * smooth), sill / math.e)
    latent = np.outer(p.a, p.a) * p.deviation_correlation
    covariance = cross_covariance(p.coefficients * p.shrink[:, None], latent) + trend
    np.fill_diagonal(covariance, d2d2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(d2d2 > 0, shrink2 * sill / d2d2, 0.0)
        lengths = np.where(share > 0, np.array(p.lengths) * np.sqrt(-np.log(falls)), np.nan)
        scale = np.sqrt(np.outer(d2d2, d2d2))
        correlation = np.where(scale > 0, covariance / scale, np.eye(len(d2d2)))
    return Estimands(
        mean=p.mean,
        std=np.sqrt(whole + np.diagonal(trend) + p.read**2),
        d2d=np.sqrt(d2d2),
        c2c=np.sqrt(np.maximum(whole - between, 0.0)),
        read=p.read,
        share=share,
        lengths=lengths,
        correlation=correlation,
        lines={
            (x.axis, x.period): p.shrink * np.sqrt(explained(p.power, p.a**2 * x.share))
            for x in p.lines
        },
    )
