"""Plots of the levels: distribution functions on normal probability paper.

On this paper a normal distribution is a straight line whose slope is the inverse of its standard
deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from rramfit.fitting.results.axes import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.fitting.levels.level_fit import LevelFit

__all__ = ["draw_probability_paper"]

_TICKS = np.array([1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1 - 1e-4])
_LABELS = ("0.01", "0.1", "1", "10", "50", "90", "99", "99.9", "99.99")
_Z = np.linspace(-4.0, 4.0, 161)
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_FEW = len(_PALETTE)


def draw_probability_paper(levels: Sequence[LevelFit], ax: Axes | None = None) -> Axes:
    """Draw readings (dots) and fitted distributions (lines) of every level.

    Parameters
    ----------
    levels : sequence of LevelFit
    ax : Axes, optional
        Axes to draw on; a new figure by default.
    """
    ax = axes_or_new(ax, size=(6.0, 4.0))
    for i, level in enumerate(levels):
        colour = _PALETTE[i % _FEW] if len(levels) <= _FEW else _shade(i / (len(levels) - 1))
        if level.quantiles.size:
            share = (np.arange(level.quantiles.size) + 0.5) / level.quantiles.size
            ax.plot(
                level.quantiles * 1e6,
                special.ndtri(share),
                ".",
                color=colour,
                markersize=3,
                label=level.name if len(levels) <= _FEW else None,
            )
        if level.distribution is not None:
            ax.plot(
                level.distribution.ppf(special.ndtr(_Z)) * 1e6, _Z, "-", color=colour, linewidth=1
            )
    drawn = [level.quantiles for level in levels if level.quantiles.size]
    if drawn:
        every = np.concatenate(drawn) * 1e6
        margin = 0.05 * float(np.ptp(every)) or 1.0
        ax.set_xlim(every.min() - margin, every.max() + margin)
    ax.set_yticks(special.ndtri(_TICKS), _LABELS)
    ax.set_ylim(-4, 4)
    ax.set_xlabel("conductance [uS]")
    ax.set_ylabel("share of readings below [%]")
    if drawn and len(levels) <= _FEW:
        ax.legend(frameon=False)
    return ax


def _shade(at: float) -> tuple[float, float, float, float]:
    from matplotlib import colormaps

    r, g, b, a = colormaps["viridis"](0.9 * at)
    return float(r), float(g), float(b), float(a)
