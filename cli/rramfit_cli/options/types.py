"""Types of arguments and options that reject, before any work, values that would fail later.

A wrong value of an option is a usage error (exit code 2). An input file that is missing or cannot
be read is a rejected input, like a file with wrong content (exit code 3).
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import IO, Any

import click

__all__ = [
    "INPUT",
    "INPUT_FOLDER",
    "OUTPUT",
    "OUTPUT_REPORT",
    "SEED",
    "FiniteRange",
    "InputStream",
    "output_of",
]

LARGEST_SEED = 2**63 - 1


class _Seed(click.IntRange):
    """An integer that random generators accept as their seed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seed: int = super().convert(value, param, ctx)
        if seed > LARGEST_SEED:
            self.fail(f"{value} is greater than {LARGEST_SEED}", param, ctx)
        return seed


SEED = _Seed(min=0)
"""Type of a seed."""


class FiniteRange(click.FloatRange):
    """A range of numbers without NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert the text to a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class _Input(click.Path):
    """A file or folder to read, rejected before the work if that is not possible."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002  # the signature of click
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Path:
        """Check the path."""
        from rramfit.errors import InputError

        path = Path(value)
        expected = "a readable file" if self.file_okay else "a readable folder"
        try:
            folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as e:
            missing = isinstance(e, FileNotFoundError | NotADirectoryError)
            kind, remedy = "file" if self.file_okay else "folder", "Check the spelling of the path."
            found = f"no such {kind}" if missing else f"{e.strerror}"
            raise InputError(path, "", found=found, expected=expected, remedy=remedy) from None
        if folder != self.dir_okay:
            found = "a folder" if folder else "a file"
            raise InputError(path, "", found=found, expected=expected)
        if not os.access(path, os.R_OK):
            found, remedy = "no permission to read it", "Change its permissions."
            raise InputError(path, "", found=found, expected=expected, remedy=remedy)
        return path


INPUT = _Input(dir_okay=False, path_type=Path)
"""Type of a file to read."""

INPUT_FOLDER = _Input(file_okay=False, path_type=Path)
"""Type of a folder to read."""


class InputStream(click.File):
    """A file to read, opened; "-" is standard input."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> IO[Any]:
        """Check and open the file."""
        if isinstance(value, str) and value != "-":
            INPUT.convert(value, param, ctx)
        stream: IO[Any] = super().convert(value, param, ctx)
        return stream


class _Output(click.Path):
    """A file to write, rejected before the work if it could not be written afterwards.

    Parameters
    ----------
    kind, writer : str
        What the command writes, to check an existing file; see `overwriting`. Without a kind, an
        existing file is checked only when it would be replaced.
    """

    def __init__(self, kind: str = "", writer: str = "") -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._kind, self._writer = kind, writer

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from rramfit.errors import OutputError
        from rramfit.provenance import check_file

        path = Path(value)
        try:
            check_file(path)
        except OutputError as e:
            self.fail(str(e), param, ctx)
        if self._kind:
            from rramfit_cli.overwriting import check_before

            check_before(path, self._kind, self._writer)
        return path


OUTPUT = _Output()
"""Type of a file to write."""

OUTPUT_REPORT = _Output("report")
"""Type of an HTML report to write."""


def output_of(kind: str, writer: str = "") -> click.Path:
    """Return the type of a file to write, of one kind, as `overwriting` names it."""
    return _Output(kind, writer)
