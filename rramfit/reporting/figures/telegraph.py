"""Figures of random telegraph noise: a trace with its states, amplitude over conductance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.telegraph import TelegraphCard
from rramfit.reporting.page.theme import MUTED, SERIES
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_amplitudes", "draw_trace"]

Floats = NDArray[np.float64]


def draw_trace(ax: Axes, time: Floats, reads: Floats, state: Floats) -> None:
    """Draw the reads of one cell, and the conductance of the state that each is in.

    Parameters
    ----------
    ax : Axes
    time : (read,) array
        [s]
    reads, state : (read,) array
        [S]
    """
    unit, seconds = axis_unit(float(np.abs(reads).max()), "S"), axis_unit(float(time[-1]), "s")
    at = (time - time[0]) * seconds.factor
    ax.plot(at, reads * unit.factor, ".", ms=2, color=MUTED, label="reads", rasterized=True)
    ax.step(at, state * unit.factor, where="mid", lw=1, color=SERIES[0], label="state")
    ax.set_xlabel(f"time [{seconds.symbol}]")
    ax.set_ylabel(f"conductance [{unit.symbol}]")
    ax.legend(loc="upper right", ncols=2)


def draw_amplitudes(ax: Axes, conductance: Floats, distance: Floats, card: TelegraphCard) -> None:
    """Draw the relative distance of the states of each cell over its conductance, with the law.

    Parameters
    ----------
    ax : Axes
    conductance, distance : (cell,) array
        [S]
    card : TelegraphCard
    """
    use = (conductance > 0) & (distance > 0)
    g, relative = conductance[use], distance[use] / conductance[use]
    unit = axis_unit(float(g.max()), "S")
    ax.loglog(g * unit.factor, relative, "o", ms=3, color=SERIES[0])
    if card.amplitude is not None and card.reference_conductance is not None:
        x = np.geomspace(g.min(), g.max(), 50)
        power = card.exponent.value if card.exponent else 0.0
        line = card.amplitude.value * (x / card.reference_conductance.value) ** power
        ax.plot(x * unit.factor, line, lw=1.2, color=MUTED)
    ax.set_xlabel(f"conductance [{unit.symbol}]")
    ax.set_ylabel("distance of the states / conductance")
