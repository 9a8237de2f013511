"""Size of a map of the array on the page, from the shape of the array."""

from __future__ import annotations

from rramfit.reporting.page.document import Figure, Width, figure
from rramfit.reporting.page.svg import Draw

__all__ = ["array_map"]

_MAP_MARGINS = (0.52, 0.42, 0.52, 0.22)
_WIDE, _LOWEST, _HIGHEST = 0.5, 0.5, 2.7  # rows/cols below which a map is wide; heights [inch]


def array_map(
    draw: Draw, shape: tuple[int, int], *, key: str, title: str, caption: str, legend_rows: int = 0
) -> Figure:
    """Draw a map of (rows, cols) cells: half the page wide for wide arrays, else a third."""
    left, bottom, right, top = _MAP_MARGINS
    aspect = shape[0] / shape[1]
    width: Width = "half" if aspect < _WIDE else "third"
    across = {"third": 2.85, "half": 4.45}[width] - left - right
    height = min(max(aspect * across, _LOWEST), _HIGHEST)
    bottom += 0.1 + 0.17 * legend_rows if legend_rows else 0.0
    return figure(
        draw,
        key=key,
        title=title,
        caption=caption,
        width=width,
        size=(left + across + right, bottom + height + top),
        margins=(left, bottom, right, top),
    )
