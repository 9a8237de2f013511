"""Merge results of several runs into one lot, as if one run had made it.

A folder holds, in this order of precedence, shards of a lot (lot.I-of-N.jsonl), a lot (lot.csv), or
cards of single files, which are taken in the order of their names. Of a lot in shards all must be
there. Cards, sidecars and reports are linked into the new folder, or copied where that is not
possible.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rramfit.card import load_card
from rramfit.errors import InputError, RramfitError
from rramfit.provenance import atomic_file, check_folder
from rramfit.reporting.lots.compare.yields import DEFAULT_YIELD, YieldLimit
from rramfit.reporting.lots.lot import LotRun, write_lot_page
from rramfit.reporting.lots.row import Row, row_of_card
from rramfit.reporting.lots.shard_file import ShardFile, shard_files
from rramfit.reporting.lots.spool import RowSpool, write_csv
from rramfit.workers import Shard

__all__ = ["merge_lots"]


def merge_lots(
    folders: Sequence[Path],
    output: Path,
    *,
    report: bool = True,
    good: Sequence[YieldLimit] = DEFAULT_YIELD,
) -> LotRun:
    """Merge the results in `folders` into `output`: cards, lot.csv and, with `report`, lot.html.

    The yield is that of arrays within the limits `good`.

    Raises
    ------
    InputError
        If a folder has no results, a shard is missing or given twice, a card is missing or changed,
        or two arrays have the same name.
    OutputError
        If the results cannot be written.
    """
    check_folder(output)
    sources, shards = _sources(folders)
    _check_complete(shards)
    rows = RowSpool(output)
    try:
        names: set[str] = set()
        position = 0
        for source in sources:
            position = _add(source, rows, names, position, output)
        run = LotRun(rows, position, table=output / "lot.csv")
        write_csv(lambda: rows, output / "lot.csv")
        if report:
            write_lot_page(rows, output, good)
    except BaseException:
        rows.__exit__(None, None, None)
        raise
    return run


def _sources(
    folders: Sequence[Path],
) -> tuple[list[Path | list[ShardFile]], dict[str, list[ShardFile]]]:
    """Return folders, and lots in shards, in the order of their first appearance."""
    sources: list[Path | list[ShardFile]] = []
    shards: dict[str, list[ShardFile]] = {}
    for folder in dict.fromkeys(x.resolve() for x in folders):
        found = shard_files(folder)
        for file in found:
            if file.lot not in shards:
                shards[file.lot] = []
                sources.append(shards[file.lot])
            shards[file.lot].append(file)
        if not found:
            sources.append(folder)
    return sources, shards


def _check_complete(shards: dict[str, list[ShardFile]]) -> None:
    """Raise `InputError` unless every shard of every lot is there once."""
    for files in shards.values():
        first = files[0]
        of = first.shard.of
        found = [file.shard for file in files]
        wrong = [s for s in found if s.of != of or found.count(s) > 1]
        missing = [str(s) for i in range(1, of + 1) if (s := Shard(i, of)) not in found]
        if wrong or missing:
            listed = ", ".join(str(s) for s in found)
            rest = f"{', '.join(missing[:8])}{', …' if len(missing) > 8 else ''}"
            raise InputError(
                first.path.parent,
                "shards",
                found=f"shards {listed}",
                expected=f"each of 1/{of} to {of}/{of} once",
                remedy=f"run the missing ones with --shard {rest}" if missing else "remove copies",
            )


def _add(
    source: Path | list[ShardFile], rows: RowSpool, names: set[str], start: int, output: Path
) -> int:
    """Add the rows of one source; return the next position."""
    if isinstance(source, Path):
        position = start
        for row in _rows_of_folder(source):
            rows.add(position, [_taken(row, source, names, output)])
            position += 1
        return position
    for file in source:
        together: list[Row] = []
        at = -1
        for position, row in file.rows():
            if position != at and together:
                rows.add(start + at, together)
                together = []
            at = position
            together.append(_taken(row, file.path.parent, names, output))
        if together:
            rows.add(start + at, together)
    tasks = source[0].tasks
    if (done := sum(start <= p < start + tasks for p in rows.positions())) != tasks:
        raise InputError(
            source[0].path.parent,
            "shards",
            found=f"rows of {done} files",
            expected=f"rows of all {tasks} files of the lot",
            remedy="run the shards again with --resume",
        )
    return start + tasks


def _taken(row: Row, folder: Path, names: set[str], output: Path) -> Row:
    """Link the files of a row into the output, and return the row."""
    if row.name in names:
        raise InputError(
            folder,
            f"{row.name}.card.json",
            found="a second array with this name",
            expected="one card per name",
            remedy="rename the files, or merge into different folders",
        )
    names.add(row.name)
    for name in (row.report, row.cells, row.card):
        if name is not None:
            _link(folder, name, output)
    return row


def _link(folder: Path, name: str, output: Path) -> None:
    source, target = folder / name, output / name
    if Path(name).name != name or not source.is_file():
        raise InputError(
            folder, name, found="no such file", expected="a result of the lot in this folder"
        )
    if output.resolve() == folder.resolve():
        return
    with atomic_file(target) as part:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)


def _rows_of_folder(folder: Path) -> Iterator[Row]:
    table = folder / "lot.csv"
    if table.is_file():
        yield from _rows_of_table(table)
        return
    cards = sorted(folder.glob("*.card.json"))
    if not cards:
        raise InputError(
            folder,
            "folder",
            found="no lot.csv and no card",
            expected="results of `rramfit characterize`",
        )
    for path in cards:
        card = load_card(path)
        inputs = card.provenance.inputs
        file = inputs[0].name if inputs else path.name
        yield row_of_card(card, file, report=_report_of(card.name, folder))


def _rows_of_table(table: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    try:
        with table.open(encoding="utf-8", newline="") as f:
            records: Iterable[dict[str, str]] = csv.DictReader(f)
            for record in records:
                name, file = record["name"], record["file"]
                if record["verdict"] not in ("refused", "failed"):
                    card = load_card(table.parent / f"{name}.card.json")
                    yield row_of_card(card, file, report=_report_of(name, table.parent))
                    continue
                yield Row(
                    file=file,
                    name=name,
                    verdict="failed" if record["verdict"] == "failed" else "refused",
                    problem=record["problem"],
                )
    except RramfitError:
        raise
    except (OSError, ValueError, KeyError, csv.Error) as e:
        raise InputError(
            table, "table", found=f"{type(e).__name__}: {e}", expected="a lot.csv of rramfit"
        ) from None


def _report_of(name: str, folder: Path) -> bool:
    return (folder / f"{name}.report.html").is_file()
