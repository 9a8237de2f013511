"""An axis with one position per array: labels for few arrays, names on hover for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["array_axis", "array_margins"]

_MOST_LABELS = 40
_MOST_NAMES = 1000  # on hover


def array_margins(arrays: int) -> tuple[float, float, float, float]:
    """Return the margins of a figure over arrays: left, bottom, right, top [inch]."""
    return 0.8, 1.2 if arrays <= _MOST_LABELS else 0.42, 0.12, 0.35


def array_axis(ax: Axes, names: Sequence[str]) -> None:
    """Put the arrays on the x axis, at 0, 1 and so on."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(-0.7, len(names) - 0.3)
    ax.grid(visible=False, axis="x")
    if len(names) <= _MOST_NAMES:
        ax.set_xticks(range(len(names)), names, rotation=90)
    if len(names) <= _MOST_LABELS:
        ax.tick_params(axis="x", labelsize=7)
        return
    ax.set_xlabel("arrays")
    if len(names) <= _MOST_NAMES:
        ax.tick_params(axis="x", bottom=False, labelbottom=False)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
