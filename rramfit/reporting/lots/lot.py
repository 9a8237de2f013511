"""Characterize a lot: one task per file, in parallel, whatever becomes of each.

Several files run in child processes, or on a Dask cluster; a single one runs in this process.
lot.csv is complete at the end, and in between it has the rows of all files that are done: it is
written anew, each time as a whole, when 20 times as long has passed as writing it took.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rramfit.provenance import check_folder
from rramfit.reporting.lots.compare.tables import LotTable
from rramfit.reporting.lots.compare.yields import DEFAULT_YIELD, YieldLimit
from rramfit.reporting.lots.one_task import characterize_task, lost_rows
from rramfit.reporting.lots.row import Row
from rramfit.reporting.lots.shard_file import shard_stem, write_shard
from rramfit.reporting.lots.spool import RowSpool, write_csv
from rramfit.reporting.lots.tasks import LotSettings, LotTask, time_limit
from rramfit.workers import Lost, Shard, run_tasks

__all__ = ["LotProgress", "LotRun", "characterize_lot", "write_lot_page"]

_SHARE_OF_TIME = 20.0
_FIRST = 2.0  # [s] until lot.csv is first written


@dataclass(frozen=True, slots=True)
class LotProgress:
    """How far a lot is."""

    done: int  # files
    total: int
    without_card: int  # files of `done` that gave no card, or not all of their cards


@dataclass(slots=True)
class LotRun:
    """The rows of a lot, to iterate over in the order of its files; close it after use.

    Attributes
    ----------
    rows : RowSpool
    total : int
        Number of files, or of measurements of several logs.
    interrupted : bool
        Whether an interrupt ended the run before the last file.
    table : Path, optional
        The CSV file with the rows; None for a single array.
    """

    rows: RowSpool
    total: int
    interrupted: bool = False
    table: Path | None = None

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.rows.__exit__(kind, error, trace)


def characterize_lot(
    tasks: Sequence[LotTask],
    settings: LotSettings,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    shard: Shard | None = None,
    seconds: float | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[LotProgress], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> LotRun:
    """Characterize every task into the folder of the settings.

    The results are the same for any number of jobs, on a cluster, and in shards that are merged.

    Parameters
    ----------
    tasks : sequence of LotTask
        From `plan_tasks`.
    settings : LotSettings
    jobs : int
        Number of processes.
    scheduler : str, optional
        Address of a Dask scheduler, on whose workers the tasks run.
    shard : Shard, optional
        Do only this part of the tasks, and write its rows for `merge_lots`.
    seconds : float, optional
        Longest time of a task, if several run; by default 5 minutes and 10 s per megabyte.
    on_stage : callable (str), optional
        Called with each stage of a single file.
    on_progress : callable (LotProgress), optional
        Called after each file.
    on_warning : callable (str), optional
        Called with each warning.

    Raises
    ------
    OutputError
        If the results cannot be written; the rows so far are kept where possible.
    WorkersError
        If the cluster cannot be used; likewise.
    """
    check_folder(settings.output)
    settings = replace(settings, in_lot=len(tasks) > 1 or shard is not None)
    places = shard.in_turn(len(tasks)) if shard else range(len(tasks))
    several = settings.in_lot
    rows = RowSpool(settings.output if several else None)
    run = LotRun(rows, len(places))
    snapshots = _Snapshots(rows, settings.output / f"{shard_stem(shard)}.csv" if several else None)
    mine = [tasks[at] for at in places]
    without_card = 0
    try:
        found = _results(mine, settings, jobs, scheduler, seconds, on_stage, in_children=several)
        with contextlib.closing(found):
            for at, result in found:
                done = lost_rows(result, mine[at], settings) if isinstance(result, Lost) else result
                rows.add(places[at], done)
                for text in (w for row in done for w in row.warnings):
                    on_warning(text)
                without_card += not all(row.has_card for row in done)
                on_progress(LotProgress(len(rows), len(places), without_card))
                snapshots.take()
    except KeyboardInterrupt:
        run.interrupted = True
    except BaseException:
        with contextlib.suppress(Exception):
            snapshots.write()
        rows.__exit__(None, None, None)
        raise
    _write_tables(run, tasks, settings, shard, snapshots)
    return run


def _results(
    tasks: Sequence[LotTask],
    settings: LotSettings,
    jobs: int,
    scheduler: str | None,
    seconds: float | None,
    on_stage: Callable[[str], None],
    *,
    in_children: bool,
) -> Generator[tuple[int, list[Row] | Lost]]:
    if not in_children and scheduler is None:
        for at, task in enumerate(tasks):
            yield at, characterize_task(task, settings, on_stage)
        return
    yield from run_tasks(
        characterize_task,
        [(task, settings) for task in tasks],
        jobs=jobs,
        scheduler=scheduler,
        limit=lambda at: time_limit(tasks[at], seconds),
    )


def _write_tables(
    run: LotRun,
    tasks: Sequence[LotTask],
    settings: LotSettings,
    shard: Shard | None,
    snapshots: _Snapshots,
) -> None:
    """Write lot.csv and lot.html, or the files of a shard."""
    if snapshots.path is None and sum(1 for _ in run.rows) > 1:  # tiles of one file
        snapshots.path = settings.output / "lot.csv"
    if snapshots.path is not None:
        snapshots.write()
        run.table = snapshots.path
    if run.interrupted or run.table is None:
        return
    if shard is not None:
        write_shard(run.rows, shard, tasks, settings)
    elif settings.report:
        write_lot_page(run.rows, settings.output, settings.good)


def write_lot_page(
    rows: RowSpool, output: Path, good: Sequence[YieldLimit] = DEFAULT_YIELD
) -> None:
    """Write lot.html, with the yield of arrays within the limits `good`."""
    from rramfit.reporting.lots.lot_report import lot_report

    lot_report(LotTable.of(rows, good)).save(output / "lot.html")


@dataclass(slots=True)
class _Snapshots:
    """The table of the rows so far, written now and then."""

    rows: RowSpool
    path: Path | None
    _next: float = field(default_factory=lambda: time.monotonic() + _FIRST)

    def take(self) -> None:
        """Write the table, unless it was written a short time ago."""
        if self.path is not None and time.monotonic() >= self._next:
            start = time.monotonic()
            self.write()
            end = time.monotonic()
            self._next = end + max(_FIRST, _SHARE_OF_TIME * (end - start))

    def write(self) -> None:
        """Write the table.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self.path is not None:
            write_csv(lambda: self.rows, self.path)
