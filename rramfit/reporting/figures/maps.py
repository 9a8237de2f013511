"""Maps of the array: one pixel per cell, row 0 at the top.

The map is an image inside the SVG, which needs far fewer bytes than one shape per cell. Arrays
larger than 256 cells are shown in blocks: the mean of the measured cells, or the fault if a block
contains one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.reporting.page.theme import DIFFERENCE_MAP, MUTED, VALUE_MAP
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FAULT_COLORS",
    "draw_conductance_map",
    "draw_difference_map",
    "draw_fault_map",
    "draw_quantity_map",
    "draw_share_map",
    "draw_site_map",
]

Floats = NDArray[np.float64]

_MOST_PIXELS = 256
_LEGEND_AT = (-0.5, -0.46)  # [inch] from the lower left corner of the axes

FAULT_COLORS = {
    Fault.STUCK_LOW: "#2b8fd0",
    Fault.STUCK_MIDDLE: "#a8892b",
    Fault.STUCK_HIGH: "#e0601a",
    Fault.DEAD_ROW: "#b0568c",
    Fault.DEAD_COL: "#1fa37c",
    Fault.NOT_MEASURED: "#8c959f",
}
"""Colours with enough contrast on a white and on a dark page."""


def draw_conductance_map(ax: Axes, values: Floats) -> None:
    """Draw the conductance of each cell, (row, col) [S]; colours span the middle 99 %."""
    draw_quantity_map(ax, values, "S")


def draw_quantity_map(ax: Axes, values: Floats, unit: str) -> None:
    """Draw values of one unit, (row, col) [SI]; colours span the middle 99 %."""
    low, high = _middle(values, 0.005)
    scale = axis_unit(max(abs(low), abs(high)), unit)
    limits = (scale.factor * low, scale.factor * high)
    _map(ax, scale.factor * values, limits, VALUE_MAP, scale.symbol)


def draw_difference_map(ax: Axes, values: Floats, label: str, *, largest: float = np.inf) -> None:
    """Draw signed values, (row, col), on a scale symmetric about zero, limited to `largest`."""
    low, high = _middle(values, 0.01)
    end = min(max(abs(low), abs(high)), largest) or 1.0
    _map(ax, values, (-end, end), DIFFERENCE_MAP, label)


def draw_share_map(ax: Axes, values: Floats) -> None:
    """Draw the share of each cell, (row, col), in per cent from zero to the largest."""
    shares = values[np.isfinite(values)]
    top = float(shares.max()) if shares.size else 1.0
    _map(ax, 100 * values, (0.0, 100 * top or 1.0), VALUE_MAP, "%")


def draw_site_map(
    ax: Axes,
    values: Floats,
    limits: tuple[float, float],
    label: str,
    extent: tuple[float, float, float, float],
    along: tuple[str, str] = ("die x", "die y"),
) -> None:
    """Draw values over the dies of a wafer or the tiles of a die, between given limits.

    Parameters
    ----------
    ax : Axes
    values : (row, col) array
        In the unit of `label`; NaN is blank.
    limits : (low, high)
        Values at the ends of the scale of colours.
    label : str
    extent : (left, right, bottom, top)
        Coordinates of the edges.
    along : (x, y)
        Labels of the axes.
    """
    low, high = limits if limits[1] > limits[0] else (limits[0] - 0.5, limits[0] + 0.5)
    style: dict[str, Any] = {"cmap": VALUE_MAP, "vmin": low, "vmax": high, "interpolation": "none"}
    ax.imshow(values, extent=extent, **style)
    _color_bar(ax, (low, high), label, style)
    _cell_axes(ax)
    ax.set_xlabel(along[0], labelpad=2)
    ax.set_ylabel(along[1], labelpad=2)


def draw_fault_map(ax: Axes, fault: NDArray[np.int8]) -> None:
    """Draw faults by kind, (row, col) codes of `Fault`; healthy cells are blank."""
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.transforms import ScaledTranslation

    extent = _extent(fault.shape)
    reduced = _blocks(fault.astype(float)).max(axis=(1, 3)).astype(int)
    colors = np.zeros((len(Fault), 4))
    for kind, color in FAULT_COLORS.items():
        colors[kind] = to_rgba(color)
    ax.imshow(colors[reduced], interpolation="none", extent=extent)
    counts = {kind: int((fault == kind).sum()) for kind in FAULT_COLORS}
    handles = [
        Patch(color=FAULT_COLORS[kind], label=f"{_label(kind)} ({n:,})")
        for kind, n in counts.items()
        if n
    ]
    figure = ax.figure
    if handles and isinstance(figure, Figure):
        below = ScaledTranslation(*_LEGEND_AT, figure.dpi_scale_trans)
        ax.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            bbox_transform=ax.transAxes + below,
            ncols=2,
            handlelength=0.9,
            handleheight=0.9,
            columnspacing=0.8,
            handletextpad=0.5,
            fontsize=8,
            borderaxespad=0,
        )
    _cell_axes(ax)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)


def _label(kind: Fault) -> str:
    return "dead column" if kind is Fault.DEAD_COL else kind.label


def _map(ax: Axes, values: Floats, limits: tuple[float, float], cmap: str, label: str) -> None:
    low, high = limits if limits[1] > limits[0] else (limits[0] - 0.5, limits[0] + 0.5)
    blocks = _blocks(values)
    seen = np.isfinite(blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        reduced = np.where(seen, blocks, 0).sum((1, 3)) / seen.sum((1, 3))
    style: dict[str, Any] = {"cmap": cmap, "vmin": low, "vmax": high, "interpolation": "none"}
    ax.imshow(reduced, extent=_extent(values.shape), **style)
    _color_bar(ax, (low, high), label, style)
    _cell_axes(ax)


def _color_bar(ax: Axes, limits: tuple[float, float], label: str, style: dict[str, Any]) -> None:
    low, high = limits
    bar = ax.inset_axes((1.03, 0.0, 0.045, 1.0))
    bar.imshow(
        np.linspace(high, low, 64)[:, None], aspect="auto", extent=(0, 1, low, high), **style
    )
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.tick_params(length=2, pad=2)
    bar.grid(visible=False)
    for spine in bar.spines.values():
        spine.set_visible(False)
    bar.set_title(label, fontsize=8.5, loc="left", pad=4)


def _cell_axes(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.grid(visible=False)
    ax.set_xlabel("column", labelpad=2)
    ax.set_ylabel("row", labelpad=2)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 8, 10]))
    for spine in ax.spines.values():
        spine.set_color(MUTED)


def _extent(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    return -0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5


def _blocks(values: Floats) -> Floats:
    """Reshape to (rows, r, cols, c), so that neither side of the map exceeds `_MOST_PIXELS`."""
    r, c = (-(-n // _MOST_PIXELS) for n in values.shape)
    pad = (-values.shape[0] % r, -values.shape[1] % c)
    padded = np.pad(values, ((0, pad[0]), (0, pad[1])), mode="edge")
    return padded.reshape(padded.shape[0] // r, r, padded.shape[1] // c, c)


def _middle(values: Floats, tail: float) -> tuple[float, float]:
    seen = values[np.isfinite(values)]
    if not seen.size:
        return 0.0, 1.0
    low, high = np.quantile(seen, (tail, 1 - tail))
    return float(low), float(high)
