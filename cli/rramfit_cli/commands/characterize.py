"""`rramfit characterize`: from measured sweeps to cards, sidecars and reports."""

from __future__ import annotations

import contextlib
import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from rramfit_cli.console import stages
from rramfit_cli.lot_output import print_run
from rramfit_cli.options.types import INPUT, SEED, FiniteRange, InputStream
from rramfit_cli.options.workers import (
    INTERRUPTED,
    ends_as_interrupt,
    given_shard,
    shard_option,
    workers_options,
)
from rramfit_cli.options.yields import limits_of, yield_option
from rramfit_cli.overwriting import check_before, force_option
from rramfit_cli.progress import counted_progress

if TYPE_CHECKING:
    from rramfit.reporting.lots import LotProgress, LotRun, LotSettings, LotTask
    from rramfit.reporting.lots.compare import YieldLimit
    from rramfit.workers import Shard

__all__ = ["characterize"]


@click.command()
@click.argument(
    "files",
    metavar="FILE…",
    nargs=-1,
    type=INPUT,
)
@click.option(
    "--files-from",
    metavar="LIST",
    type=InputStream("rb"),
    help="Read more FILEs from a text file, one path a line; - for standard input.",
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for the results.",
)
@click.option(
    "--layout",
    metavar="TOML",
    type=INPUT,
    help="Layout file for FILEs in your own format (HDF5 or text logs).",
)
@click.option(
    "--name", help="Name of the card of a single measurement.", show_default="name of the file"
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    help="Seed of cross-validation folds, bootstraps and permutations.",
)
@workers_options("the files")
@shard_option("the files")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep cards in DIR that were made from the same file, with this version and settings.",
)
@click.option(
    "--time-limit",
    type=FiniteRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest time for one of several files. Default: 5 minutes and 10 s per megabyte.",
)
@yield_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option("--no-report", is_flag=True, help="Do not write the HTML report.")
@force_option
def characterize(
    files: tuple[Path, ...],
    files_from: BinaryIO | None,
    output: Path,
    layout: Path | None,
    name: str | None,
    seed: int,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    resume: bool,
    time_limit: float | None,
    yield_at: tuple[YieldLimit, ...],
    as_json: bool,
    no_report: bool,
) -> None:
    """Fit a model card to each FILE and write its report.

    Writes NAME.card.json, NAME.cells.h5 and NAME.report.html into DIR; for several arrays also a
    summary of the lot, lot.csv and lot.html. If --layout divides an array into tiles, each tile
    gets a card: NAME_tile0, NAME_tile1, … A file without a card gets a row in lot.csv that says
    why, and the others go on. Exit code 3: a file has no card. Exit code 4: the verdict of a fit is
    bad; the card is written with this verdict.
    """
    from rramfit.reporting.lots import LotSettings, characterize_lot, plan_tasks
    from rramfit.reporting.lots import files_from as listed

    paths = [*files, *(listed(files_from.read(), files_from.name) if files_from else [])]
    if not paths:
        msg = "Missing argument 'FILE…'. Give measurement files, or a list with --files-from."
        raise click.UsageError(msg)
    if name is not None and Path(name).name != name:
        msg = f"{name!r} is not a file name. Choose the folder with -o."
        raise click.BadParameter(msg, param_hint="--name")
    if name is not None and len(paths) > 1 and layout is None:
        msg = f"--name names one card, but there are {len(paths)} files. Omit --name."
        raise click.UsageError(msg)
    tasks = plan_tasks(paths, output=output, layout=layout, name=name)
    settings = LotSettings(
        output=output,
        layout=layout,
        seed=seed,
        report=not no_report,
        resume=resume,
        good=limits_of(yield_at),
    )
    _check_outputs(tasks, settings)
    part = given_shard(shard, len(tasks), "files")
    total = len(part.in_turn(len(tasks))) if part else len(tasks)
    with (
        ends_as_interrupt(),
        _shown(total) as (on_stage, on_progress),
    ):
        run = characterize_lot(
            tasks,
            settings,
            jobs=jobs,
            scheduler=scheduler,
            shard=part,
            seconds=time_limit,
            on_stage=on_stage,
            on_progress=on_progress,
            on_warning=lambda text: click.echo(f"warning: {text}", err=True),
        )
    with run:
        if run.interrupted:
            _print_interrupted(run)
            sys.exit(INTERRUPTED)
        sys.exit(print_run(run, output, settings.good, as_json=as_json))


def _check_outputs(tasks: Sequence[LotTask], settings: LotSettings) -> None:
    """Check, before the work, that no result replaces a file that is no result."""
    kinds = {"card.json": ("card", "characterize"), "cells.h5": ("cells", "characterize")}
    if settings.report:
        kinds["report.html"] = ("report", "rramfit")
    for task in tasks:
        for ending, kind in kinds.items():
            check_before(settings.output / f"{task.name}.{ending}", *kind)
            if settings.layout is not None:
                for path in settings.output.glob(f"{glob.escape(task.name)}_tile*.{ending}"):
                    check_before(path, *kind)
    if len(tasks) > 1:
        check_before(settings.output / "lot.csv", "table", "file,name,verdict")
        check_before(settings.output / "lot.html", "report", "rramfit")


@contextlib.contextmanager
def _shown(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[LotProgress], None]]]:
    """Show the stage of a single file, or the progress of several."""
    if total == 1:
        with stages("characterizing") as on_stage:
            yield on_stage, lambda _: None
        return
    with counted_progress("characterizing", total, "files", "without card") as show:
        yield lambda _: None, lambda p: show(p.done, p.without_card)


def _print_interrupted(run: LotRun) -> None:
    done = len(run.rows)
    where = f"; rows in {run.table}" if run.table is not None else ""
    click.echo(
        f"Interrupted: {done} of {run.total} files are done and kept{where}. "
        "Add --resume to the command to continue.",
        err=True,
    )
