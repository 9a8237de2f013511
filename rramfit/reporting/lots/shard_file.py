"""The rows of one shard of a lot: lot.I-of-N.jsonl, one JSON document a line.

The first line says which shard of which lot it is; each other line is [position of the task in the
whole lot, row]. The file is written when all tasks of the shard are done.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rramfit.card.canonical import canonical_json
from rramfit.errors import InputError
from rramfit.provenance import atomic_file, package_version, sha256_of
from rramfit.reporting.lots.row import Row
from rramfit.reporting.lots.spool import RowSpool
from rramfit.reporting.lots.tasks import LotSettings, LotTask
from rramfit.workers import Shard

__all__ = ["ShardFile", "open_shard", "shard_files", "shard_stem", "write_shard"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A shard file and its first line."""

    path: Path
    lot: str  # digest of what all shards of a lot have in common
    shard: Shard
    tasks: int  # in the whole lot

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Iterate over (position of the task, row).

        Raises
        ------
        InputError
            If a line is not a row of this shard.
        """
        with self.path.open(encoding="utf-8") as lines:
            next(lines, None)
            for number, line in enumerate(lines, 2):
                try:
                    position, row = json.loads(line)
                    content = Row(**row)
                    position = range(self.tasks)[position]
                except (ValueError, TypeError, IndexError):
                    raise InputError(
                        self.path, f"line {number}", found=line[:60], expected="a row of the lot"
                    ) from None
                yield position, content


def shard_stem(shard: Shard | None) -> str:
    """Return the file name, without suffix, of the tables of a lot or of its shard."""
    return "lot" if shard is None else f"lot.{shard.index}-of-{shard.of}"


def write_shard(
    rows: RowSpool, shard: Shard, tasks: Sequence[LotTask], settings: LotSettings
) -> None:
    """Write the rows of a shard."""
    common = {
        "seed": settings.seed,
        "report": settings.report,
        "layout": None if settings.layout is None else sha256_of(settings.layout),
        "version": package_version(),
    }
    names = [task.name.encode("utf-8", "backslashreplace").decode() for task in tasks]
    lot = hashlib.sha256(canonical_json({**common, "names": names}).encode()).hexdigest()
    head = {
        "rramfit_lot": _FORMAT, "lot": lot, "shard": str(shard), "tasks": len(tasks),
        "rramfit_version": package_version(),
    }  # fmt: skip
    with (
        atomic_file(settings.output / f"{shard_stem(shard)}.jsonl") as part,
        part.open("w", encoding="utf-8") as out,
    ):
        out.write(json.dumps(head) + "\n")
        for position in rows.positions():
            for row in rows.rows_of(position):
                out.write(f"[{position}, {row.to_json()}]\n")


def shard_files(folder: Path) -> list[ShardFile]:
    """Return the shard files in a folder, in the order of their shards."""
    found = [p for p in folder.iterdir() if re.fullmatch(r"lot\.\d+-of-\d+\.jsonl", p.name)]
    return sorted((open_shard(p) for p in found), key=lambda x: (x.lot, x.shard.index))


def open_shard(path: Path) -> ShardFile:
    """Read the first line of a shard file.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        with path.open(encoding="utf-8") as f:
            head = json.loads(f.readline())
        if head["rramfit_lot"] != _FORMAT:
            raise InputError(
                path,
                "rramfit_lot",
                found=str(head["rramfit_lot"]),
                expected=str(_FORMAT),
                remedy="merge with the version of rramfit that wrote it",
            )
        return ShardFile(path, str(head["lot"]), Shard.parse(head["shard"]), int(head["tasks"]))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(
            path, "line 1", found=f"{type(e).__name__}: {e}", expected="the head of a shard file"
        ) from None
