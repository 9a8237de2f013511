"""Numbers as people say them: the laboratory's prefixes, as many digits as are known, intervals.

A value and its interval share one prefix, and are written to the second digit of the standard
error: more would be noise. Shares are said in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rramfit.card.quantity import Quantity
from rramfit.units import format_quantity

__all__ = [
    "AxisUnit",
    "Written",
    "axis_unit",
    "counted",
    "duration",
    "fit_name",
    "listed",
    "number",
    "say",
    "share",
    "unit_symbol",
    "with_interval",
    "write",
]

_MINUS, _DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_MOST_DIGITS = 6
_LENGTHS = ((120.0, 1.0, ""), (3600.0, 60.0, "min"), (172_800.0, 3600.0, "h"))  # [s]
_FIT_NAMES = {
    "heldout": "held-out check",
    "iv": "current against voltage",
    "line": "wires",
    "readout": "read-out chain",
}


def unit_symbol(unit: str) -> str:
    """Spell a unit as it is printed.

    Examples
    --------
    >>> unit_symbol("uS"), unit_symbol("kohm"), unit_symbol("1")
    ('µS', 'kΩ', '')
    """
    if unit in ("1", ""):
        return ""
    symbol = unit.replace("ohm", "Ω")
    return f"µ{symbol[1:]}" if len(symbol) > 1 and symbol[0] == "u" else symbol


def number(value: float, digits: int = 3) -> str:
    """Write a plain number to so many digits that count.

    Examples
    --------
    >>> number(0.012345), number(1234567.0), number(-2.5)
    ('0.0123', '1.23e+06', '−2.5')
    """
    return f"{value:.{digits}g}".replace("-", _MINUS)


def say(value: float, unit: str, *, digits: int = 3) -> str:
    r"""Write a number with its prefix and unit.

    Examples
    --------
    >>> say(83.31e-6, "S")
    '83.3\xa0µS'
    """
    text, _, symbol = format_quantity(value, unit, digits=digits).partition(" ")
    text = text.replace("-", _MINUS)
    return f"{text}{_NO_BREAK}{unit_symbol(symbol)}".rstrip(_NO_BREAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A quantity, written: its parts share one unit and one number of decimals."""

    value: str
    low: str  # empty where the number was given, not estimated
    high: str
    stderr: str
    unit: str

    @property
    def value_with_unit(self) -> str:
        """Value and unit."""
        return f"{self.value}{_NO_BREAK}{self.unit}".rstrip(_NO_BREAK)

    @property
    def interval(self) -> str:
        """95 % interval without its unit; empty where there is none."""
        return f"{self.low} to {self.high}" if self.low else ""


def write(q: Quantity, *, percent: bool = False) -> Written:
    r"""Write a quantity to the second digit of its standard error.

    Examples
    --------
    >>> w = write(Quantity.estimated(83.2e-6, 0.412e-6, "S"))
    >>> w.value_with_unit, w.interval
    ('83.20\xa0µS', '82.39 to 84.01')
    >>> write(Quantity.estimated(0.0123, 0.002, "1"), percent=True).value_with_unit
    '1.23\xa0%'
    """
    if percent:
        factor, symbol = 100.0, "%"
    else:
        factor, symbol = _prefix(max(abs(q.value), q.stderr or 0.0), q.unit)
    if q.stderr is None or q.ci95 is None:
        text = number(q.value * factor, 4)
        return Written(value=text, low="", high="", stderr="", unit=symbol)
    if q.stderr == 0:
        low, high = (number(x * factor, 4) for x in q.ci95)
        value = number(q.value * factor, 4)
        return Written(value=value, low=low, high=high, stderr="0", unit=symbol)
    spread = q.stderr * factor
    decimals = 1 - math.floor(math.log10(spread))
    largest = max(abs(q.value), *(abs(x) for x in q.ci95)) * factor or spread
    if decimals + math.floor(math.log10(largest)) + 1 > _MOST_DIGITS + 2 or not (
        1e-4 < largest < 1e6
    ):
        known = math.log10(abs(q.value) / q.stderr) if q.value else 0.0
        digits = min(max(2, math.ceil(known) + 2), _MOST_DIGITS)
        parts = [number(x * factor, digits) for x in (q.value, *q.ci95)]
        return Written(
            value=parts[0], low=parts[1], high=parts[2], stderr=number(spread, 2), unit=symbol
        )
    value, low, high, stderr = (
        f"{x * factor:.{max(decimals, 0)}f}".replace("-", _MINUS)
        for x in (q.value, *q.ci95, q.stderr)
    )
    return Written(value=value, low=low, high=high, stderr=stderr, unit=symbol)


