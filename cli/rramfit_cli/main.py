"""The command tree and what all commands share: exit codes, colour, how an error is said.

Exit codes: 0 done; 1 unexpected; 2 usage, or an output that cannot be written; 3 an input is
refused; 4 done, but a stated criterion is not met (a fit's verdict is bad, a card does not predict
a chip).
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
import warnings
from importlib import import_module

import click

from rramfit.errors import OutputError, RramfitError, RramfitWarning

__all__ = ["cli", "main"]

_COMMANDS = {
    "characterize": "Fit a model card from measured sweeps, and write its report.",
    "validate": "Ask whether a card predicts another chip.",
    "card": "Show, check, compare and export model cards.",
    "array": "Solve arrays with wires, and compare the solvers.",
    "measurement": "Check, inspect, convert and synthesize measurement files.",
    "map": "Say how a network lies on tiles, and what an inference takes.",
    "evaluate": "Run a network on many chips: its accuracy, with intervals.",
    "train": "Train a network by a recipe, for chips like a card's.",
    "retrain": "Fit a trained network to one fitted chip.",
    "ablate": "Say which non-ideality costs a network what.",
}


class Refused(click.ClickException):
    """The input is at fault; the command line is not."""

    exit_code = 3


class _Commands(click.Group):
    """Commands by name, each imported when it is called, so that help is light."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"rramfit_cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OutputError as e:
            raise click.UsageError(str(e)) from e
        except RramfitError as e:
            raise Refused(str(e)) from e
        except OSError as e:
            if e.errno != errno.ENOSPC or e.filename is not None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is buffered would fail once more
            msg = f"cannot write to standard output: {e.strerror}"
            raise click.UsageError(msg) from e


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=(
        "Exit codes: 0 done, 2 usage, 3 input refused, 4 done but a criterion is not met. "
        "Shell completion: see the README."
    ),
)
@click.version_option(package_name="rramfit")
@click.option("-v", "--verbose", count=True, help="Say more on standard error.")
def cli(verbose: int) -> None:
    """Characterise RRAM arrays and use what was measured."""
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
    # Imported modules are most objects of a short process, and none of them is ever garbage:
    # looking through them while they load and again at the end would take a second with torch.
    gc.set_threshold(100_000, 50, 100)
    try:
        cli(color=False if os.environ.get("NO_COLOR") else None)
    finally:
        gc.freeze()
