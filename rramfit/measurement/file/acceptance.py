"""Which programmed cells count as accepted.

If the file has the tester's flag `verified`, that flag decides. Otherwise a cell is accepted if its
reading is inside the verify window of its level. Without a window or a known pattern, every cell
counts as accepted. A cell that has no reading, or was not programmed in a sweep, is never inside a
window. A window may have only one limit; NaN is no limit. Files store readings as float32, so the
limits are widened by the rounding error of float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import Bools, Floats, Levels

__all__ = ["acceptance_source", "inside_window"]


_ROUNDING = float(np.finfo(np.float32).eps)  # relative rounding error of float32


def acceptance_source(levels: Levels | None, *, verified_given: bool, levels_known: bool) -> str:
    """Return what decides acceptance: "verified", "window" or "unknown"."""
    if verified_given:
        return "verified"
    windowed = levels is not None and (levels.lower is not None or levels.upper is not None)
    return "window" if windowed and levels_known else "unknown"


def inside_window(conductance: Floats, level: NDArray[np.integer], levels: Levels) -> Bools:
    """Return which cells have a reading inside the verify window of their target level.

    Parameters
    ----------
    conductance : (…, row, col) array
        [S]
    level : (…, row, col) int array
        Target level; -1 = not programmed, never inside a window.
    levels : Levels
    """
    k = np.maximum(level, 0)
    inside: Bools = np.isfinite(conductance) & (level >= 0)
    if levels.lower is not None:
        inside &= ~(conductance < (levels.lower - _ROUNDING * np.abs(levels.lower))[k])
    if levels.upper is not None:
        inside &= ~(conductance > (levels.upper + _ROUNDING * np.abs(levels.upper))[k])
    return inside
