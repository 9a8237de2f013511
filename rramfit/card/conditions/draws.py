"""Means and standard deviations of a card's levels at a condition, drawn within their errors.

Energy and exponent of a law are drawn once for all levels, the rest of a level's parameters given
them, by the correlation of their errors. A quantity whose interval is wider than 1.96 standard
errors, by Student's t, is drawn as widely. Whether the cells of a level change by one factor or by
one amount is drawn with its probability. Readings that were taken for one give in the other a
variance of the change that is less by state²·(1 − ratio of the means)².
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.temperature import ChangeLaw
from rramfit.card.conditions.card_parts import LevelPart
from rramfit.card.conditions.change_at import (
    EVEN,
    LOWEST_MEAN,
    ChangeAt,
    factor_probability,
    level_energy,
    split_change,
)
from rramfit.card.quantity import Quantity
from rramfit.streams import stream

__all__ = ["NORMAL", "changed", "draw_condition", "draw_start"]

Floats = NDArray[np.float64]

NORMAL = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

_DRAWS = 4000
_LARGEST = 50.0  # of a change of the logarithm


def changed(
    mean0: Floats, std0: Floats, *, log: Floats, linear: Floats, variance: Floats, read: Floats
) -> tuple[Floats, Floats]:
    """Return mean and std after a change; all broadcast."""
    ratio = np.exp(np.minimum(log, _LARGEST))
    state2 = np.maximum(std0**2 - read**2, 0.0)
    mean = mean0 * ratio + linear
    std = np.sqrt(
        np.where(log == 0, std0**2, state2 * ratio**2 + np.minimum(read, std0) ** 2) + variance
    )
    lowest = LOWEST_MEAN * mean0
    lost = (mean0 > 0) & (mean < lowest)
    return np.where(lost, lowest, mean), np.where(lost, LOWEST_MEAN * std0, std)


def draw_start(level: LevelPart, mean: float, std: float, rng: np.random.Generator) -> Floats:
    """Draw mean and std after programming within their errors, (2, draw)."""
    z = rng.standard_normal((2, _DRAWS))
    mean = mean + _error(level.mean) * z[0]
    if std <= 0:
        return np.stack([mean, np.full(_DRAWS, std)])
    return np.stack([mean, std * np.exp(_error(level.std) / std * z[1])])


def _error(q: Quantity | None) -> float:
    """Return the error of a quantity whose normal interval is as wide as its own."""
    if q is None or q.ci95 is None:
        return 0.0
    return (q.ci95[1] - q.ci95[0]) / (2 * NORMAL)


def draw_condition(
    change: ChangeAt, time: float, start: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw means and stds at a condition, each (draw, level)."""
    mean0, std0 = start
    none = np.zeros_like(mean0)
    if time < change.reference_time:
        return mean0.copy(), std0.copy()
    log, linear, variance = none, none, none
    if change.block is None:
        linear, variance = _retention_draws(change, time, rng)
        return changed(mean0, std0, log=log, linear=linear, variance=variance, read=change.read)
    drift, growth = change.block.drift, change.block.growth
    if drift is not None:
        probability = factor_probability(drift)
        by_factor = stream(0, "factor of a change").random((_DRAWS, 1)) < probability
        drawn = _law_draws(change, drift, time, rng)
        log, linear = split_change(drift, drawn, mean0, by_factor=by_factor)
    if growth is not None:
        mark = change.variance(time) - change.law_value(growth, time)
        drawn = _law_draws(change, growth, time, rng)
        variance = np.maximum(drawn + np.minimum(mark, 0.0), 0.0)
    if drift is not None:
        other = (by_factor != (probability >= EVEN)) & (mean0 > 0)
        ratio = np.exp(log) + linear / np.where(mean0 > 0, mean0, np.inf)
        state2 = np.maximum(std0**2 - change.read**2, 0.0)
        variance = np.where(other, np.maximum(variance - state2 * (1 - ratio) ** 2, 0.0), variance)
    return changed(mean0, std0, log=log, linear=linear, variance=variance, read=change.read)


def _retention_draws(
    change: ChangeAt, time: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw the change of a card with one bake, each (draw, level)."""
    n = len(change.levels)
    z = rng.standard_normal((4, _DRAWS, n))
    linear, variance = np.zeros((2, _DRAWS, n))
    if change.retention is None:
        return linear, variance
    rows = {row.level: row for row in change.retention.levels}
    x = math.log(time / change.reference_time)
    for i, level in enumerate(change.levels):
        if (row := rows.get(level)) is None:
            continue
        step, drift = (
            (q.value if q else 0.0) + _error(q) * z[j, :, i]
            for j, q in enumerate((row.first_step, row.drift))
        )
        spread, growth = (
            0.0 if q is None or q.value <= 0 else q.value * np.exp(_error(q) / q.value * z[j, :, i])
            for j, q in enumerate((row.first_spread, row.growth), start=2)
        )
        linear[:, i] = step + drift * x
        first = np.maximum(spread**2 - 2 * change.read[i] ** 2, 0.0)
        variance[:, i] = first + np.asarray(growth) ** 2 * x
    return linear, variance


def _law_draws(change: ChangeAt, law: ChangeLaw, time: float, rng: np.random.Generator) -> Floats:
    """Draw c(t, T) of every level within the errors of the law, (draw, level)."""
    out = np.zeros((_DRAWS, len(change.levels)))
    shared = rng.standard_normal((2, _DRAWS))
    own = rng.standard_normal((4, _DRAWS, len(change.levels)))
    rows = {row.level: row for row in law.levels}
    for i, level in enumerate(change.levels):
        if (row := rows.get(level)) is None:
            continue
        known = [level_energy(law, row), law.exponent, row.step, row.step_rate, row.rate]
        with_error = [j for j, q in enumerate(known) if q is not None and q.stderr]
        z = np.concatenate([shared, own[1:, :, i]])
        if not law.common and row.activation_energy is not None:
            z[0] = own[0, :, i]
        r = np.asarray(row.correlation if row.correlation is not None else [])
        if r.shape == (len(with_error), len(with_error)) and len(with_error):
            values, vectors = np.linalg.eigh(r)  # the root that keeps the order: Cholesky's
            r = (vectors * np.maximum(values, 1e-12)) @ vectors.T
            z[with_error] = np.linalg.cholesky(r) @ z[with_error]
        drawn = [(0.0 if q is None else q.value) + _error(q) * z[j] for j, q in enumerate(known)]
        out[:, i] = change.with_values(law, time, drawn)
    return out
