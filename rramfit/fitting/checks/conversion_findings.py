"""What bringing a lab's file to layout 1.0 left out: rows of a log that could not be used.

They are named with their lines, reason by reason. A log that loses more than a tenth of its rows
does not have the layout that it was read with, or was spoilt; what is left of it is no fair sample.
"""

from __future__ import annotations

from rramfit.fitting.result import Finding, Verdict
from rramfit.measurement.file.origin import Origin

__all__ = ["judge_conversion"]

_SPOILT = 0.1  # share of bad rows


def judge_conversion(origin: Origin) -> Verdict:
    """Name the rows that were left out.

    Parameters
    ----------
    origin : Origin
    """
    if not origin.bad:
        return Verdict()
    reasons = "; ".join(f"{len(bad.lines)} in {bad}" for bad in origin.bad)
    rows = f"{origin.bad_rows} of {origin.rows} rows of the log were left out"
    severe = origin.bad_rows > _SPOILT * origin.rows
    remedy = "look at these lines of the log"
    if severe:
        remedy += ", and whether the layout file says what stands there"
    return Verdict((Finding(f"{rows}: {reasons}", remedy, severe=severe),))
