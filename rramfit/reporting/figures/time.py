"""Figures of retention and endurance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import Endurance
from rramfit.reporting.page.theme import MUTED, SERIES, level_colors
from rramfit.reporting.page.wording import axis_unit
from rramfit.reporting.report_data.report_data import LevelTrack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_endurance", "draw_retention", "draw_retention_change", "evenly"]

Floats = NDArray[np.float64]
_FEW = 6


def evenly(tracks: Sequence[LevelTrack], count: int) -> list[LevelTrack]:
    """Return at most `count` tracks, evenly spaced, including the first and last."""
    if len(tracks) <= count:
        return list(tracks)
    return [
        tracks[i] for i in np.unique(np.linspace(0, len(tracks) - 1, count).round().astype(int))
    ]


def draw_retention(
    ax: Axes, time: Floats, tracks: Sequence[LevelTrack], names: Sequence[str]
) -> None:
    """Draw level means over time, with the range of the middle 80 % of their cells.

    Parameters
    ----------
    ax : Axes
    time : (read,) array
        [s] since programming.
    tracks : sequence of LevelTrack
    names : sequence of str
        Names of the levels.
    """
    few = len(tracks) <= _FEW
    largest = max(float(np.nanmax(np.abs(t.high))) for t in tracks)
    unit = axis_unit(largest, "S")
    x = _time_axis(ax, time)
    for color, track, name in zip(level_colors(len(tracks)), tracks, names, strict=True):
        low, high, mean = (unit.factor * y for y in (track.low, track.high, track.mean))
        if few:
            ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(
            x,
            mean,
            "o-",
            color=color,
            markersize=3.2 if few else 1.8,
            linewidth=1.3 if few else 0.8,
            label=name,
        )
    ax.set_ylabel(f"conductance [{unit.symbol}]")
    if 1 < len(tracks) <= _FEW:
        ax.margins(y=0.16)
        ax.legend(loc="upper left", ncols=3, borderaxespad=0.1, columnspacing=1.0)


def draw_retention_change(ax: Axes, tracks: Sequence[LevelTrack]) -> None:
    """Change of each level's mean from the first read to the last, against its first mean."""
    first = np.array([t.mean[0] for t in tracks])
    change = np.array([t.mean[-1] - t.mean[0] for t in tracks])
    spread = np.array([(t.high[-1] - t.low[-1]) - (t.high[0] - t.low[0]) for t in tracks])
    unit = axis_unit(float(np.nanmax(np.abs(first))), "S")
    x = unit.factor * first
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.plot(x, unit.factor * change, "o-", color=SERIES[0], markersize=3.2, label="mean")
    ax.plot(x, unit.factor * spread, "s--", color=SERIES[1], markersize=3.0, label="80 % width")
    ax.set_xlabel(f"mean at the first read [{unit.symbol}]")
    ax.set_ylabel(f"change [{unit.symbol}]")
    ax.margins(y=0.16)
    ax.legend(loc="upper left", ncols=2, borderaxespad=0.1)


def draw_endurance(ax: Axes, endurance: Endurance, healthy: NDArray[np.bool_]) -> None:
    """Draw the median of each switched state against cycles, with the middle 80 % of the cells."""
    values = endurance.conductance[:, :, healthy]
    low, middle, high = np.nanquantile(values, (0.1, 0.5, 0.9), axis=2)
    unit = axis_unit(float(np.nanmax(np.abs(high))), "S")
    cycle = np.asarray(endurance.cycle, dtype=np.float64)
    x = np.maximum(cycle, 1.0)
    positive = bool((low > 0).all())
    for i, color in enumerate(level_colors(values.shape[1])):
        ends = (unit.factor * low[:, i], unit.factor * high[:, i])
        ax.fill_between(x, *ends, color=color, alpha=0.2, linewidth=0)
        ax.plot(x, unit.factor * middle[:, i], "o-", color=color, markersize=3, label=f"state {i}")
    if cycle.max() > 20 * max(float(x.min()), 1.0):
        ax.set_xscale("log")
    if positive and float(high.max()) > 30 * float(low.min()):
        ax.set_yscale("log")
    ax.set_xlabel("cycles")
    ax.set_ylabel(f"conductance [{unit.symbol}]")
    ax.legend(loc="best", ncols=2)


def _time_axis(ax: Axes, time: Floats) -> Floats:
    """Label the time axis and return the abscissae.

    The axis is logarithmic if it spans decades; a read at 0 s is put a decade before the next.
    """
    positive = time[time > 0]
    if positive.size and time.max() > 20 * positive.min():
        ax.set_xscale("log")
        ax.set_xlabel("time since programming [s]")
        at: Floats = np.maximum(time, positive.min() / 10)
        return at
    unit = axis_unit(float(np.max(time)), "s")
    ax.set_xlabel(f"time since programming [{unit.symbol}]")
    return unit.factor * time
