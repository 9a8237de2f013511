"""Figure of the held-out check: coverage of the predictive intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card.quality import HeldOut
from rramfit.reporting.page.theme import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_coverage"]

_NOMINAL = (("coverage50", 50.0, "o"), ("coverage90", 90.0, "s"), ("coverage99", 99.0, "D"))
_FEW = 10


def draw_coverage(ax: Axes, heldout: Sequence[HeldOut], names: Mapping[int, str]) -> None:
    """Draw the coverage of predictive intervals by level (points) and the nominal one (lines)."""
    few = len(heldout) <= _FEW
    x = np.arange(len(heldout)) if few else np.array([h.level for h in heldout])
    for (name, nominal, marker), color in zip(_NOMINAL, SERIES, strict=False):
        y = np.array([100 * getattr(h, name) for h in heldout])
        ax.axhline(nominal, color=color, linewidth=1.0, dashes=(4, 3))
        ax.plot(
            x,
            y,
            marker,
            color=color,
            markersize=5 if few else 3,
            linestyle="none",
            label=f"{nominal:g} % interval",
        )
    if few:
        ax.set_xticks(x, [names[h.level] for h in heldout])
        ax.set_xlim(-0.6, len(heldout) - 0.4)
        ax.grid(visible=False, axis="x")
    else:
        ax.set_xlabel("level")
    ax.set_ylim(0, 118)
    ax.set_yticks((0, 25, 50, 75, 100))
    ax.set_ylabel("held-out readings inside [%]")
    ax.legend(loc="upper left", ncols=3, borderaxespad=0.1, columnspacing=1.0, handletextpad=0.3)
