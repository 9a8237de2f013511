"""Figures of pulse response: readings after each pulse, and the forms on readings held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card.blocks.pulses import PulseBranch, course
from rramfit.fitting.electrical.pulses.runs import Runs
from rramfit.reporting.page.theme import SERIES
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_pulses"]


def draw_pulses(ax: Axes, runs: Sequence[Runs], branches: Sequence[PulseBranch]) -> None:
    """Draw readings against the pulse number: median, middle 80 %, and the exponential course.

    Parameters
    ----------
    ax : Axes
    runs, branches : sequences
        Of each polarity that was measured.
    """
    largest = max(float(np.nanmax(r.conductance)) for r in runs)
    unit = axis_unit(largest, "S")
    for color, run, b in zip(SERIES, runs, branches, strict=False):
        y = run.conductance[:, : b.pulses + 1] * unit.factor
        y = y[:, np.isfinite(y).any(axis=0)]
        n = np.arange(y.shape[1])
        low, middle, high = np.nanquantile(y, (0.1, 0.5, 0.9), axis=0)
        ax.fill_between(n, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(n, middle, "o", ms=2, color=color, label=b.direction)
        x = np.linspace(0, 1, 200)
        fit = b.start.value + (b.end.value - b.start.value) * course(x, b.nonlinearity.value)
        ax.plot(x * b.pulses, fit * unit.factor, lw=1.2, color=color)
    ax.set_xlabel("pulse of the run")
    ax.set_ylabel(f"conductance [{unit.symbol}]")
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.legend(loc="center right")
