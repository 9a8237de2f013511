"""What a bake shows about rare failures: bounds on shares and rates, and the cells that are needed.

Of n cells k failed. The share has the exact interval of Clopper and Pearson; where none failed its
upper limit at confidence c is 1 − (1 − c)^(1/n), about 3/n at 95 %. The rate of failures per cell
and hour over n·t·AF cell hours has the upper limit χ²_c(2k + 2)/(2·n·t·AF), with AF the
acceleration from use to bake. To show a share below p with no failure takes ln(1 − c)/ln(1 − p)
cells. These are the bounds that the qualification of non-volatile memories uses: JESD22-A117
(retention bakes), JESD47 (sample sizes) and JEP122 (acceleration by temperature).
"""

from __future__ import annotations

import math

from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.errors import FitError

__all__ = ["cells_needed", "failure_rate_bound", "failure_share", "share_bound"]

CONFIDENCE = 0.95


def failure_share(failed: int, cells: int) -> Quantity:
    """Return the share of failed cells with its exact two-sided 95 % interval.

    Examples
    --------
    >>> q = failure_share(0, 1000)
    >>> q.value, round(q.ci95[1], 5)
    (0.0, 0.00368)
    """
    _check(failed, cells)
    low = float(special.betaincinv(failed, cells - failed + 1, 0.025)) if failed else 0.0
    high = float(special.betaincinv(failed + 1, cells - failed, 0.975)) if failed < cells else 1.0
    share = failed / cells
    stderr = math.sqrt((failed + 0.5) * (cells - failed + 0.5) / (cells + 1) ** 2 / (cells + 2))
    return Quantity.within(share, stderr, "1", (low, high))


def share_bound(failed: int, cells: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper limit of the share of failed cells.

    Examples
    --------
    >>> round(share_bound(0, 3000), 6)  # three over n
    0.000998
    """
    _check(failed, cells)
    if failed == cells:
        return 1.0
    return float(special.betaincinv(failed + 1, cells - failed, confidence))


def failure_rate_bound(
    failed: int, cells: int, hours: float, *, acceleration: float = 1.0, confidence: float = 0.95
) -> float:
    """Return the upper limit of the failure rate of a cell in use [1/h]; in FIT, times 1e9.

    Examples
    --------
    >>> round(1e9 * failure_rate_bound(0, 77 * 3, 1000.0, acceleration=78.6, confidence=0.6), 1)
    50.5
    """
    _check(failed, cells)
    if not (hours > 0 and acceleration > 0):
        msg = (
            f"hours = {hours}, acceleration = {acceleration}; expected numbers above 0. State the "
            "time of the bake and its acceleration"
        )
        raise FitError(msg)
    chi2 = 2 * float(special.gammaincinv(failed + 1, confidence))
    return chi2 / (2 * cells * hours * acceleration)


def cells_needed(share: float, *, failed: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return the number of cells that show a share below `share` if `failed` of them fail.

    Examples
    --------
    >>> cells_needed(1e-3), cells_needed(1e-6)
    (2995, 2995731)
    """
    if not (0 < share < 1 and 0 < confidence < 1 and failed >= 0):
        msg = (
            f"share = {share}, confidence = {confidence}, failed = {failed}; expected a share and "
            "a confidence between 0 and 1, and a count of 0 or more. Correct the value"
        )
        raise FitError(msg)
    if failed == 0:
        return math.ceil(math.log1p(-confidence) / math.log1p(-share))
    low, high = failed + 1, failed + 2
    while share_bound(failed, high, confidence=confidence) > share:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if share_bound(failed, middle, confidence=confidence) > share:
            low = middle
        else:
            high = middle
    return high


def _check(failed: int, cells: int) -> None:
    if not 0 <= failed <= cells or cells < 1:
        msg = (
            f"{failed} of {cells} cells failed; expected at least 1 cell and at most as many "
            "failures as cells. Count the cells of the bake"
        )
        raise FitError(msg)
