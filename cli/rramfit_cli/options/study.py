"""Options of studies over chips that can be divided, interrupted and stopped, and their merging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rramfit_cli.options.types import INPUT, FiniteRange, output_of
from rramfit_cli.options.workers import shard_option, workers_options
from rramfit_cli.overwriting import force_option

if TYPE_CHECKING:
    from rramfit.workers import Shard

__all__ = ["MergeableCommand", "check_study_options", "merge_command", "study_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


class MergeableCommand(click.Command):
    """A command whose first argument may be `merge`, for results that were made in parts."""

    merge: click.Command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of this command, or of its merge command."""
        if args[:1] == ["merge"]:
            return self.merge.make_context(f"{info_name} merge", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def study_options(command: _F) -> _F:
    """Add the options that divide, save, continue and stop a study."""
    for option in (
        click.option(
            "--until",
            type=FiniteRange(min=0, min_open=True),
            metavar="POINTS",
            help="Stop when the 95 % interval of the mean over chips is this narrow [percentage "
            "points], but not before 20 chips nor after --chips.",
        ),
        click.option(
            "--resume", is_flag=True, help="Continue from the chips in the file of --save."
        ),
        click.option(
            "--save",
            type=output_of("JSON"),
            help="JSON file for the chips done so far, written while the command runs.",
        ),
        click.option(
            "--first",
            type=click.IntRange(min=0),
            help="Index of the first chip, for chips FIRST to FIRST + CHIPS - 1. Default: 0.",
        ),
        shard_option("the chips"),
        workers_options("the chips"),
    ):
        command = option(command)
    return command


def merge_command(kind: str, show: Callable[..., None]) -> click.Command:
    """Return the command that merges results of one kind; `show(record, as_json=)` prints them."""

    @click.command(name="merge")
    @click.argument("files", metavar="FILE…", nargs=-1, required=True, type=INPUT)
    @click.option("--save", type=output_of("JSON"), help="JSON file for the chips of all FILEs.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    @force_option
    def merge(files: tuple[Path, ...], save: Path | None, as_json: bool) -> None:
        """Join the results of parts of one study, and print them as one run would have.

        FILEs are outputs of the command with --json, or files of --save. Every chip must be in one
        of them.
        """
        from rramfit.errors import InputError
        from rramfit.mapping.study.study_record import load_record, merge_records

        record = merge_records([load_record(path, kind) for path in files], files)
        for name, (gap, *_) in record.gaps().items():
            raise InputError(
                files[-1],
                name,
                found=f"no chips {gap.start} to {gap.stop - 1} in any file",
                expected="every chip in one of the files",
                remedy="run the missing part, then merge again",
            )
        if save is not None:
            record.save(save)
        show(record, as_json=as_json)

    return merge


def check_study_options(
    *,
    shard: Shard | None,
    first: int | None,
    until: float | None,
    save: Path | None,
    resume: bool,
    card_draws: int | None = None,
) -> None:
    """Check that options of a study do not contradict each other.

    Raises
    ------
    click.UsageError
        If they do.
    """
    divided = "--shard" if shard is not None else "--first" if first is not None else None
    if shard is not None and first is not None:
        msg = "--shard and --first exclude each other; give one of them"
    elif until is not None and divided:
        msg = f"--until needs all chips from 0 on; remove {divided}, or use --jobs or --scheduler"
    elif first is not None and card_draws is not None:
        msg = "--card-uncertainty divides all chips among its draws; replace --first by --shard"
    elif resume and save is None:
        msg = "--resume continues from a file; name it with --save"
    else:
        return
    raise click.UsageError(msg)
