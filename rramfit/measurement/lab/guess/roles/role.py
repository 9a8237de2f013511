"""The meaning of columns, with the reason and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.fields import Field

__all__ = ["LIKELY", "NOT_SURE", "SURE", "Role", "Roles", "integral"]

SURE, LIKELY, NOT_SURE = "sure", "likely", "not sure"


@dataclass(frozen=True, slots=True)
class Role:
    """The meaning of one column."""

    field: Field
    role: str  # "" if unknown
    why: str
    sure: str
    unit: str = ""  # accepted name; "" if the column has none

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.field.name


@dataclass(frozen=True, slots=True)
class Roles:
    """All columns with their roles."""

    all: tuple[Role, ...]

    def of(self, role: str) -> list[Role]:
        """Return the columns with this role, from left to right."""
        return [r for r in self.all if r.role == role]

    def first(self, *roles: str) -> Role | None:
        """Return the leftmost column with the first of these roles that there is."""
        return next((found[0] for role in roles if (found := self.of(role))), None)


def integral(values: NDArray[np.float64]) -> bool:
    """Return True if there are values and all are integers."""
    return len(values) > 0 and bool(np.all(values == np.floor(values)))
