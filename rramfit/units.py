"""Units: SI inside rramfit, prefixed units in files and printed text.

A quantity in a file carries its unit, and is converted here and nowhere else. A resistance is
converted to a conductance, G = 1/R. Units may be written as laboratories write them (`kΩ`, `µS`,
`kOhm`, `sec`); `unit_name` returns the name used here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ACCEPTED_UNITS",
    "RoundedEstimate",
    "base_unit",
    "counted",
    "format_estimate",
    "format_number",
    "format_p_value",
    "format_percent",
    "format_quantity",
    "format_range",
    "format_rate",
    "prefixed_unit",
    "round_estimate",
    "to_si",
    "unit_name",
]

_SCALES: Mapping[str, Mapping[str, float]] = {
    "conductance": {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    "resistance": {"ohm": 1.0, "kohm": 1e3, "Mohm": 1e6, "Gohm": 1e9},
    "voltage": {"V": 1.0, "mV": 1e-3},
    "current": {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "temperature": {"K": 1.0, "degC": 1.0},
}
_ZERO_CELSIUS = 273.15  # [K]

ACCEPTED_UNITS: Mapping[str, tuple[str, ...]] = {
    "conductance": (*_SCALES["conductance"], *_SCALES["resistance"]),
    **{kind: tuple(_SCALES[kind]) for kind in ("voltage", "current", "time", "temperature")},
}
"""Accepted unit names for each kind of quantity."""

_LETTERS = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})
_OHM = re.compile("(?:\N{GREEK CAPITAL LETTER OMEGA}|\N{OHM SIGN}|[Oo]hms?|OHMS?)$")
_LOST = "\N{REPLACEMENT CHARACTER}"  # left by a wrong encoding; only one reading is possible
_WORDS: Mapping[str, str] = {
    "Kohm": "kohm", "siemens": "S", "volt": "V", "volts": "V", "ampere": "A", "amp": "A",
    "amps": "A", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "usec": "us",
    "nsec": "ns", "minute": "min", "minutes": "min", "mins": "min", "hr": "h", "hrs": "h",
    "hour": "h", "hours": "h", "day": "d", "days": "d", "kelvin": "K", "C": "degC",
    "celsius": "degC", "°C": "degC", "℃": "degC",
    f"{_LOST}S": "uS", f"{_LOST}A": "uA", f"{_LOST}s": "us", f"{_LOST}C": "degC",
    _LOST: "ohm", f"k{_LOST}": "kohm", f"K{_LOST}": "kohm", f"M{_LOST}": "Mohm",
}  # fmt: skip

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_PREFIXED = frozenset({"S", "ohm", "V", "A", "s", "J"})
_NO_EXPONENT = (1e-4, 1e6)  # numbers between these are written without an exponent
_MOST_DIGITS = 7
_TWO_BELOW, _MOST_WITH_TWO = 3.5, 4  # when the half width keeps a second digit


def unit_name(text: str) -> str:
    """Return the accepted name of a unit, or the text itself if the unit is unknown.

    Both mu characters, the Greek omega and the ohm sign, `Ohm` and common words are recognized.

    Examples
    --------
    >>> [unit_name(u) for u in ("kΩ", "µS", "kOhm", "μA", "sec", "furlong")]
    ['kohm', 'uS', 'kohm', 'uA', 's', 'furlong']
    """
    name = _OHM.sub("ohm", text.strip().translate(_LETTERS))
    return _WORDS.get(name, _WORDS.get(name.casefold() if len(name) > 2 else name, name))


def base_unit(unit: str) -> tuple[str, float] | None:
    """Return the unit without prefix and the scale to it; None for temperatures and other units.

    Examples
    --------
    >>> base_unit("kΩ"), base_unit("min"), base_unit("furlong")
    (('ohm', 1000.0), ('s', 60.0), None)
    """
    name = unit_name(unit)
    for kind, scales in _SCALES.items():
        if name in scales and kind != "temperature":
            return next(iter(scales)), scales[name]
    return None


def to_si(values: ArrayLike, unit: str, kind: str) -> NDArray[np.float64]:
    """Convert numbers from a named unit to SI.

    Parameters
    ----------
    values : array_like
        Numbers as stored in the file.
    unit : str
        Their unit, one of ``ACCEPTED_UNITS[kind]`` in any spelling that `unit_name` knows.
    kind : {"conductance", "voltage", "current", "time", "temperature"}
        Kind of quantity.

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
    unit = unit_name(unit)
    if unit not in ACCEPTED_UNITS[kind]:
        msg = f"unit {unit!r} is not one of {', '.join(ACCEPTED_UNITS[kind])}"
        raise ValueError(msg)
    x = np.asarray(values, dtype=np.float64)
    if kind == "conductance" and unit in _SCALES["resistance"]:
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / (x * _SCALES["resistance"][unit]), dtype=np.float64)
    if unit == "degC":
        return np.asarray(x + _ZERO_CELSIUS, dtype=np.float64)
    return np.asarray(x * _SCALES[kind][unit], dtype=np.float64)


