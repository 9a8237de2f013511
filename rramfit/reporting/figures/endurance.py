"""Figures of the lives of cells: failed share over cycles, and modes of failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rramfit.fitting.time.endurance import LifeFit
from rramfit.reporting.page.theme import INK, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_incidence", "draw_survival"]

_POINTS = 200


def draw_survival(ax: Axes, life: LifeFit) -> None:
    """Draw the failed share at each reading with its interval, and the fitted distributions."""
    limit = life.limit
    x, value = np.maximum(limit.cycle, 1.0), 100 * (1 - limit.survival)
    error = (value - 100 * (1 - limit.high), 100 * (1 - limit.low) - value)
    ax.errorbar(
        x, value, np.maximum(error, 0.0), fmt="o", ms=3, lw=0.8, color=INK, label="measured"
    )
    t = np.geomspace(x[0], x[-1], _POINTS)
    for i, d in enumerate(life.distributions):
        ax.plot(
            t,
            100 * (1 - d.survival(t)),
            "-" if i == 0 else "--",
            color=SERIES[i],
            linewidth=1.2,
            label="Weibull" if d.family == "weibull" else d.family,
        )
    if life.early is not None:
        both = 100 * (1 - life.early.survival(t))
        ax.plot(t, both, ":", color=SERIES[2], linewidth=1.4, label="two populations")
    _cycles(ax, "failed cells [%]")


def draw_incidence(ax: Axes, life: LifeFit) -> None:
    """Draw the cumulative incidence of each mode, with bands."""
    x = np.maximum(life.limit.cycle, 1.0)
    shown = [m for m in life.limit.incidence if m.failures]
    for color, m in zip(SERIES, shown, strict=False):
        band = (100 * np.minimum(m.low, m.value), 100 * np.maximum(m.high, m.value))
        ax.fill_between(x, *band, color=color, alpha=0.15, linewidth=0)
        ax.plot(x, 100 * m.value, "o-", color=color, markersize=3, linewidth=1, label=m.mode)
    _cycles(ax, "failed cells [%]")


def _cycles(ax: Axes, label: str) -> None:
    ax.set_xscale("log")
    ax.set_xlabel("SET/RESET cycles")
    ax.set_ylabel(label)
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left")
