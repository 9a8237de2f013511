"""Format numbers for reports: SI prefixes, units as symbols, digits that the interval justifies.

`format_quantity_parts` and `with_interval` format a quantity of a card. They round it with
`rramfit.units.round_estimate`, so that value and bounds share one unit and one number of decimals,
and write the unit with its symbol (µS, kΩ, V⁻¹). Shares are given in per cent.

Not here: plain text for a terminal (`rramfit.units.format_estimate`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rramfit.card.quantity import Quantity
from rramfit.units import (
    format_number,
    format_quantity,
    format_range,
    prefixed_unit,
    round_estimate,
)

__all__ = [
    "AxisUnit",
    "FormattedQuantity",
    "axis_unit",
    "capacity",
    "counted",
    "duration",
    "fit_name",
    "format_quantity_parts",
    "interval_text",
    "listed",
    "number",
    "share",
    "some_of",
    "unit_symbol",
    "with_interval",
    "with_unit",
]

_MINUS = "\N{MINUS SIGN}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_FINEST_BITS = 5e-4  # half an interval of a capacity that is shown
_LENGTHS = ((120.0, 1.0, ""), (3600.0, 60.0, "min"), (172_800.0, 3600.0, "h"))  # [s]
_FIT_NAMES = {
    "blind_levels": "levels without labels",
    "conversion": "file conversion",
    "diagnostics": "data checks",
    "failure": "programming failure",
    "heldout": "held-out check",
    "iv": "I–V",
    "line": "wire resistance",
    "pulses": "pulse response",
    "readout": "read-out chain",
    "tails": "tails and error rates",
}


def unit_symbol(unit: str) -> str:
    """Return the printed symbol of a unit.

    Examples
    --------
    >>> unit_symbol("uS"), unit_symbol("kohm"), unit_symbol("1"), unit_symbol("1/V")
    ('µS', 'kΩ', '', 'V⁻¹')
    """
    if unit in ("1", ""):
        return ""
    if unit == "bit":
        return "bits"
    symbol = unit.replace("ohm", "Ω")
    if symbol.startswith("1/"):
        symbol = f"{symbol[2:]}⁻¹"
    return f"µ{symbol[1:]}" if len(symbol) > 1 and symbol[0] == "u" else symbol


def number(value: float, digits: int = 3) -> str:
    """Format a plain number to `digits` significant digits.

    Examples
    --------
    >>> number(0.012345), number(1234567.0), number(-2.5), number(110.0, 2)
    ('0.0123', '1.23e+06', '−2.5', '110')
    """
    return format_number(value, digits).replace("-", _MINUS)


def with_unit(value: float, unit: str, *, digits: int = 3) -> str:
    r"""Format a number with its unit and SI prefix.

    Examples
    --------
    >>> with_unit(83.31e-6, "S")
    '83.3\xa0µS'
    """
    text, _, symbol = format_quantity(value, unit, digits=digits).partition(" ")
    text = text.replace("-", _MINUS)
    return f"{text}{_NO_BREAK}{unit_symbol(symbol)}".rstrip(_NO_BREAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormattedQuantity:
    """A quantity as text: its parts share one unit and one number of decimals."""

    value: str
    interval: str  # 95 % interval without its unit; empty if the number was given, not estimated
    stderr: str
    unit: str

    @property
    def value_with_unit(self) -> str:
        """Value and unit."""
        return f"{self.value}{_NO_BREAK}{self.unit}".rstrip(_NO_BREAK)

    @property
    def text(self) -> str:
        """Value, unit and interval."""
        return (
            f"{self.value_with_unit} ({self.interval})" if self.interval else self.value_with_unit
        )


def format_quantity_parts(q: Quantity, *, percent: bool = False) -> FormattedQuantity:
    r"""Format a quantity with the digits that its interval justifies.

    Examples
    --------
    >>> f = format_quantity_parts(Quantity.estimated(83.2e-6, 0.412e-6, "S"))
    >>> f.value_with_unit, f.interval, f.stderr
    ('83.2\xa0µS', '82.4–84.0', '0.41')
    >>> format_quantity_parts(Quantity.estimated(0.0123, 0.002, "1"), percent=True).value_with_unit
    '1.2\xa0%'
    """
    if q.stderr is None or q.ci95 is None:
        text = f"{number(100 * q.value, 4)}{_NO_BREAK}%" if percent else _given(q)
        value, _, unit = text.partition(_NO_BREAK)
        return FormattedQuantity(value=value, interval="", stderr="", unit=unit)
    e = round_estimate(q.value, q.ci95, q.unit, percent=percent)
    value, interval, stderr = (
        text.replace("-", _MINUS)
        for text in (e.value, e.interval, format_number(q.stderr * e.factor, 2))
    )
    return FormattedQuantity(
        value=value, interval=interval, stderr=stderr, unit=unit_symbol(e.unit)
    )


def _given(q: Quantity) -> str:
    return duration(q.value) if q.unit == "s" else with_unit(q.value, q.unit, digits=4)


def with_interval(q: Quantity, *, percent: bool = False, noun: str = "") -> str:
    r"""Format a quantity with its interval, for running text; `noun` is what a plain number counts.

    Examples
    --------
    >>> with_interval(Quantity.estimated(83.2e-6, 0.412e-6, "S"))
    '83.2\xa0µS (82.4–84.0)'
    >>> with_interval(Quantity.estimated(1.577, 0.0007, "1"), noun="bits")
    '1.577\xa0bits (1.576–1.578)'
    """
    f = format_quantity_parts(q, percent=percent)
    value = f"{f.value}{_NO_BREAK}{f.unit or noun}".rstrip(_NO_BREAK)
    return f"{value} ({f.interval})" if f.interval else value


def capacity(q: Quantity) -> FormattedQuantity:
    r"""Format bits per cell, to a thousandth of a bit at the finest.

    Examples
    --------
    >>> f = capacity(Quantity.estimated(0.9999999, 1e-9, "1"))
    >>> f.value_with_unit, f.interval
    ('1.000\xa0bits', '')
    >>> f = capacity(Quantity.estimated(1.577, 0.0007, "1"))
    >>> f.value_with_unit, f.interval
    ('1.577\xa0bits', '1.576–1.578')
    """
    if q.ci95 is not None and q.ci95[1] - q.ci95[0] < 2 * _FINEST_BITS:
        return FormattedQuantity(value=f"{q.value:.3f}", interval="", stderr="", unit="bits")
    return dataclasses.replace(format_quantity_parts(q), unit="bits")


def interval_text(low: float, high: float, *, digits: int = 2, unit: str = "") -> str:
    r"""Format a range of two numbers; one number if both are equal at these digits.

    Examples
    --------
    >>> interval_text(15.1, 15.2, unit="%"), interval_text(0.3, 1.7, unit="%")
    ('15\xa0%', '0.3–1.7\xa0%')
    """
    first, last = number(low, digits), number(high, digits)
    text = first if first == last else format_range(first, last)
    return f"{text}{_NO_BREAK}{unit}".rstrip(_NO_BREAK)


def share(x: float, *, digits: int = 2) -> str:
    r"""Format a share in per cent; above 99 %, to the first digit that differs from 100 %.

    Examples
    --------
    >>> share(0.01234), share(0.0), share(0.99987)
    ('1.2\xa0%', '0\xa0%', '99.99\xa0%')
    """
    if 0.99 < x < 1:
        return f"{100 * x:.{math.ceil(-math.log10(1 - x)) - 2}f}{_NO_BREAK}%"
    return f"{number(100 * x, digits)}{_NO_BREAK}%"


def duration(seconds: float) -> str:
    r"""Format a time in s, min, h or days.

    Examples
    --------
    >>> duration(0.01), duration(3600.0), duration(1e5), duration(1e7)
    ('10\xa0ms', '1\xa0h', '27.8\xa0h', '116\xa0days')
    """
    for limit, length, unit in _LENGTHS:
        if seconds < limit:
            return (
                f"{number(seconds / length)}{_NO_BREAK}{unit}" if unit else with_unit(seconds, "s")
            )
    return f"{number(seconds / 86_400)}{_NO_BREAK}days"


def fit_name(name: str) -> str:
    """Return the name of a fit as text, with a capital first letter.

    Examples
    --------
    >>> fit_name("read_noise"), fit_name("iv")
    ('Read noise', 'I–V')
    """
    text = _FIT_NAMES.get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


def counted(n: int, one: str, many: str = "") -> str:
    r"""Format a count with its noun.

    Examples
    --------
    >>> counted(1, "cell"), counted(16384, "cell"), counted(0, "dead row")
    ('1\xa0cell', '16,384\xa0cells', 'no dead rows')
    """
    name = one if n == 1 else many or f"{one}s"
    return f"{n:,}{_NO_BREAK}{name}" if n else f"no {name}"


def listed(parts: Sequence[str]) -> str:
    """Join the items of an enumeration.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def some_of(names: Sequence[str], most: int) -> str:
    """List at most `most` names, and the number of the others.

    Examples
    --------
    >>> some_of(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, slots=True)
class AxisUnit:
    """Unit of an axis: multiply SI values by `factor`, label them `symbol`."""

    factor: float
    symbol: str


def axis_unit(largest: float, unit: str) -> AxisUnit:
    """Return the prefixed unit for an axis whose largest magnitude is `largest` [SI].

    Examples
    --------
    >>> axis_unit(83e-6, "S")
    AxisUnit(factor=1000000.0, symbol='µS')
    """
    factor, symbol = prefixed_unit(abs(largest), unit)
    return AxisUnit(factor, unit_symbol(symbol))