def counted(n: int, one: str) -> str:
    """Format a count with its noun, in the plural unless it is 1.

    Examples
    --------
    >>> counted(1, "level"), counted(2, "level")
    ('1 level', '2 levels')
    """
    return f"{n} {one}" + ("" if n == 1 else "s")


def format_number(value: float, digits: int = 4) -> str:
    """Format a number to `digits` significant digits; no exponent from 1e-4 to 1e6.

    Examples
    --------
    >>> format_number(412.0, 2), format_number(0.012345, 3), format_number(1234567.0, 3)
    ('410', '0.0123', '1.23e+06')
    """
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text and abs(float(text)) < _NO_EXPONENT[1] else text


def format_p_value(p: float) -> str:
    """Format a p-value to one digit, down to 1e-12.

    Examples
    --------
    >>> format_p_value(0.00213), format_p_value(0.0)
    ('p = 0.002', 'p < 1e-12')
    """
    return f"p = {p:.1g}" if p >= 1e-12 else "p < 1e-12"


def format_percent(share: float, decimals: int = 1, *, signed: bool = False) -> str:
    """Format a share in per cent, with a space before the sign as in SI.

    Examples
    --------
    >>> format_percent(0.0512), format_percent(0.5, 0), format_percent(0.03, signed=True)
    ('5.1 %', '50 %', '+3.0 %')
    """
    return f"{100 * share:{'+' if signed else ''}.{decimals}f} %"


