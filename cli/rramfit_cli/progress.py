"""Progress of a long list of things: share, rate, time left and failures so far.

A bar on a terminal. Elsewhere, as in the log of a cluster, a line every minute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import click

from rramfit_cli.console import console

__all__ = ["counted_progress"]

_EVERY = 60.0  # [s]


@contextlib.contextmanager
def counted_progress(
    title: str, total: int, what: str, failure: str = ""
) -> Iterator[Callable[[int, int], None]]:
    """Show how many of `total` things are done; yield the function (done, failures) to call."""
    out = console(err=True)
    if not out.is_terminal:
        yield _log(title, total, what, failure)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(what)),
        *(TextColumn("{task.fields[pace]}"), TimeElapsedColumn()),
        TextColumn("[red]{task.fields[failed]}"),
    )
    start = time.monotonic()
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(title, total=total, pace="", failed="")

        def show(done: int, failures: int) -> None:
            failed = f"{failures} {failure}" if failures else ""
            pace = _pace(done, total, time.monotonic() - start)
            bar.update(task, completed=done, pace=pace, failed=failed)

        yield show


def _log(title: str, total: int, what: str, failure: str) -> Callable[[int, int], None]:
    start = last = time.monotonic()

    def show(done: int, failures: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY:
            return
        last = now
        failed = f", {failures} {failure}" if failures else ""
        pace = _pace(done, total, now - start)
        click.echo(f"{title}: {done} of {total} {what}{failed}, {pace}", err=True)

    return show


def _pace(done: int, total: int, seconds: float) -> str:
    """Return rate and time left.

    Examples
    --------
    >>> _pace(10, 100, 30.0), _pace(1, 3, 4000.0)
    ('20.0/min, 4:30 left', '0.0/min, 2:13:20 left')
    """
    if not done or seconds <= 0:
        return ""
    left = round(seconds / done * (total - done))
    hours, rest = divmod(left, 3600)
    minutes, left = divmod(rest, 60)
    clock = f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
    return f"{60 * done / seconds:.1f}/min, {clock} left"
