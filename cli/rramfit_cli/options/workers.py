"""Options of commands that divide their work: over processes, a cluster, or shards."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rramfit.workers import Shard

__all__ = ["INTERRUPTED", "ends_as_interrupt", "given_shard", "shard_option", "workers_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

INTERRUPTED = 130
"""Exit code after an interrupt, as shells have it."""


class _Shard(click.ParamType):  # type: ignore[type-arg]  # generic only in newer stubs
    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        from rramfit.errors import RramfitError
        from rramfit.workers import Shard

        if isinstance(value, Shard):
            return value
        try:
            return Shard.parse(str(value))
        except RramfitError as e:
            self.fail(str(e), param, ctx)


def workers_options(what: str) -> Callable[[_F], _F]:
    """Add the options `--jobs` and `--scheduler` to a command that divides `what`."""

    def add(command: _F) -> _F:
        command = click.option(
            "--scheduler",
            metavar="ADDRESS",
            help=f"Divide {what} over the workers of this running Dask scheduler.",
        )(command)
        return click.option(
            "--jobs",
            type=click.IntRange(min=1),
            default=1,
            help=f"Number of processes to divide {what} over.",
        )(command)

    return add


def shard_option(what: str) -> Callable[[_F], _F]:
    """Add the option `--shard` to a command that divides `what`."""
    return click.option(
        "--shard",
        type=_Shard(),
        help=f"Do part I of N of {what} (I from 1). Default in a SLURM array: this task's part.",
    )


def given_shard(shard: Shard | None, count: int, what: str) -> Shard | None:
    """Return the shard of the command line or of a SLURM array; None for all of several things.

    Raises
    ------
    click.UsageError
        If the indices of the SLURM array do not give a shard.
    """
    from rramfit.errors import RramfitError
    from rramfit.workers import shard_of_environment

    if shard is not None:
        return None if shard.of == 1 else shard
    if count < 2:
        return None
    try:
        found = shard_of_environment(os.environ)
    except RramfitError as e:
        raise click.UsageError(str(e)) from e
    if found is None or found.of == 1:
        return None
    click.echo(
        f"Shard {found} of {count} {what}, from SLURM_ARRAY_TASK_ID. For all: --shard 1/1.",
        err=True,
    )
    return found


@contextlib.contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """Treat the signal that ends a job (SIGTERM) as an interrupt, so that what is done is kept."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
