"""Style of figures: colours for colour-blind readers, for light, dark and printed pages.

Figures are drawn in the colours of the light theme. In a report, each of these colours is replaced
by a CSS variable, so that one drawing serves light, dark and print. Series colours are the palette
of Okabe and Ito, darkened to a contrast of at least 3:1 on white. Maps use cividis, differences a
diverging orange–purple scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis

__all__ = [
    "CSS_NAMES",
    "DIFFERENCE_MAP",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "RAMP",
    "SERIES",
    "STYLE",
    "VALUE_MAP",
    "level_colors",
    "plain_logarithmic_ticks",
]

INK = "#1f2328"
MUTED = "#68717b"
GRID = "#e1e5ea"
PAPER = "#fefefd"
SERIES = ("#0072b2", "#cf5a00", "#00855f", "#a94a82", "#a87000", "#3487b8")
RAMP = (
    "#35246f",
    "#3d3f93",
    "#3f5da4",
    "#3878a5",
    "#2c8e9b",
    "#2f9d82",
    "#55a05e",
    "#7f9c3b",
    "#a08d1a",
)

CSS_NAMES: Mapping[str, str] = {
    INK: "--fig-ink",
    MUTED: "--fig-muted",
    GRID: "--fig-grid",
    PAPER: "--fig-paper",
    **{color: f"--fig-series-{i + 1}" for i, color in enumerate(SERIES)},
    **{color: f"--fig-ramp-{i + 1}" for i, color in enumerate(RAMP)},
}
"""CSS variable of each colour of the light theme."""

VALUE_MAP = "cividis"
DIFFERENCE_MAP = "PuOr_r"

STYLE: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "rramfit",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "xtick.minor.size": 1.6,
    "xtick.minor.width": 0.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 3.0,
    "ytick.major.width": 0.7,
    "ytick.minor.size": 1.6,
    "ytick.minor.width": 0.5,
}
"""Matplotlib settings of all figures of a report."""


def level_colors(count: int) -> Sequence[str]:
    """Return one colour per level: distinct colours for few levels, a stepped scale for many."""
    if count <= len(SERIES):
        return SERIES[:count]
    return tuple(RAMP[(k * len(RAMP)) // count] for k in range(count))


def plain_logarithmic_ticks(axis: Axis, decades: float) -> None:
    """Label a logarithmic axis with plain numbers: 1, 2 and 5 of each decade on a short axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())
