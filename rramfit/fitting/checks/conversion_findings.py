"""Findings on a converted log: rows that could not be used.

The finding lists their lines by reason. If more than 10 % of the rows are unusable, the log is
damaged or does not match the layout file, and the remaining rows may be a biased sample.
"""

from __future__ import annotations

from rramfit.fitting.results.result import Finding, Verdict
from rramfit.measurement.file.origin import Origin
from rramfit.units import counted

__all__ = ["judge_conversion"]

_SEVERE = 0.1  # share of bad rows


def judge_conversion(origin: Origin) -> Verdict:
    """Report the rows that were skipped.

    Parameters
    ----------
    origin : Origin
    """
    if not origin.bad:
        return Verdict()
    reasons = "; ".join(f"{bad.rows} in {bad}" for bad in origin.bad)
    rows = (
        f"{origin.bad_rows} of {counted(origin.rows, 'row')} of the log "
        f"{'was' if origin.bad_rows == 1 else 'were'} skipped"
    )
    severe = origin.bad_rows > _SEVERE * origin.rows
    remedy = "Check these lines of the log"
    remedy += ", and whether the layout file matches the log." if severe else "."
    affected = origin.bad_rows / max(origin.rows, 1)
    return Verdict(
        (
            Finding(
                f"{rows}: {reasons}.",
                remedy,
                severe=severe,
                affected=affected,
                code="rows-not-converted",
            ),
        )
    )
