"""Yield of a lot by a stated criterion: the share of arrays within all limits.

A limit is ``PARAMETER<=VALUE`` or ``PARAMETER>=VALUE``, with the parameter's path on the card
(``levels[1].std<=2uS``), or ``stuck``: the share of cells stuck low, high or in the middle. Arrays
without a card, or whose card does not have a parameter, are counted separately.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from rramfit.errors import RramfitError
from rramfit.units import counted, format_percent, format_quantity, to_si, unit_name

if TYPE_CHECKING:
    from rramfit.reporting.lots.row import Row

__all__ = ["DEFAULT_YIELD", "LotYield", "YieldLimit", "stuck_share"]

_LIMIT = re.compile(r"\s*([\w.\[\]]+)\s*(<=|>=|≤|≥)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S*)\s*")
_STUCK = ("stuck.low", "stuck.high", "stuck.middle")
_KINDS = {"S": "conductance", "V": "voltage", "A": "current", "s": "time", "K": "temperature"}


@dataclass(frozen=True, slots=True)
class YieldLimit:
    """A limit of one parameter.

    Attributes
    ----------
    path : str
        Path on the card, or "stuck".
    least : bool
        Whether values must be at least the bound, not at most.
    bound : float
    unit : str
        SI unit of the bound; "" if it was given without.
    """

    path: str
    least: bool
    bound: float
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a limit.

        Raises
        ------
        RramfitError
            If it is not one.

        Examples
        --------
        >>> YieldLimit.parse("levels[1].std <= 2 uS")
        YieldLimit(path='levels[1].std', least=False, bound=2e-06, unit='S')
        >>> YieldLimit.parse("stuck <= 0.005")
        YieldLimit(path='stuck', least=False, bound=0.005, unit='')
        """
        found = _LIMIT.fullmatch(text)
        if found is None:
            msg = (
                f"found {text!r}, expected PARAMETER<=VALUE or PARAMETER>=VALUE, as in stuck<=0.01"
            )
            raise RramfitError(msg)
        path, sign, number, given = found.groups()
        try:
            bound, unit = _in_si(number, given)
        except ValueError as e:
            msg = f"found {text!r}: {e}. Give the value in SI, without a unit."
            raise RramfitError(msg) from None
        return cls(path, sign in (">=", "≥"), bound, unit)

    def __str__(self) -> str:
        text = format_quantity(self.bound, self.unit or "1", digits=6).replace(" ", "")
        return f"{self.path}{'>=' if self.least else '<='}{text}"

    def met(self, row: Row) -> bool | None:
        """Return whether an array is within the limit; None if its card does not say."""
        if self.path == "stuck":
            value, unit = stuck_share(row), "1"
        elif self.path in row.estimates:
            value, *_, unit = row.estimates[self.path]
        else:
            return None
        if not math.isfinite(value):
            return None
        if self.unit and self.unit != unit:
            return None
        return value >= self.bound if self.least else value <= self.bound


def _in_si(text: str, unit: str) -> tuple[float, str]:
    """Return a number in SI, and its unit."""
    number = float(text)
    if not math.isfinite(number):
        msg = "the value is not a finite number"
        raise ValueError(msg)
    name = unit_name(unit)
    if name == "%":
        return float(Decimal(text) / 100), "1"  # 0.9 / 100 is not 0.009 in binary
    if not name or name == "1":
        return number, name
    for prefix, factor in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if name == f"{prefix}ohm":
            return number * factor, "ohm"
    for si, kind in _KINDS.items():
        try:
            return float(to_si(number, name, kind)), si
        except ValueError:
            continue
    msg = f"the unit {unit!r} is not known"
    raise ValueError(msg)


DEFAULT_YIELD = (YieldLimit("stuck", least=False, bound=0.01, unit="1"),)
"""At most a hundredth of the cells of an array are stuck."""


@dataclass(slots=True)
class LotYield:
    """Arrays within all limits, outside of one, and those of which the card does not say.

    Attributes
    ----------
    limits : tuple of YieldLimit
    good, bad, unknown, without_card : int
        Numbers of arrays.
    """

    limits: tuple[YieldLimit, ...] = DEFAULT_YIELD
    good: int = 0
    bad: int = 0
    unknown: int = 0
    without_card: int = 0

    def add(self, row: Row) -> bool | None:
        """Count an array; return whether it is within all limits, None if that is not known."""
        if not row.has_card:
            self.without_card += 1
            return None
        found = [limit.met(row) for limit in self.limits]
        if False in found:
            self.bad += 1
            return False
        if None in found:
            self.unknown += 1
            return None
        self.good += 1
        return True

    @property
    def criterion(self) -> str:
        """The limits as text."""
        return " and ".join(map(str, self.limits))

    @property
    def text(self) -> str:
        """Sentence on the yield."""
        judged = self.good + self.bad
        if not judged:
            return f"Yield at {self.criterion}: not known, because no card states the parameter."
        said = (
            f"Yield at {self.criterion}: {self.good} of {counted(judged, 'array')} "
            f"({format_percent(self.good / judged)})."
        )
        if self.unknown:
            said += f" The cards of {counted(self.unknown, 'more array')} do not state it."
        if self.without_card:
            said += f" Not counted: {counted(self.without_card, 'array')} without a card."
        return said


def stuck_share(row: Row) -> float:
    """Return the share of cells that are stuck low, high or in the middle; NaN if unknown."""
    stuck = [float(row.estimates[path][0]) for path in _STUCK if path in row.estimates]
    return sum(stuck) if stuck else math.nan
