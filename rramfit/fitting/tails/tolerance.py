"""Statistical tolerance intervals (ISO 16269-6): where 99.9 % of cells are, with 95 % confidence.

For a normal distribution, or a lognormal one on ln G, the limits are mean ± k·std. With the mean
known as from n independent cells and the standard deviation with ν degrees of freedom, k solves

    one-sided   P(T ≤ k·√n) = C,  T noncentral t of ν degrees of freedom and z_P·√n,
    two-sided   E_z P(χ²_ν ≥ ν·r(z)²/k²) = C,  z ~ N(0, 1/n),  Φ(z + r) − Φ(z − r) = P.

Without a distribution the limits are readings: the m-th lowest and the m-th highest hold a share P
of the population with confidence C if P(Bin(n, 1 − P) ≥ 2m) ≥ C (Wilks, Annals of Mathematical
Statistics 12 (1941) 91). For P = 99.9 % and C = 95 % that needs 4,742 cells. Cells that share lines
or a smooth field count as fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

__all__ = [
    "CONFIDENCE",
    "COVERAGE",
    "Tolerance",
    "cells_for_free_limits",
    "free_limits",
    "normal_factor",
    "normal_factor_two_sided",
    "removed_readings",
]

Floats = NDArray[np.float64]
Method = Literal["normal", "lognormal", "distribution-free"]

COVERAGE, CONFIDENCE = 0.999, 0.95

_NODES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """A tolerance interval, or how many cells it needs.

    Attributes
    ----------
    method : {"normal", "lognormal", "distribution-free"}, optional
        None if there is no interval.
    lower, upper : float, optional
        [S]
    cells : float
        Independent cells that it rests on.
    cells_needed : int, optional
        Cells that an interval without a distribution needs, where there is none.
    """

    method: Method | None
    lower: float | None
    upper: float | None
    cells: float
    cells_needed: int | None = None


def normal_factor(
    n: float, df: float, *, coverage: float = COVERAGE, confidence: float = CONFIDENCE
) -> float:
    """Return k of a one-sided normal tolerance limit.

    Parameters
    ----------
    n : float
        Independent values behind the mean.
    df : float
        Degrees of freedom of the standard deviation.

    Examples
    --------
    >>> round(normal_factor(10, 9, coverage=0.95, confidence=0.95), 3)
    2.911
    """
    from scipy import stats

    root = math.sqrt(n)
    return float(stats.nct.ppf(confidence, df, float(special.ndtri(coverage)) * root)) / root


def normal_factor_two_sided(
    n: float, df: float, *, coverage: float = COVERAGE, confidence: float = CONFIDENCE
) -> float:
    """Return k of a two-sided normal tolerance interval; parameters as for `normal_factor`.

    Examples
    --------
    >>> round(normal_factor_two_sided(10, 9, coverage=0.95, confidence=0.95), 3)
    3.393
    """
    x, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    weight = weight / weight.sum()
    r = np.array([_half_width(abs(z), coverage) for z in x / math.sqrt(n)])

    def excess(k: float) -> float:
        return float(weight @ special.chdtrc(df, df * (r / k) ** 2)) - confidence

    least = float(special.ndtri(0.5 * (1 + coverage)))
    most = 2 * least
    while excess(most) < 0:
        most *= 2
    return float(optimize.brentq(excess, 0.5 * least, most, xtol=1e-9))


def _half_width(z: float, coverage: float) -> float:
    """Return r with Φ(z + r) − Φ(z − r) = coverage."""
    return float(
        optimize.brentq(
            lambda r: float(special.ndtr(z + r) - special.ndtr(z - r)) - coverage,
            0.0,
            z + 40.0,
            xtol=1e-12,
        )
    )


def removed_readings(
    n: float, *, coverage: float = COVERAGE, confidence: float = CONFIDENCE
) -> int:
    """Return how many readings, low and high together, can be outside; 0 if n is too small."""
    if n < 1 or 1 - coverage**n < confidence:
        return 0
    low, high = 1, max(int(n * (1 - coverage)) + 1, 1)
    while low < high:  # P(Bin(n, 1 − P) ≥ m) falls with m
        middle = (low + high + 1) // 2
        enough = float(special.betainc(middle, n - middle + 1, 1 - coverage)) >= confidence
        low, high = (middle, high) if enough else (low, middle - 1)
    return low


def cells_for_free_limits(
    *, coverage: float = COVERAGE, confidence: float = CONFIDENCE, sides: int = 2
) -> int:
    """Return the cells that limits without a distribution need.

    Examples
    --------
    >>> cells_for_free_limits(), cells_for_free_limits(sides=1)
    (4742, 2995)
    """
    n = math.ceil(math.log(1 - confidence) / math.log(coverage))
    if sides == 1:
        return n
    while float(special.betainc(2, n - 1, 1 - coverage)) < confidence:
        n += 1
    return n


def free_limits(
    values: Floats,
    inflation: float,
    *,
    coverage: float = COVERAGE,
    confidence: float = CONFIDENCE,
) -> Tolerance:
    """Return a two-sided tolerance interval by order statistics.

    Parameters
    ----------
    values : (n,) array
        One reading of each cell.
    inflation : float
        Cells that count as one, because they share lines or a smooth field.
    """
    n = values.size / max(inflation, 1.0)
    outside = removed_readings(n, coverage=coverage, confidence=confidence)
    if outside < 2:
        needed = cells_for_free_limits(coverage=coverage, confidence=confidence)
        return Tolerance(
            method=None,
            lower=None,
            upper=None,
            cells=n,
            cells_needed=math.ceil(needed * max(inflation, 1.0)),
        )
    x = np.sort(values)
    each = max(int(outside // 2 * max(inflation, 1.0)), 1)
    return Tolerance(
        method="distribution-free",
        lower=float(x[each - 1]),
        upper=float(x[x.size - each]),
        cells=n,
    )
