"""Figures of level distributions: normal probability plot, densities, and means against targets.

The ordinate of a normal probability plot is the standard normal quantile of the cumulative share:
a normal distribution is a straight line, a heavy tail bends away from it, and two levels overlap
where their curves share an abscissa.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.card.schema import LevelCard
from rramfit.reporting.page.theme import INK, MUTED, level_colors, plain_logarithmic_ticks
from rramfit.reporting.page.wording import AxisUnit, axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_densities", "draw_level_cdfs", "draw_level_ladder", "level_axis"]

Floats = NDArray[np.float64]
Levels = Mapping[int, LevelCard]
Readings = Mapping[int, Floats]  # level -> sorted readings [S]

_SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
_POINTS_FEW, _POINTS_MANY, _FEW = 90, 28, 6
_TALLEST = 1.5  # peak of a distribution over that of its histogram at which it is cut off


def level_axis(readings: Readings) -> tuple[AxisUnit, tuple[float, float], bool]:
    """Return an axis that shows all levels: unit, limits [S], whether logarithmic.

    The limits contain the middle 99.9 % of every level; the axis is logarithmic if the medians
    span more than a factor of 30 and both limits are positive.
    """
    ends = np.array([np.quantile(v, (0.0005, 0.5, 0.9995)) for v in readings.values()])
    low, high = float(ends[:, 0].min()), float(ends[:, 2].max())
    middle = ends[:, 1]
    logarithmic = bool(low > 0 and middle.min() > 0 and middle.max() > 30 * middle.min())
    if logarithmic:
        margin = (high / low) ** 0.05
        limits = (low / margin, high * margin)
    else:
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1e-9
        limits = (low - margin, high + margin)
    return axis_unit(max(abs(low), abs(high)), "S"), limits, logarithmic


def draw_level_cdfs(ax: Axes, readings: Readings, levels: Levels) -> None:
    """Draw cumulative shares of accepted readings and the card's distributions.

    Parameters
    ----------
    ax : Axes
    readings : mapping of int to (n,) array
        Sorted readings [S] by level.
    levels : mapping of int to LevelCard
        Their distributions and thresholds are drawn.
    """
    unit, limits, logarithmic = level_axis(readings)
    few = len(readings) <= _FEW
    colors = level_colors(len(readings))
    reach = max(2.4, *(_reach(v.size) for v in readings.values()))
    for color, (k, values) in zip(colors, readings.items(), strict=True):
        z, shown = _order_statistics(values, _POINTS_FEW if few else _POINTS_MANY)
        ax.plot(
            unit.factor * shown,
            z,
            "o" if few else ".",
            color=color,
            markersize=3.2 if few else 2.0,
            markeredgewidth=0,
            alpha=0.75,
            label=levels[k].name if k in levels else f"L{k}",
        )
        distribution = levels[k].distribution if k in levels else None
        if distribution is not None:
            grid = np.linspace(-reach, reach, 61)
            x = family(distribution.family).ppf(
                special.ndtr(grid), {name: q.value for name, q in distribution.parameters.items()}
            )
            ax.plot(unit.factor * x, grid, color=color, linewidth=1.3 if few else 0.8)
    if few:
        _thresholds(ax, levels, unit, limits, reach)
    _conductance_axis(ax, unit, limits, logarithmic)
    ticks = [p for p in _SHARES if abs(special.ndtri(p)) <= reach + 0.05]
    ax.set_yticks([float(special.ndtri(p)) for p in ticks], [f"{100 * p:g}" for p in ticks])
    ax.set_ylim(-reach - 0.15, reach + 0.15)
    ax.set_ylabel("cumulative share [%]")
    if few and len(readings) > 1:
        ax.legend(loc="upper left", markerscale=1.4, handletextpad=0.3, borderaxespad=0.2)
    outside = sum(int(((v < limits[0]) | (v > limits[1])).sum()) for v in readings.values())
    if outside:
        text = f"{outside} readings outside" if outside > 1 else "1 reading outside"
        ax.text(0.99, 0.02, text, transform=ax.transAxes, ha="right", color=MUTED, fontsize=8)


def draw_densities(ax: Axes, readings: Readings, levels: Levels) -> None:
    """Draw histograms of accepted readings, the card's distributions and the verify windows."""
    unit, limits, logarithmic = level_axis(readings)
    colors = level_colors(len(readings))
    scale = np.log if logarithmic else np.asarray
    top = 0.0
    for color, (k, values) in zip(colors, readings.items(), strict=True):
        inside = values[(values >= limits[0]) & (values <= limits[1])]
        if inside.size < 2:
            continue
        edges = _edges(inside, logarithmic=logarithmic)
        share = np.histogram(inside, edges)[0] / values.size
        height = share / np.diff(scale(edges))
        ax.stairs(height, unit.factor * edges, color=color, fill=True, alpha=0.28, linewidth=0)
        ax.stairs(height, unit.factor * edges, color=color, linewidth=0.6)
        top = max(top, float(height.max()))
        card = levels.get(k)
        if card is None or card.distribution is None:
            continue
        distribution = family(card.distribution.family)
        p = {name: q.value for name, q in card.distribution.parameters.items()}
        x = distribution.ppf(special.ndtr(np.linspace(-3.6, 3.6, 121)), p)
        density = np.exp(distribution.logpdf(x, p)) * (x if logarithmic else 1.0)
        ax.plot(unit.factor * x, density, color=color, linewidth=1.4)
        top = max(top, min(float(density.max()), _TALLEST * float(height.max())))
        if card.lower is not None and card.upper is not None:
            ends = (unit.factor * card.lower.value, unit.factor * card.upper.value)
            ax.plot(ends, (0, 0), color=color, linewidth=5, solid_capstyle="butt", clip_on=False)
    _thresholds(ax, levels, unit, limits)
    _conductance_axis(ax, unit, limits, logarithmic)
    ax.set_ylim(0, 1.08 * top if top > 0 else 1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylabel("density")


def draw_level_ladder(
    ax: Axes, levels: Sequence[LevelCard], rejected: Mapping[int, float] | None = None
) -> None:
    """Draw means with one and two standard deviations against the target or the level index.

    Parameters
    ----------
    ax : Axes
    levels : sequence of LevelCard
    rejected : mapping of int to float, optional
        Median of rejected readings [S], by level: drawn as crosses.
    """
    rejected = rejected or {}
    targets = [x.target.value for x in levels if x.target is not None]
    against_target = len(targets) == len(levels)
    means = [x.mean.value for x in levels if x.mean is not None]
    unit = axis_unit(max(abs(x) for x in (*means, *rejected.values())), "S")
    places: list[float] = []
    for color, card in zip(level_colors(len(levels)), levels, strict=True):
        target = card.target.value if card.target is not None else 0.0
        at = unit.factor * target if against_target else float(card.index)
        places.append(at)
        if card.mean is not None:
            mean = unit.factor * card.mean.value
            std = unit.factor * card.std.value if card.std is not None else 0.0
            ax.plot((at, at), (mean - 2 * std, mean + 2 * std), color=color, linewidth=1.0)
            ax.plot((at, at), (mean - std, mean + std), color=color, linewidth=2.6)
            ax.plot(at, mean, "o", color=color, markersize=3.4)
        if card.index in rejected:
            ax.plot(at, unit.factor * rejected[card.index], "x", color=MUTED, markersize=4)
    if against_target:
        ax.axline((0.0, 0.0), slope=1.0, color=MUTED, linewidth=0.8, dashes=(4, 3))
        ax.set_xlim(*_padded(places))
        ax.set_xlabel(f"target conductance [{unit.symbol}]")
    else:
        ax.set_xlabel("level")
    ax.set_ylabel(f"conductance [{unit.symbol}]")


def _order_statistics(values: Floats, points: int) -> tuple[Floats, Floats]:
    """Select readings at equal steps of the normal quantile; return the quantiles and readings."""
    n = values.size
    z = np.linspace(special.ndtri(0.5 / n), special.ndtri(1 - 0.5 / n), min(points, n))
    index = np.unique(np.clip(np.round(n * special.ndtr(z) - 0.5), 0, n - 1).astype(int))
    return np.asarray(special.ndtri((index + 0.5) / n)), values[index]


def _reach(n: int) -> float:
    """Return the normal quantile of the largest of `n` readings."""
    return float(special.ndtri(1 - 0.5 / max(n, 2)))


def _edges(values: Floats, *, logarithmic: bool) -> Floats:
    """Return 8 to 80 bins by the Freedman–Diaconis rule."""
    x = np.log(values) if logarithmic else values
    low, high = float(x.min()), float(x.max())
    quarter = float(np.subtract(*np.quantile(x, (0.75, 0.25))))
    width = 2 * quarter / np.cbrt(x.size)
    count = 8 if width <= 0 else int(np.clip((high - low) / width, 8, 80))
    if high <= low:
        low, high = low - 0.5e-3 * (abs(low) or 1.0), high + 0.5e-3 * (abs(high) or 1.0)
    edges = np.linspace(low, high, count + 1)
    return np.exp(edges) if logarithmic else edges


def _thresholds(
    ax: Axes,
    levels: Levels,
    unit: AxisUnit,
    limits: tuple[float, float],
    label_at: float | None = None,
) -> None:
    for card in levels.values():
        threshold = card.upper_threshold
        if threshold is None or not limits[0] < threshold.value < limits[1]:
            continue
        x = unit.factor * threshold.value
        ax.axvline(x, color=INK, zorder=0.5, linewidth=0.9, dashes=(4, 3))
        if label_at is not None:
            ax.annotate(
                f"{x:.3g}", (x, -label_at), xytext=(3, 0), textcoords="offset points", fontsize=8
            )


def _conductance_axis(
    ax: Axes, unit: AxisUnit, limits: tuple[float, float], logarithmic: bool
) -> None:
    if logarithmic:
        ax.set_xscale("log")
        plain_logarithmic_ticks(ax.xaxis, float(np.log10(limits[1] / limits[0])))
    ax.set_xlim(unit.factor * limits[0], unit.factor * limits[1])
    ax.set_xlabel(f"conductance [{unit.symbol}]")


def _padded(x: Sequence[float]) -> tuple[float, float]:
    low, high = float(np.min(x)), float(np.max(x))
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
