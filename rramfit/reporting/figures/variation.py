"""Figures of variation: variance components, cell mean against cycle scatter, trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import VariationCard
from rramfit.reporting.page.theme import (
    DIFFERENCE_MAP,
    INK,
    MUTED,
    SERIES,
    VALUE_MAP,
    level_colors,
)
from rramfit.reporting.page.wording import axis_unit
from rramfit.reporting.report_data.report_data import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_cell_scatter",
    "draw_level_correlation",
    "draw_profiles",
    "draw_variance_components",
]

Floats = NDArray[np.float64]

_COMPONENTS = (("d2d", "cell-to-cell"), ("c2c", "cycle-to-cycle"), ("read", "read-to-read"))
_FEW = 10


def draw_variance_components(
    ax: Axes, variation: Sequence[VariationCard], names: Mapping[int, str]
) -> None:
    """Draw the variance components of each level as standard deviations, with 95 % intervals.

    Grouped bars for few levels, lines for many.
    """
    parts = [
        (title, color, points)
        for (name, title), color in zip(_COMPONENTS, SERIES, strict=False)
        if (points := [(v.level, q) for v in variation if (q := getattr(v, name)) is not None])
    ]
    largest = max(q.value for _, _, points in parts for _, q in points)
    unit = axis_unit(largest, "S")
    levels = [v.level for v in variation]
    few = len(levels) <= _FEW
    for i, (title, color, points) in enumerate(parts):
        y = np.array([unit.factor * q.value for _, q in points])
        low, high = _ends([q for _, q in points], unit.factor)
        if few:
            width = 0.8 / len(parts)
            shift = (i - (len(parts) - 1) / 2) * width
            x = np.array([levels.index(k) + shift for k, _ in points])
            ax.bar(x, y, 0.92 * width, color=color, alpha=0.85, label=title)
            ax.vlines(x, low, high, color=INK, linewidth=1.1)
        else:
            at = np.array([k for k, _ in points], dtype=float)
            ax.fill_between(at, low, high, color=color, alpha=0.2, linewidth=0)
            ax.plot(at, y, "o-", color=color, markersize=2.6, linewidth=1.0, label=title)
    if few:
        ax.set_xticks(range(len(levels)), [names[k] for k in levels])
        ax.grid(visible=False, axis="x")
        ax.set_xlim(-0.6, len(levels) - 0.4)
    else:
        ax.set_xlabel("level")
    highest = max(_ends([q for _, q in points], unit.factor)[1].max() for _, _, points in parts)
    if largest > 0:
        ax.set_ylim(0, min(1.3 * highest, 3.5 * unit.factor * largest))
    ax.set_ylabel(f"standard deviation [{unit.symbol}]")
    ax.legend(loc="upper left", ncols=len(parts), borderaxespad=0.1, columnspacing=1.2)


def draw_cell_scatter(
    ax: Axes, mean: Floats, std: Floats, *, d2d: Quantity | None, c2c: Quantity | None
) -> None:
    """Draw each cell's standard deviation over cycles against its mean, as a 2-D histogram.

    Parameters
    ----------
    ax : Axes
    mean, std : (cell,) arrays
        [S] over the cycles of one cell at one level.
    d2d, c2c : Quantity, optional
        The card's components: two lines about the mean, and one line.
    """
    unit = axis_unit(float(np.max(np.abs(mean))), "S")
    x, y = unit.factor * mean, unit.factor * std
    x_low, x_high = np.quantile(x, (0.002, 0.998))
    y_high = float(np.quantile(y, 0.998)) * 1.08 or 1.0
    margin = 0.08 * (x_high - x_low) or 0.5
    spans = ((float(x_low - margin), float(x_high + margin)), (0.0, y_high))
    counts, _, _ = np.histogram2d(x, y, bins=(56, 44), range=spans)
    ax.imshow(
        np.where(counts > 0, np.sqrt(counts), np.nan).T,
        origin="lower",
        extent=(*spans[0], *spans[1]),
        aspect="auto",
        interpolation="none",
        cmap=VALUE_MAP,
    )
    ax.grid(visible=False)
    if c2c is not None:
        ax.axhline(unit.factor * c2c.value, color=SERIES[1], linewidth=1.3)
    if d2d is not None:
        centre = float(x.mean())
        for end in (centre - unit.factor * d2d.value, centre + unit.factor * d2d.value):
            ax.axvline(end, color=SERIES[0], linewidth=1.3, dashes=(4, 2))
    ax.set_xlabel(f"mean [{unit.symbol}]")
    ax.set_ylabel(f"std over cycles [{unit.symbol}]")


def draw_level_correlation(ax: Axes, matrix: Floats, names: Sequence[str]) -> None:
    """Draw a correlation matrix between levels, (level, level); NaN is left blank."""
    n = len(matrix)
    ax.imshow(matrix, cmap=DIFFERENCE_MAP, vmin=-1, vmax=1, interpolation="none")
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if n > _FEW:
        bar = ax.inset_axes((1.03, 0.0, 0.045, 1.0))
        bar.imshow(
            np.linspace(1, -1, 64)[:, None],
            aspect="auto",
            extent=(0, 1, -1, 1),
            cmap=DIFFERENCE_MAP,
            vmin=-1,
            vmax=1,
        )
        bar.set_xticks([])
        bar.yaxis.tick_right()
        bar.grid(visible=False)
        ax.set_xlabel("level")
        ax.set_ylabel("level")
        return
    ax.set_xticks(range(n), names)
    ax.set_yticks(range(n), names)
    ax.tick_params(length=0)
    for i in range(n):
        for j in range(n):
            if np.isnan(matrix[i, j]):
                continue
            deep = abs(matrix[i, j]) > 0.72
            ax.text(
                j,
                i,
                f"{matrix[i, j]:.2f}",
                ha="center",
                va="center",
                color="#ffffff" if deep else "#222222",
            )


def draw_profiles(ax: Axes, overall: Profile, levels: Mapping[str, Profile], *, along: str) -> None:
    """Draw the mean offset along the array: all levels with two standard errors, single levels.

    Parameters
    ----------
    ax : Axes
    overall : Profile
        Mean over all levels, in standard deviations over cells.
    levels : mapping of str to Profile
        Single levels, by name.
    along : {"row", "column"}
    """
    at = np.arange(overall.mean.size)
    band = 2 * overall.stderr
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.fill_between(
        at, overall.mean - band, overall.mean + band, color=MUTED, alpha=0.3, linewidth=0
    )
    for color, (name, profile) in zip(level_colors(len(levels)), levels.items(), strict=True):
        ax.plot(at, profile.mean, color=color, linewidth=0.8, alpha=0.9, label=name)
    if not levels:
        ax.plot(at, overall.mean, color=SERIES[0], linewidth=1.1)
    ends = [np.abs(overall.mean) + np.nan_to_num(band), *(np.abs(p.mean) for p in levels.values())]
    top = 1.3 * max(float(np.nanmax(x, initial=0.0)) for x in ends) or 1.0
    ax.set_xlim(-0.5, at.size - 0.5)
    ax.set_ylim(-top, top)
    ax.set_xlabel(along)
    ax.set_ylabel("mean offset [σ over cells]")
    if len(levels) > 1:
        ax.legend(loc="upper right", ncols=len(levels), borderaxespad=0.1, columnspacing=1.0)


def _ends(quantities: Sequence[Quantity], factor: float) -> tuple[Floats, Floats]:
    ends = [q.ci95 if q.ci95 is not None else (q.value, q.value) for q in quantities]
    low, high = np.array(ends, dtype=np.float64).T
    return factor * low, factor * high
