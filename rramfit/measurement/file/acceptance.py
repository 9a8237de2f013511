"""Which programmed cells count as accepted.

The tester's own flag `verified` decides where the file has it; else the verify window, read back;
else nothing is known and every cell counts as accepted. A cell without a reading, or not programmed
in a sweep, is never inside a window. A window open on one side has no limit there. Files hold
readings as float32, so a reading on a limit counts as inside within the rounding of float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import Bools, Floats, Levels

__all__ = ["acceptance_source", "inside_window"]


_ROUNDING = float(np.finfo(np.float32).eps)  # of the limit, the spacing of float32


def acceptance_source(levels: Levels | None, *, verified_given: bool, levels_known: bool) -> str:
    """Say where acceptance comes from: "verified", "window" or "unknown"."""
    if verified_given:
        return "verified"
    windowed = levels is not None and (levels.lower is not None or levels.upper is not None)
    return "window" if windowed and levels_known else "unknown"


def inside_window(conductance: Floats, level: NDArray[np.integer], levels: Levels) -> Bools:
    """Tell which cells read back inside the window of the level asked for.

    Parameters
    ----------
    conductance : (…, row, col) array
        [S]
    level : (…, row, col) int array
        -1 = not programmed, never inside.
    levels : Levels
    """
    k = np.maximum(level, 0)
    inside: Bools = np.isfinite(conductance) & (level >= 0)
    if levels.lower is not None:
        inside &= conductance >= (levels.lower - _ROUNDING * np.abs(levels.lower))[k]
    if levels.upper is not None:
        inside &= conductance <= (levels.upper + _ROUNDING * np.abs(levels.upper))[k]
    return inside
