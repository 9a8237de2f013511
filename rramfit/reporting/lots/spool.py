"""The rows of a lot on disk, written as they come and read in the order of the files.

They lie in an unnamed temporary file in the lot's folder, which disappears with the process.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rramfit.errors import OutputError
from rramfit.provenance import atomic_file
from rramfit.reporting.lots.row import Row

__all__ = ["RowSpool", "csv_record", "write_csv"]


class RowSpool:
    """Rows by the position of their task.

    Parameters
    ----------
    folder : Path, optional
        Where the temporary file lies; None holds the rows in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._places: dict[int, tuple[int, int]] = {}  # position: offset and number of rows
        self._file: IO[bytes] = io.BytesIO()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=folder, prefix=".lot")  # noqa: SIM115
            except OSError as e:
                raise OutputError(folder, os.strerror(e.errno) if e.errno else str(e)) from e
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # a full disk: the rows are written or lost already
            self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, position: int, rows: Sequence[Row]) -> None:
        """Store the rows of one task."""
        content = "".join(f"{row.to_json()}\n" for row in rows).encode()
        try:
            self._places[position] = (self._file.seek(0, os.SEEK_END), len(rows))
            self._file.write(content)
            self._file.flush()
        except OSError as e:
            self._places.pop(position, None)
            where = self._folder or Path()
            raise OutputError(where, os.strerror(e.errno) if e.errno else str(e)) from e

    def positions(self) -> list[int]:
        """Return the positions of the tasks that have rows."""
        return sorted(self._places)

    def rows_of(self, position: int) -> list[Row]:
        """Return the rows of one task."""
        offset, count = self._places[position]
        self._file.seek(offset)
        return [Row.from_json(self._file.readline()) for _ in range(count)]

    def __iter__(self) -> Iterator[Row]:
        for position in self.positions():
            yield from self.rows_of(position)


def csv_record(row: Row) -> dict[str, object]:
    """Return the cells of a row of lot.csv: file, name, verdict, problem, and all estimates."""
    record: dict[str, object] = {
        "file": Path(row.file).name,
        "name": row.name,
        "verdict": row.verdict,
        "problem": row.problem,
    }
    if row.digest is not None:
        record["digest"] = row.digest
    record |= {f"{path}.family": family for path, family in row.families.items()}
    return record | {path: value for path, (value, *_) in row.estimates.items()}


def write_csv(rows: Callable[[], Iterable[Row]], path: Path) -> None:
    """Write a table of rows: one column per estimate that any of them has.

    Parameters
    ----------
    rows : callable
        Returns the rows; it is called twice, for the columns and for the content.
    path : Path
    """
    columns: dict[str, None] = {}
    for row in rows():
        columns |= dict.fromkeys(csv_record(row))
    first = dict.fromkeys(("file", "name", "verdict", "problem"))
    with atomic_file(path) as part:
        stream = part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        with closing(stream):
            table = csv.DictWriter(stream, list(first | columns), restval="", lineterminator="\n")
            table.writeheader()
            for row in rows():
                table.writerow(csv_record(row))
