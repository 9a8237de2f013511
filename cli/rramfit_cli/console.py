"""Output of all commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_json", "stages"]

_CELL_WIDTH = 100  # columns in a cell of Jupyter
_PLAIN_WIDTH = 160  # columns where the output is not a terminal: enough for every table


def console(*, err: bool = False) -> Console:
    """Return a console for tables and styled text; plain text where it is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    terminal = stream is not None and stream.isatty()  # None where the stream is closed
    if terminal and "JPY_PARENT_PID" in os.environ:  # a cell of Jupyter: a log, not a terminal
        return Console(stderr=err, force_terminal=False, width=_CELL_WIDTH)
    return Console(stderr=err, width=None if terminal else _PLAIN_WIDTH)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Show the current stage of a long command on standard error, if that is a terminal."""
    out = console(err=True)
    if not out.is_terminal:
        yield lambda _: None
        return
    with out.status(title) as status:
        yield lambda stage: status.update(f"{title}: {stage}")
