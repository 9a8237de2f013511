"""Where a converted measurement came from: the lab's files, its layout, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["BadRows", "Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRows:
    """Rows of one file that were left out for one reason."""

    path: Path
    reason: str
    lines: tuple[int, ...]  # counted from 1, as editors do
    first: str = ""  # what stands there

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:8]))
        more = f" and {len(self.lines) - 8} more" if len(self.lines) > 8 else ""
        word = "line" if len(self.lines) == 1 else "lines"
        sample = f", first: {self.first!r}" if self.first else ""
        return f"{self.path.name}: {self.reason}: {word} {shown}{more}{sample}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a measurement was converted from.

    Attributes
    ----------
    files : tuple of Path
        The lab's files, in the order given.
    layout : Path, optional
        The layout file.
    tile : int, optional
        Which tile of the array, where it was cut.
    rows : int
        Rows of the logs, good and bad, of all tiles; 0 for HDF5.
    bad : tuple of BadRows
        Rows left out, by file and reason.
    """

    files: tuple[Path, ...]
    layout: Path | None = None
    tile: int | None = None
    rows: int = 0
    bad: tuple[BadRows, ...] = ()

    @property
    def bad_rows(self) -> int:
        """How many rows were left out."""
        return sum(len(b.lines) for b in self.bad)
