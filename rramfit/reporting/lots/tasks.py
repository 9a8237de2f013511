"""What a lot consists of: one task per file, or one for all logs of a measurement; settings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rramfit.errors import InputError, visible
from rramfit.measurement.lab.layout import read_layout
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.reporting.lots.compare.yields import DEFAULT_YIELD, YieldLimit

__all__ = ["LotSettings", "LotTask", "files_from", "plan_tasks", "time_limit"]

_BASE, _PER_BYTE = 300.0, 10e-6  # [s], [s/byte]: about 50 times what a fit takes


@dataclass(frozen=True, slots=True, kw_only=True)
class LotSettings:
    """What all tasks of a lot have in common.

    Attributes
    ----------
    output : Path
        Folder for the results.
    layout : Path, optional
        Layout file of the inputs.
    seed : int
    report : bool
        Whether to write HTML reports.
    resume : bool
        Whether to keep cards of an earlier run with the same input, version and settings.
    good : tuple of YieldLimit
        Limits of an array that counts in the yield.
    in_lot : bool
        Whether the lot gets a summary, to which reports link; `characterize_lot` sets it.
    """

    output: Path
    layout: Path | None = None
    seed: int = 0
    report: bool = True
    resume: bool = False
    good: tuple[YieldLimit, ...] = DEFAULT_YIELD
    in_lot: bool = False


@dataclass(frozen=True, slots=True)
class LotTask:
    """Files that are characterized together, and the name of their card."""

    files: tuple[Path, ...]
    name: str


def plan_tasks(
    paths: Sequence[Path], *, output: Path, layout: Path | None = None, name: str | None = None
) -> list[LotTask]:
    """Return the tasks of a lot, in the order of its files.

    Parameters
    ----------
    paths : sequence of Path
    output : Path
        Folder for the cards, for messages.
    layout : Path, optional
        If it assigns one log to each read-out, all files are one measurement, named after the
        first.
    name : str, optional
        Name of the card, for one file or one measurement; by default the file name.

    Raises
    ------
    InputError
        If two files would write the same card, one name is given for several, or the layout file
        is invalid.
    """
    several: list[tuple[Path, ...]] = [(path,) for path in paths]
    if layout is not None:
        lab = read_layout(layout)
        if isinstance(lab, TableLayout) and lab.joins_files:
            several = [tuple(paths)]
    if name is not None and len(several) > 1:
        raise InputError(
            output,
            f"{name}.card.json",
            found=f"one name for {len(several)} files",
            expected="one card per file",
            remedy="omit the name",
        )
    names = [name or visible(Path(first.name.removesuffix(".gz")).stem) for first, *_ in several]
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            output,
            f"{twice[0]}.card.json",
            found=f"{names.count(twice[0])} files with this name",
            expected="one card per file",
            remedy="rename the files, or write to different folders",
        )
    return [LotTask(files, stem) for files, stem in zip(several, names, strict=True)]


def files_from(content: bytes, source: str) -> list[Path]:
    """Return the paths in a list: one a line, or separated by NUL as `find -print0` writes them.

    Raises
    ------
    InputError
        If there is none.
    """
    separator = b"\0" if b"\0" in content else b"\n"
    lines = (line.removesuffix(b"\r") for line in content.split(separator))
    paths = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    if not paths:
        raise InputError(source, "list", found="no path", expected="one path a line")
    return paths


def time_limit(task: LotTask, seconds: float | None) -> float:
    """Return the longest time of a task [s]: as given, or 5 minutes and 10 s per megabyte."""
    if seconds is not None:
        return seconds
    size = 0
    for path in task.files:
        try:
            size += path.stat().st_size
        except (OSError, ValueError):  # its row will say why it cannot be read
            continue
    return _BASE + _PER_BYTE * size
