"""The command tree and what all commands share: exit codes, color, error messages.

Exit codes: 0 done; 1 unexpected error; 2 usage error, or an output that cannot be written; 3 an
input is rejected; 4 done, but a stated criterion is not met (the verdict of a fit is bad, a card
does not predict a chip).
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import logging
import os
import sys
import warnings
from importlib import import_module

import click

from rramfit.errors import InputError, OutputError, RramfitError, RramfitWarning, WorkersError
from rramfit_cli.file_kinds import explain
from rramfit_cli.overwriting import keep_existing_files
from rramfit_cli.suggestions import SuggestingGroup

__all__ = ["cli", "main"]

_COMMANDS = {
    "characterize": "Fit a model card to measured sweeps and write its report.",
    "lot": "Merge lots and shards of lots.",
    "validate": "Test whether a card predicts another chip.",
    "card": "Show, check, compare and export model cards.",
    "array": "Compute column currents of an array with wires, and compare solvers.",
    "measurement": "Check, inspect, convert and synthesize measurement files.",
    "map": "Show how a network maps onto tiles: conversions, energy, latency.",
    "evaluate": "Run a network on many chips and report its accuracy.",
    "train": "Train a network for chips like the one of a card.",
    "retrain": "Retrain a network for one characterized chip.",
    "ablate": "Show how much accuracy each non-ideality costs a network.",
    "demo": "Measure a virtual chip and characterize it: a first card and report.",
    "doctor": "Print versions, threads, devices and missing extras, for bug reports.",
}
_FOLDERS = {"demo": "first_steps.", "doctor": "first_steps."}


class Refused(click.ClickException):
    """The input is at fault, not the command line."""

    exit_code = 3


class _Commands(SuggestingGroup):
    """Commands by name. Each is imported when it is called, so that help loads quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"rramfit_cli.commands.{_FOLDERS.get(cmd_name, '')}{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            with keep_existing_files():
                return super().invoke(ctx)
        except (OutputError, WorkersError) as e:
            raise click.UsageError(str(e)) from e
        except InputError as e:
            raise Refused(explain(e)) from e
        except RramfitError as e:
            raise Refused(str(e)) from e
        except OSError as e:
            if "No usable temporary directory" in str(e):
                msg = "no temporary folder can be written. Free space, or set TMPDIR to another."
                raise click.UsageError(msg) from e
            if e.errno != errno.ENOSPC or e.filename is not None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or flushing the buffer fails again
            msg = f"cannot write to standard output: {e.strerror}"
            raise click.UsageError(msg) from e


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=(
        "Exit codes: 0 done, 2 usage error, 3 input rejected, 4 done but a criterion is not met. "
        'Completion in bash: eval "$(_RRAMFIT_COMPLETE=bash_source rramfit)".'
    ),
)
@click.version_option(package_name="rramfit")
@click.option("-v", "--verbose", count=True, help="Print more on standard error; -vv for more.")
def cli(verbose: int) -> None:
    """Characterize RRAM arrays, and simulate and train networks on such chips."""
    logging.basicConfig(
        level=logging.WARNING - 10 * min(verbose, 2),
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    if issubclass(category, RramfitWarning):
        click.echo(f"warning: {message}", err=True)
    else:
        logging.getLogger("rramfit").info("%s: %s", category.__name__, message)


def main() -> None:
    """Run the command line."""
    # Most objects of a short process belong to imported modules and never become garbage.
    # Collecting while modules load, and again at the end, would take a second with torch.
    gc.set_threshold(100_000, 50, 100)
    for stream in (sys.stdout, sys.stderr):  # an ASCII terminal gets "?" for "µ"
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if any(argument.endswith(".h5") for argument in sys.argv[1:]):
        from rramfit.hdf5.reader import prepare

        with contextlib.suppress(RramfitError):  # reading reports it
            prepare()
    try:
        cli(color=False if os.environ.get("NO_COLOR") else None)
    finally:
        gc.freeze()
