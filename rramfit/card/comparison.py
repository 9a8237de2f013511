"""Comparison of two cards: parameters that differ by more than their uncertainties allow.

    z = (a − b) / √(s_a² + s_b²)

Given numbers have no uncertainty; if neither number has one, z is 0 for equal values and infinite
otherwise. Among many parameters some z are large by chance, so `significant` applies Holm's
correction at 5 % over all compared parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import ModelCard

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CardComparison", "ParameterDifference", "compare_cards"]

_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class ParameterDifference:
    """Difference of one parameter that both cards have."""

    path: str
    first: Quantity
    second: Quantity

    @property
    def z(self) -> float:
        """Difference in units of its standard error."""
        difference = self.first.value - self.second.value
        error = math.hypot(self.first.stderr or 0.0, self.second.stderr or 0.0)
        if error > 0:
            return difference / error
        return 0.0 if difference == 0 else math.copysign(math.inf, difference)

    @property
    def p_value(self) -> float:
        """Two-sided probability of a difference at least this large by chance."""
        return math.erfc(abs(self.z) / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class CardComparison:
    """Differences of common parameters, and parameters that only one card has."""

    differences: tuple[ParameterDifference, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def max_z(self) -> float:
        """Largest |z|; 0 if the cards have no common parameter."""
        return max((abs(d.z) for d in self.differences), default=0.0)

    @property
    def significant(self) -> tuple[ParameterDifference, ...]:
        """Parameters that differ significantly, by Holm's step-down test over all of them."""
        found = []
        ordered = sorted(self.differences, key=lambda d: d.p_value)
        for i, d in enumerate(ordered):
            if d.p_value > _ALPHA / (len(ordered) - i):
                break
            found.append(d)
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter: first, second, unit, z, p_value."""
        import pandas as pd

        rows = [
            {
                "first": d.first.value,
                "second": d.second.value,
                "unit": d.first.unit,
                "z": d.z,
                "p_value": d.p_value,
            }
            for d in self.differences
        ]
        columns = ["first", "second", "unit", "z", "p_value"]
        return pd.DataFrame(rows, index=[d.path for d in self.differences], columns=columns)


def compare_cards(first: ModelCard, second: ModelCard) -> CardComparison:
    """Compare two cards by parameter; a parameter with another unit counts as missing."""
    a, b = dict(quantities(first)), dict(quantities(second))
    common = [path for path in a if path in b and a[path].unit == b[path].unit]
    return CardComparison(
        differences=tuple(ParameterDifference(path, a[path], b[path]) for path in common),
        only_first=tuple(path for path in a if path not in common),
        only_second=tuple(path for path in b if path not in common),
    )
