"""Which cells share a line offset: what `axis` and `period` of a card's `LineOffsets` mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "line_groups"]

Axis = Literal["row", "col"]


def line_groups(shape: tuple[int, int], axis: Axis, period: int) -> NDArray[np.int64]:
    """Return the group of every cell, (row, col): its line, and the other address modulo `period`.

    Parameters
    ----------
    shape : (rows, cols)
    axis : {"row", "col"}
        Whose cells share an offset.
    period : int
        1 for whole lines.

    Examples
    --------
    >>> line_groups((4, 2), "col", 2)
    array([[0, 2],
           [1, 3],
           [0, 2],
           [1, 3]])
    """
    r, c = np.indices(shape)
    line, other = (r, c) if axis == "row" else (c, r)
    return np.asarray(line * period + other % period, dtype=np.int64)
