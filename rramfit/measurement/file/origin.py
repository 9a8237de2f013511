"""The origin of a converted measurement: source files, layout file and skipped rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["BadRows", "Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRows:
    """Rows of one file that were skipped for one reason."""

    path: Path
    reason: str
    lines: tuple[int, ...]  # line numbers, from 1
    first: str = ""  # text of the first such row
    more: int = 0  # further rows, whose line numbers are not kept

    @property
    def rows(self) -> int:
        """Number of skipped rows."""
        return len(self.lines) + self.more

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:8]))
        more = f" and {self.rows - 8} more" if self.rows > 8 else ""
        word = "line" if self.rows == 1 else "lines"
        sample = f", first: {self.first!r}" if self.first else ""
        return f"{self.path.name}: {self.reason}: {word} {shown}{more}{sample}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Source of a converted measurement.

    Attributes
    ----------
    files : tuple of Path
        The source files, in the order given.
    layout : Path, optional
        The layout file.
    layout_text : str, optional
        Its text.
    tile : int, optional
        Index of the tile, if the array was cut into tiles.
    rows : int
        Number of rows in the logs, good and bad, for all tiles together; 0 for HDF5.
    bad : tuple of BadRows
        Skipped rows, by file and reason.
    """

    files: tuple[Path, ...]
    layout: Path | None = None
    layout_text: str | None = None
    tile: int | None = None
    rows: int = 0
    bad: tuple[BadRows, ...] = ()

    @property
    def bad_rows(self) -> int:
        """Number of skipped rows."""
        return sum(b.rows for b in self.bad)