def with_interval(q: Quantity, *, percent: bool = False) -> str:
    r"""Write a quantity with its interval, for running text.

    Examples
    --------
    >>> with_interval(Quantity.estimated(83.2e-6, 0.412e-6, "S"))
    '83.20\xa0µS (82.39 to 84.01)'
    """
    w = write(q, percent=percent)
    return f"{w.value_with_unit} ({w.interval})" if w.interval else w.value_with_unit


def share(x: float, *, digits: int = 2) -> str:
    r"""Write a share in per cent; near the whole, to the first digit of what is missing.

    Examples
    --------
    >>> share(0.01234), share(0.0), share(0.99987)
    ('1.2\xa0%', '0\xa0%', '99.99\xa0%')
    """
    if 0.99 < x < 1:
        return f"{100 * x:.{math.ceil(-math.log10(1 - x)) - 2}f}{_NO_BREAK}%"
    return f"{number(100 * x, digits)}{_NO_BREAK}%"


def duration(seconds: float) -> str:
    r"""Write a length of time as people count it.

    Examples
    --------
    >>> duration(0.01), duration(3600.0), duration(1e5), duration(1e7)
    ('10\xa0ms', '1\xa0h', '27.8\xa0h', '116\xa0days')
    """
    for limit, length, unit in _LENGTHS:
        if seconds < limit:
            return f"{number(seconds / length)}{_NO_BREAK}{unit}" if unit else say(seconds, "s")
    return f"{number(seconds / 86_400)}{_NO_BREAK}days"


def fit_name(name: str) -> str:
    """Name a fit, at the head of a sentence.

    Examples
    --------
    >>> fit_name("read_noise"), fit_name("iv")
    ('Read noise', 'Current against voltage')
    """
    text = _FIT_NAMES.get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


def counted(n: int, one: str, many: str = "") -> str:
    r"""Count things.

    Examples
    --------
    >>> counted(1, "cell"), counted(16384, "cell"), counted(0, "dead row")
    ('1\xa0cell', '16,384\xa0cells', 'no dead rows')
    """
    name = one if n == 1 else many or f"{one}s"
    return f"{n:,}{_NO_BREAK}{name}" if n else f"no {name}"


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


@dataclass(frozen=True, slots=True)
class AxisUnit:
    """What an axis is counted in: multiply SI values by `factor`, label them `symbol`."""

    factor: float
    symbol: str


def axis_unit(largest: float, unit: str) -> AxisUnit:
    """Prefix that suits an axis whose largest magnitude is `largest` [SI].

    Examples
    --------
    >>> axis_unit(83e-6, "S")
    AxisUnit(factor=1000000.0, symbol='µS')
    """
    return AxisUnit(*_prefix(abs(largest), unit))


def _prefix(magnitude: float, unit: str) -> tuple[float, str]:
    """Factor and symbol of the prefix that `rramfit.units` gives to a number of this size."""
    if not (math.isfinite(magnitude) and magnitude > 0):
        return 1.0, unit_symbol(unit)
    text, _, symbol = format_quantity(magnitude, unit, digits=17).partition(" ")
    if not symbol or symbol == unit:
        return 1.0, unit_symbol(unit)
    return 10.0 ** round(math.log10(float(text) / magnitude)), unit_symbol(symbol)