def prefixed_unit(magnitude: float, unit: str) -> tuple[float, str]:
    """Return the factor and the prefixed unit for a number of this size.

    Examples
    --------
    >>> prefixed_unit(83e-6, "S")
    (1000000.0, 'uS')
    """
    if unit not in _PREFIXED or magnitude == 0 or not math.isfinite(magnitude):
        return 1.0, "" if unit == "1" else unit
    exponent = 3 * math.floor(math.log10(abs(magnitude)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**-exponent, f"{_PREFIXES[exponent]}{unit}"


def format_quantity(value: float, unit: str, *, digits: int = 4) -> str:
    """Format a number with its unit and an SI prefix.

    Examples
    --------
    >>> format_quantity(83.3e-6, "S")
    '83.3 uS'
    >>> format_quantity(0.0123, "1")
    '0.0123'
    """
    factor, symbol = prefixed_unit(value, unit)
    # Dividing by 1e-6 and multiplying by 1e6 differ in the last bit; files show the quotient.
    return f"{format_number(value / (1 / factor), digits)} {symbol}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedEstimate:
    """A value and its interval as text, with the same decimals and the same unit."""

    value: str
    low: str
    high: str
    unit: str  # with its prefix; "" for a plain number
    factor: float  # from SI to `unit`

    @property
    def interval(self) -> str:
        """The interval without its unit."""
        return format_range(self.low, self.high)


def round_estimate(
    value: float, interval: tuple[float, float], unit: str, *, percent: bool = False
) -> RoundedEstimate:
    """Round an estimate to the decimals that its interval justifies.

    The half width of the interval sets the last digit: it keeps one significant digit, or two if
    they are below 35 and the value then has at most four (as the Particle Data Group rounds). The
    value has at least two significant digits, unless the second is below that of the half width.

    Parameters
    ----------
    value : float
    interval : (low, high)
    unit : str
        SI symbol; "1" for a plain number.
    percent : bool
        Whether to show the share in per cent.

    Examples
    --------
    >>> e = round_estimate(1.57707, (1.57566, 1.57848), "1")
    >>> e.value, e.interval
    ('1.577', '1.576\N{EN DASH}1.578')
    """
    low, high = interval
    factor, symbol = prefixed_unit(abs(value) or max(abs(low), abs(high)), unit)
    if percent:
        factor, symbol = 100.0, "%"
    numbers = [factor * x for x in (value, low, high)]
    largest = max(abs(x) for x in numbers)
    half = 0.5 * (numbers[2] - numbers[1])
    if not (half > 0 and math.isfinite(largest)):
        texts = [format_number(x) for x in numbers]
        return RoundedEstimate(
            value=texts[0], low=texts[1], high=texts[2], unit=symbol, factor=factor
        )
    decimals = _decimals(half)
    digits = decimals - _decimals(numbers[0]) + 1 if numbers[0] else math.inf
    if digits < 2 or (digits < _MOST_WITH_TWO and _leading(half) < _TWO_BELOW):
        decimals += 1
    order = math.floor(math.log10(largest))
    decimals = min(decimals, _MOST_DIGITS - 1 - order)
    if _NO_EXPONENT[0] <= largest < _NO_EXPONENT[1]:
        texts = [_fixed(x, decimals) for x in numbers]
    else:
        texts = [format_number(x, max(order + 1 + decimals, 1)) for x in numbers]
    return RoundedEstimate(value=texts[0], low=texts[1], high=texts[2], unit=symbol, factor=factor)


def format_estimate(
    value: float, interval: tuple[float, float] | None, unit: str, *, percent: bool = False
) -> str:
    """Format an estimate with its interval and unit, as `round_estimate` rounds it.

    Parameters
    ----------
    value : float
    interval : (low, high), optional
        Without it, the value is shown to four significant digits.
    unit : str
        SI symbol; "1" for a plain number.
    percent : bool
        Whether to show the share in per cent.

    Examples
    --------
    >>> format_estimate(83.2e-6, (82.39e-6, 84.01e-6), "S")
    '83.2 uS (82.4\N{EN DASH}84.0)'
    >>> format_estimate(-1.2e-7, (-1.6e-7, -0.8e-7), "S")
    '-120 nS (-160 to -80)'
    """
    if interval is None:
        return f"{format_number(100 * value)} %" if percent else format_quantity(value, unit)
    e = round_estimate(value, interval, unit, percent=percent)
    return f"{e.value} {e.unit}".rstrip() + f" ({e.interval})"


def format_range(low: str, high: str) -> str:
    """Join two formatted numbers: with a dash, or with "to" where a minus or an exponent is."""
    return (
        f"{low}\N{EN DASH}{high}" if (low + high).replace(".", "").isdigit() else f"{low} to {high}"
    )


def format_rate(rate: float, interval: tuple[float, float] | None = None) -> str:
    """Format an error rate with an exponent: two digits if its interval is within a factor of 2.

    Examples
    --------
    >>> format_rate(7.63e-6, (5.1e-7, 1.23e-4)), format_rate(0.0123, (0.0119, 0.0127))
    ('8e-6 (5e-7 to 1e-4)', '1.2e-2 (1.2e-2 to 1.3e-2)')
    """
    digits = 1
    if interval is None or 0 < interval[1] <= 2 * interval[0]:
        digits = 2
    text = _with_exponent(rate, digits)
    if interval is None:
        return text
    return f"{text} ({' to '.join(_with_exponent(x, digits) for x in interval)})"


def _with_exponent(x: float, digits: int) -> str:
    if x == 0:
        return "0"
    mantissa, _, exponent = f"{x:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _leading(x: float) -> float:
    """Return the two leading digits of `x`, as a number from 1 to 10."""
    return float(f"{x:.1e}".partition("e")[0])


def _decimals(x: float) -> int:
    """Return the decimal place of the leading digit of `x`, rounded to two digits."""
    return -math.floor(math.log10(abs(float(f"{x:.1e}"))))


def _fixed(x: float, decimals: int) -> str:
    text = f"{round(x, decimals):.{max(decimals, 0)}f}"
    return text.removeprefix("-") if float(text) == 0 else text
