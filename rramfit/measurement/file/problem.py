"""One violation of the layout: where it is, what was found, what was expected, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rramfit.errors import MeasurementError, sentence

__all__ = ["Problem", "raise_first_violation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A place where a file differs from layout 1.0.

    A note is not a violation; it points out content that is not read, or that looks wrong.
    """

    path: Path
    where: str  # HDF5 path, attributes as /program@read_voltage
    found: str  # noun phrases that complete "found …, expected …"
    expected: str
    remedy: str = ""  # an imperative sentence
    note: bool = False

    @classmethod
    def of(cls, error: MeasurementError) -> Problem:
        """Return the violation that an error describes."""
        return cls(
            path=error.path,
            where=error.where,
            found=error.found,
            expected=error.expected,
            remedy=error.remedy,
        )

    def __str__(self) -> str:
        return str(self.error())

    def error(self, *, more: int = 0) -> MeasurementError:
        """Return the error for this problem; `more` is the number of further violations."""
        remedy = self.remedy
        if more:
            others = "the other problem" if more == 1 else f"the {more} other problems"
            listed = f"Run `rramfit measurement validate` to see {others}"
            remedy = f"{sentence(remedy)} {listed}".strip()
        return MeasurementError(
            self.path, self.where, found=self.found, expected=self.expected, remedy=remedy
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values."""
        return {**asdict(self), "path": str(self.path)}


def raise_first_violation(problems: Sequence[Problem]) -> None:
    """Raise an error for the first violation, with the number of further ones; ignore notes.

    Raises
    ------
    MeasurementError
        If any of `problems` is a violation.
    """
    violations = [p for p in problems if not p.note]
    if not violations:
        return
    raise violations[0].error(more=len(violations) - 1)
