"""Wanted intervals: ``failure[2].probability=20 %``, ``levels[*].mean=0.2uS``.

The amount is half the width of the 95 % interval: in per cent of the value, or in the parameter's
unit, of which any prefix is accepted. A star is any index or name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rramfit.card.quantity import Quantity
from rramfit.errors import CardError, RramfitError
from rramfit.units import ACCEPTED_UNITS, to_si, unit_name

__all__ = ["Want", "find_wanted", "parse_want"]

_AMOUNT = re.compile(r"\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(\S*)\s*\Z")
_LISTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A wanted interval of one or several parameters.

    Attributes
    ----------
    pattern : str
        Key path of the card; ``*`` for any index or name.
    amount : float
        Half width of the 95 % interval: a share of the value, or in `unit`.
    unit : str
        ``"%"`` if the amount is a share of the value; a unit, or "" for that of the parameter.
    """

    pattern: str
    amount: float
    unit: str = ""

    def half_width(self, path: str, q: Quantity) -> float:
        """Return the wanted half width in the SI unit of a parameter.

        Raises
        ------
        RramfitError
            If the amount is a share of a value of 0, or in a unit that is not the parameter's.
        """
        if self.unit == "%":
            if q.value == 0:
                msg = (
                    f"{path}: found a value of 0, of which a share is nothing; expected an "
                    f"absolute half width. Write {path}=0.001"
                )
                raise RramfitError(msg)
            return self.amount * abs(q.value)
        if self.unit in ("", q.unit):
            return self.amount
        for kind, units in ACCEPTED_UNITS.items():
            if unit_name(self.unit) in units and q.unit == (
                "S" if kind == "conductance" else units[0]
            ):
                if kind == "conductance" and unit_name(self.unit).endswith("ohm"):
                    break
                return float(to_si(self.amount, self.unit, kind))
        if q.unit == "ohm" and unit_name(self.unit) in ACCEPTED_UNITS["conductance"]:
            scales = {"ohm": 1.0, "kohm": 1e3, "Mohm": 1e6}
            if unit_name(self.unit) in scales:
                return self.amount * scales[unit_name(self.unit)]
        msg = (
            f"{path}: found the unit {self.unit!r}, expected {q.unit} or %. Write the half width "
            "in this unit"
        )
        raise RramfitError(msg)


def parse_want(text: str) -> Want:
    """Parse ``PATH=AMOUNT``.

    Raises
    ------
    RramfitError
        If the text is not of this form or the amount is not positive.

    Examples
    --------
    >>> parse_want("failure[2].probability=20 %")
    Want(pattern='failure[2].probability', amount=0.2, unit='%')
    """
    pattern, equals, amount = text.rpartition("=")
    found = _AMOUNT.match(amount)
    try:
        value = float(found.group(1)) if found else math.nan
    except ValueError:
        value = math.nan
    if not (equals and pattern.strip() and found and 0 < value < math.inf):
        msg = (
            f"found {text!r}, expected PATH=AMOUNT with a positive amount in per cent or in the "
            "parameter's unit. Write for example levels[0].mean=1 % or levels[0].mean=0.2uS"
        )
        raise RramfitError(msg)
    unit = found.group(2)
    return Want(pattern=pattern.strip(), amount=value / 100 if unit == "%" else value, unit=unit)


def find_wanted(card: Mapping[str, Quantity], want: Want, *, name: str) -> list[str]:
    """Return the key paths that a want is about.

    Parameters
    ----------
    card : mapping of str to Quantity
        All quantities of the card, by key path.
    want : Want
    name : str
        Of the card, for messages.

    Raises
    ------
    CardError
        If the card has no such parameter.
    """
    form = re.compile(".*".join(re.escape(part) for part in want.pattern.split("*")) + r"\Z")
    found = [path for path in card if form.match(path)]
    if found:
        return found
    last = want.pattern.rpartition(".")[2]
    near = [p for p in card if last and p.endswith(last)] or [
        p for p in card if p.split("[")[0].split(".")[0] == want.pattern.split("[")[0].split(".")[0]
    ]
    listed = ", ".join((near or list(card))[:_LISTED])
    raise CardError(
        name,
        want.pattern,
        found="no such parameter",
        expected=f"one such as {listed}",
        remedy="list all with `rramfit card show`",
    )
