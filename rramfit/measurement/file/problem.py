"""One violation of the layout in words: where, what was found, what was expected, the mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rramfit.errors import MeasurementError

__all__ = ["Problem", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A place where a file departs from layout 1.0.

    A note is not a violation: something that the layout does not know and that is not read.
    """

    path: Path
    where: str  # HDF5 path, attributes as /program@read_voltage
    found: str
    expected: str
    remedy: str = ""
    note: bool = False

    def __str__(self) -> str:
        text = f"{self.path}: {self.where}: found {self.found}; expected {self.expected}"
        return f"{text}; {self.remedy}" if self.remedy else text

    def to_dict(self) -> dict[str, Any]:
        """Give the fields, the path as text."""
        return {**asdict(self), "path": str(self.path)}


def refuse(problems: Sequence[Problem]) -> None:
    """Raise for the first violation, saying how many more there are; notes do not count.

    Raises
    ------
    MeasurementError
        If any of `problems` is a violation.
    """
    violations = [p for p in problems if not p.note]
    if not violations:
        return
    first, more = violations[0], len(violations) - 1
    remedy = first.remedy
    if more:
        counted = "1 more problem" if more == 1 else f"{more} more problems"
        listed = f"{counted}: `rramfit measurement validate` lists all"
        remedy = f"{remedy}; {listed}" if remedy else listed
    raise MeasurementError(
        first.path, first.where, found=first.found, expected=first.expected, remedy=remedy
    )
