"""Matplotlib axes for plots, from a new figure and not from pyplot, which keeps global state.

Jupyter shows what a cell returns. Axes have no picture there, so new ones have: that of their
figure.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axes_or_new"]

_DOTS_PER_INCH = 150


def axes_or_new(ax: Axes | None = None, *, size: tuple[float, float] = (5.0, 3.2)) -> Axes:
    """Return `ax`, or the axes of a new figure of this size [inch] if it is None."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot(axes_class=_shown_axes())


@functools.cache
def _shown_axes() -> type[Axes]:
    from matplotlib.axes import Axes

    class ShownAxes(Axes):
        """Axes that Jupyter shows as a picture of their figure."""

        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            figure = self.get_figure(root=True)
            if figure is not None:
                figure.savefig(picture, format="png", dpi=_DOTS_PER_INCH)
            return picture.getvalue()

    return ShownAxes
