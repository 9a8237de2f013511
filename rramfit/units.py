"""Units: SI inside, the laboratory's prefixes at the edges.

A quantity in a file carries its unit; it is converted here and nowhere else. A resistance is read
as the conductance it stands for, G = 1/R.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ACCEPTED_UNITS", "format_quantity", "to_si"]

_SCALES: Mapping[str, Mapping[str, float]] = {
    "conductance": {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    "resistance": {"ohm": 1.0, "kohm": 1e3, "Mohm": 1e6},
    "voltage": {"V": 1.0, "mV": 1e-3},
    "current": {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0},
    "temperature": {"K": 1.0},
}

ACCEPTED_UNITS: Mapping[str, tuple[str, ...]] = {
    "conductance": (*_SCALES["conductance"], *_SCALES["resistance"]),
    **{kind: tuple(_SCALES[kind]) for kind in ("voltage", "current", "time", "temperature")},
}
"""Accepted unit names for each kind of quantity."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_PREFIXED = frozenset({"S", "ohm", "V", "A", "s"})


def to_si(values: ArrayLike, unit: str, kind: str) -> NDArray[np.float64]:
    """Convert numbers from a named unit to SI.

    Parameters
    ----------
    values : array_like
        Numbers as they stand in the file.
    unit : str
        Their unit, one of ``ACCEPTED_UNITS[kind]``.
    kind : {"conductance", "voltage", "current", "time", "temperature"}
        What the numbers are.

    Returns
    -------
    ndarray of float64
        In S, V, A, s or K. A resistance of zero becomes an infinite conductance.

    Raises
    ------
    ValueError
        If the unit is not accepted for this kind.

    Examples
    --------
    >>> to_si([5.0, 12.0], "kohm", "conductance") * 1e6
    array([200.        ,  83.33333333])
    """
    if unit not in ACCEPTED_UNITS[kind]:
        msg = f"unit {unit!r} is not one of {', '.join(ACCEPTED_UNITS[kind])}"
        raise ValueError(msg)
    x = np.asarray(values, dtype=np.float64)
    if kind == "conductance" and unit in _SCALES["resistance"]:
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / (x * _SCALES["resistance"][unit]), dtype=np.float64)
    return np.asarray(x * _SCALES[kind][unit], dtype=np.float64)


def format_quantity(value: float, unit: str, *, digits: int = 4) -> str:
    """Write a number the way the laboratory says it.

    Examples
    --------
    >>> format_quantity(83.3e-6, "S")
    '83.3 uS'
    >>> format_quantity(0.0123, "1")
    '0.0123'
    """
    if unit in ("1", ""):
        return f"{value:.{digits}g}"
    if unit not in _PREFIXED or value == 0 or not math.isfinite(value):
        return f"{value:.{digits}g} {unit}"
    exponent = 3 * math.floor(math.log10(abs(value)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10.0**exponent:.{digits}g} {_PREFIXES[exponent]}{unit}"
