"""Findings on periodic patterns over rows or columns, which a decoder or multiplexer causes.

The test is `rramfit.fitting.statistics.over_array.periodic.periodic_pattern`. Offsets that repeat
over the rows of a column, but differ from column to column, are line offsets
(`rramfit.fitting.statistics.over_array.lines`) and are reported with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.statistics.over_array.periodic import FALSE_ALARM, periodic_pattern
from rramfit.units import format_p_value

__all__ = ["find_periodic"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LARGE = 0.5  # amplitude, in standard deviations of a level, that invalidates the fits


def find_periodic(
    residual: Floats, *, what: str, counts: tuple[Integers, Integers] | None = None
) -> list[Finding]:
    """Check for periodic patterns over rows and columns.

    Parameters
    ----------
    residual : (row, col) array
        In standard deviations of a level.
    what : str
        Name of the residuals, a plural, that opens the finding.
    counts : two (line, level) int arrays, optional
        Readings of each level in each row, and in each column; None if all have the same level.
    """
    out = []
    for axis, word in ((0, "row"), (1, "column")):
        found = periodic_pattern(residual, axis, counts=None if counts is None else counts[axis])
        if found is None or found.p_value > 0.5 * FALSE_ALARM:
            continue
        largest = ""
        if found.profile.size:
            k = int(np.argmax(np.abs(found.profile)))
            largest = (
                f"; {word}s {k} + {found.profile.size}·i deviate most, by "
                f"{found.profile[k]:+.2g} standard deviations"
            )
        out.append(
            Finding(
                f"{what} repeat every {found.period:.3g} {word}s or a multiple of it, with an "
                f"amplitude of {found.amplitude:.2g} standard deviations of a level "
                f"({format_p_value(found.p_value)}){largest}.",
                f"Check what the {word}s at this distance share, such as a decoder input, a "
                "multiplexer or one programming operation, and measure again: cells do not cause "
                "such a pattern.",
                severe=found.amplitude > _LARGE,
                code="periodic-offsets",
            )
        )
    return out
