"""Axes to draw on: a figure of its own, never pyplot's, which keeps global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["own_axes"]


def own_axes(ax: Axes | None = None) -> Axes:
    """Give back `ax`, or the axes of a new figure where there is none."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(5.0, 3.2), layout="constrained").subplots()
