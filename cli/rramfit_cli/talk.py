"""How commands talk: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["OUTPUT", "SEED", "FiniteRange", "console", "print_json", "stages"]

LARGEST_SEED = 2**63 - 1


class _Seed(click.IntRange):
    """What generators take."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found: int = super().convert(value, param, ctx)
        if found > LARGEST_SEED:
            self.fail(f"{value} is more than {LARGEST_SEED}", param, ctx)
        return found


SEED = _Seed(min=0)
"""Type of options that are a seed."""


class FiniteRange(click.FloatRange):
    """A range of numbers that NaN and infinity are not in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return found


class _Output(click.Path):
    """A file to write, refused before the work where it could not be written after it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from rramfit.errors import OutputError
        from rramfit.provenance import check_file

        path = Path(value)
        try:
            check_file(path)
        except OutputError as e:
            self.fail(str(e), param, ctx)
        return path


OUTPUT = _Output(dir_okay=False, path_type=Path)
"""Type of options that name a file to write."""


def console(*, err: bool = False) -> Console:
    """Console for people; plain and wide enough for its tables where it is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    shown = stream is not None and stream.isatty()  # None where it is closed
    return Console(stderr=err, width=None if shown else 160)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error which stage a long command is in, where that is a terminal."""
    out = console(err=True)
    if not out.is_terminal:
        yield lambda _: None
        return
    with out.status(title) as status:
        yield lambda stage: status.update(f"{title}: {stage}")
