"""Figures of line offsets: profiles over rows and columns, folded means, periodogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.reporting.page.theme import DIFFERENCE_MAP, INK, MUTED, PAPER, SERIES, level_colors
from rramfit.reporting.page.wording import axis_unit
from rramfit.reporting.report_data.line_profiles import LineProfile, Periodogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_folded_means", "draw_line_profile", "draw_periodogram"]

Floats = NDArray[np.float64]

_MOST_BARS = 300  # lines; more intervals are drawn as a band
_HARMONICS_UP_TO = 8  # period; of longer ones only the fundamental is marked
_LABEL_SHARE = 0.075  # of the height of the axes, for the label of a mark
_INSIDE = 0.95  # of the intervals that a profile shows whole
_TAIL = 0.01  # of the folded means beyond the colour scale


def draw_line_profile(ax: Axes, profile: LineProfile, *, along: str) -> None:
    """Draw the mean offset of each line with its 95 % interval, trend and predicted offsets.

    Parameters
    ----------
    ax : Axes
    profile : LineProfile
    along : {"row", "column"}
    """
    reach = np.abs(profile.mean) + np.nan_to_num(profile.half)
    reach = reach[np.isfinite(reach)]
    most = np.quantile(reach, _INSIDE) if reach.size else 0.0
    top = float(max(most, np.nanmax(np.abs([profile.mean, profile.predicted]), initial=0.0)))
    end = 1.25 * top or 1e-6
    unit = axis_unit(end, "S")
    at = np.arange(profile.mean.size)
    mean, half = unit.factor * profile.mean, unit.factor * profile.half
    ax.axhline(0, color=MUTED, linewidth=0.8)
    if at.size <= _MOST_BARS:
        ax.vlines(at, mean - half, mean + half, color=SERIES[0], linewidth=0.8, alpha=0.45)
    else:
        ax.fill_between(at, mean - half, mean + half, color=SERIES[0], alpha=0.25, linewidth=0)
    ax.plot(at, mean, ".", color=SERIES[0], markersize=3.2, markeredgewidth=0, label="mean")
    ax.plot(at, unit.factor * profile.predicted, color=SERIES[1], linewidth=0.9, label="predicted")
    ax.plot(at, unit.factor * profile.trend, color=INK, linewidth=0.9, dashes=(4, 2), label="trend")
    ax.set_xlim(-0.5, at.size - 0.5)
    ax.set_ylim(-unit.factor * end, unit.factor * end)
    ax.set_xlabel(along)
    ax.set_ylabel(f"mean offset [{unit.symbol}]")
    ax.legend(loc="upper right", ncols=3, borderaxespad=0.1, columnspacing=1.0)


def draw_periodogram(
    ax: Axes, levels: Mapping[str, Periodogram], *, along: str, marks: Sequence[tuple[float, str]]
) -> None:
    """Draw power over the white floor against frequency, and mark the periods that were found.

    Parameters
    ----------
    ax : Axes
    levels : mapping of str to Periodogram
        By the level's name.
    along : {"row", "column"}
    marks : sequence of (float, str)
        Period and label; period 0 for frequency 0.
    """
    for color, (name, p) in zip(level_colors(len(levels)), levels.items(), strict=True):
        ax.plot(
            p.frequency, p.of_means, ".", color=color, markersize=3, markeredgewidth=0, alpha=0.55
        )
        ax.plot(p.frequency, p.within, color=color, linewidth=1.1, label=name)
    powers = [x for p in levels.values() for x in (p.within, p.of_means)]
    seen = np.concatenate(powers)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    within = np.concatenate([p.within for p in levels.values()])
    low = min(0.3, 0.7 * float(within[within > 0].min(initial=1.0)))
    high = max(float(seen.max(initial=1.0)), 10.0)
    ax.set_yscale("log")
    ax.set_ylim(low, high * (high / low) ** (0.1 + 0.09 * (len(marks) + (len(levels) > 1))))
    ax.axhspan(low, max(p.limit for p in levels.values()), color=MUTED, alpha=0.16, linewidth=0)
    legend = len(levels) > 1
    for row, (period, label) in enumerate(marks):
        _mark(ax, period, label, row + legend)
    ax.set_xlim(-0.012, 0.512)
    ax.set_xlabel(f"frequency [cycles per {along}]")
    ax.set_ylabel("power / white floor")
    if legend:
        ax.legend(loc="upper right", ncols=len(levels), borderaxespad=0.1, columnspacing=1.0)


def _mark(ax: Axes, period: float, label: str, row: int) -> None:
    """Mark a period: a labelled line at its frequency, thin ones at the harmonics."""
    first = 1 / period if period else 0.0
    harmonics = range(2, int(period / 2) + 1) if period <= _HARMONICS_UP_TO else ()
    top = 1 - _LABEL_SHARE * row
    for k in harmonics:
        ax.axvline(k * first, ymax=top, color=INK, linewidth=0.6, alpha=0.5, dashes=(1, 2))
    ax.axvline(first, ymax=top, color=INK, linewidth=0.9, dashes=(4, 2))
    right = first < 0.4
    ax.annotate(
        label,
        (first, top),
        xycoords=("data", "axes fraction"),
        xytext=(3 if right else -3, -2),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
    )


def draw_folded_means(ax: Axes, means: Floats, *, along: str, across: str) -> None:
    """Draw the mean offset of every folded part of a line, (period, line) [S]."""
    seen = np.abs(means[np.isfinite(means)])
    end = float(np.quantile(seen, 1 - _TAIL)) if seen.size else 1.0
    unit = axis_unit(end, "S")
    limit = unit.factor * end or 1.0
    period, lines = means.shape
    style: dict[str, Any] = {
        "cmap": DIFFERENCE_MAP,
        "vmin": -limit,
        "vmax": limit,
        "interpolation": "none",
    }
    ax.imshow(
        unit.factor * means, aspect="auto", extent=(-0.5, lines - 0.5, period - 0.5, -0.5), **style
    )
    bar = ax.inset_axes((1.012, 0.0, 0.014, 1.0))
    bar.imshow(
        np.linspace(limit, -limit, 64)[:, None],
        aspect="auto",
        extent=(0, 1, -limit, limit),
        **style,
    )
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.tick_params(length=2, pad=2)
    bar.grid(visible=False)
    bar.set_title(unit.symbol, fontsize=8.5, loc="left", pad=4)
    ax.grid(visible=False)
    ax.set_yticks(np.arange(0, period, max(1, -(-period // 8))))
    ax.set_xlabel(along, labelpad=2)
    ax.set_ylabel(f"{across} mod {period}", labelpad=2)
    for spine in (*ax.spines.values(), *bar.spines.values()):
        spine.set_color(MUTED)
