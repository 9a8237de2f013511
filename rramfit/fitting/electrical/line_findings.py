"""Findings of a line-resistance fit: convergence, sign, identified resistances, outliers, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.electrical.line_noise import ErrorModel
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.second_population import format_ranges
from rramfit.units import counted

__all__ = ["line_findings", "silent_columns"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MANY_OUTLIERS = 0.05
_SILENT, _CONDUCTING = 0.02, 0.2  # current over V·G of a silent column; of the median column
_NOISY = 0.2  # relative noise above which the model must be wrong


def line_findings(
    *,
    gain: float,
    converged: bool,
    errors: ErrorModel,
    measured: Bools,
    unidentified: list[str],
    sums: list[str],
    inactive_rows: str,
) -> list[Finding]:
    """Return the findings of a fit, with what to measure instead.

    Parameters
    ----------
    gain : float
        Fitted gain of the currents.
    converged : bool
    errors : ErrorModel
    measured : (pattern, col) bool array
        Usable currents, outliers included.
    unidentified, sums : list of str
        Resistances that are not identified, and sums of them that are.
    inactive_rows : {"grounded", "floating", "gated"}
    """
    out = []
    if not converged:
        out.append(
            Finding(
                "The fit of the line resistances did not converge",
                "Check the residuals between measured and predicted currents",
                severe=True,
                code="lines-not-converged",
            )
        )
    if gain <= 0:
        out.append(
            Finding(
                f"Measured currents are {gain:.3g} times the predicted currents, so their sign is "
                "inverted",
                "Count currents that leave the columns below the last row as positive",
                severe=True,
                code="currents-inverted",
            )
        )
    if unidentified:
        names = ", ".join(_readable(name) for name in unidentified)
        only = f", only {', '.join(_readable(name) for name in sums)}" if sums else ""
        remedy = (
            "Ground the rows without input, because floating rows hide the current paths"
            if inactive_rows == "floating"
            else "Add patterns with few active rows, near and far from the sense amplifiers "
            "(`rramfit measurement plan-lines`)"
        )
        out.append(
            Finding(
                f"The input patterns do not identify {names}{only}",
                remedy,
                code="lines-not-identified",
            )
        )
    outliers = int((measured & ~errors.used).sum())
    if outliers > _MANY_OUTLIERS * measured.sum():
        out.append(
            Finding(
                f"{outliers} of {int(measured.sum())} currents are outliers and were left out",
                "Read the cells again, and check for broken columns",
                code="outlying-currents",
            )
        )
    if errors.noise > _NOISY:
        out.append(
            Finding(
                f"Currents deviate from the line model by {100 * errors.noise:.0f} %",
                "Check the units, the order of rows and columns, and the state of inactive rows",
                severe=True,
                code="line-model-misfit",
            )
        )
    return out


def _readable(name: str) -> str:
    return name.replace("_", " ")


def silent_columns(current: Floats, ideal: Floats) -> tuple[Bools, list[Finding]]:
    """Find columns without current although their cells conduct, such as a broken bitline.

    Parameters
    ----------
    current, ideal : (pattern, col) arrays
        Measured currents, and those of ideal wires [A].
    """
    carried = np.nansum(np.abs(current), axis=0)
    due = np.nansum(np.where(np.isfinite(current), np.abs(ideal), np.nan), axis=0)
    share = np.divide(carried, due, out=np.full(due.shape, np.nan), where=due > 0)
    seen = share[np.isfinite(share)]
    silent: Bools = np.zeros(due.shape, dtype=np.bool_)
    if seen.size and np.median(seen) > _CONDUCTING:
        silent = np.nan_to_num(share, nan=1.0) < _SILENT
    columns = np.flatnonzero(silent)
    if not columns.size:
        return silent, []
    one = columns.size == 1
    return silent, [
        Finding(
            f"{counted(columns.size, 'column')} of /mvm {'carries' if one else 'carry'} no current "
            f"although the cells conduct: {format_ranges(columns)}. The fit leaves "
            f"{'it' if one else 'them'} out",
            "Check the bitline, the sense amplifier and the contact of these columns",
            affected=columns.size / due.size,
            code="column-without-current",
        )
    ]
