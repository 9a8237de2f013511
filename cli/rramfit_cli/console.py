"""How commands talk: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_json", "stages"]


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
