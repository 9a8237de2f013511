"""Whether a command may write over an existing file: only over a file that it wrote itself.

What a file is, is read from its content, never from its name. Two files have the same `Origin` if
the same command of rramfit could have written both. An existing file is replaced if its origin is
that of the new file; any other file is kept, and the command ends, unless it was given `--force`.

The check is made twice: before the work, where the kind of the output is known, and again before a
finished file is put in the place of another, for every file of a command.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rramfit.errors import InputError, OverwriteError
from rramfit_cli.file_kinds import identify

__all__ = ["FIELDS", "Kind", "check_before", "force_option", "forced", "keep_existing_files"]

_F = TypeVar("_F", bound=Callable[..., Any])
_META = "rramfit.force"
_HEAD = 2**20  # bytes that are enough to recognize a format
_MOST_CELLS = 2**24  # of a NumPy array that is read

FIELDS = 3
"""Fields of the header of a table that identify it; later ones may vary."""

_CARD_WRITERS = {
    "migrated_from": "card migrate",
    "cited": "card cite",
    "levels_taken": "card take",
    "stated_by": "card from",
    "cards": "card pool",
    "bakes_joined": "card bakes",
}
"""Command that wrote a card, by a key of the arguments in its provenance."""

Kind = str
"""What a file is: measurement, card, cells, checkpoint, report, table, JSON, lines, draft, input
patterns; other if it is none of them."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file is, and the command that wrote it; `writer` is empty if none of rramfit did."""

    kind: Kind
    writer: str = ""


def force_option(command: _F) -> _F:
    """Add `--force` to a command that writes files."""
    return click.option(
        "--force",
        is_flag=True,
        is_eager=True,  # before the outputs, which are checked as they are parsed
        expose_value=False,
        callback=_note_force,
        help="Write over existing files that this command did not write.",
    )(command)


def _note_force(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_META] = ctx.meta.get(_META, False) or value


def forced() -> bool:
    """Return whether the running command was given `--force`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_META))


@contextlib.contextmanager
def keep_existing_files() -> Iterator[None]:
    """Check every file that is written inside the context, before it replaces another."""
    from rramfit.provenance import before_replacing

    with before_replacing(_check_finished):
        yield


def check_before(path: Path, kind: Kind, writer: str = "") -> None:
    """Check, before the work, that an output may be written to a path.

    Parameters
    ----------
    path : Path
    kind : str
        Kind of the output.
    writer : str
        Which command writes it, if several write this kind: as in `Origin`.

    Raises
    ------
    OverwriteError
        If the path is a file that no command writing this kind wrote.
    """
    if not path.is_file() or path.stat().st_size == 0 or forced():
        return  # an empty file holds nothing to keep
    found = _origin(path)
    if found.kind != kind or not found.writer or (writer and found.writer != writer):
        raise _kept(path)


def _check_finished(path: Path, new: Path) -> None:
    """Check that a finished file may replace an existing one."""
    if forced() or path.stat().st_size == 0 or filecmp.cmp(path, new, shallow=False):
        return
    found = _origin(path)
    if not found.writer or found != _origin(new):
        raise _kept(path)


def _kept(path: Path) -> OverwriteError:
    kind = identify(path)
    return OverwriteError(path, "a file of unknown format" if kind is None else kind.label)


def _origin(path: Path) -> Origin:
    try:
        with path.open("rb") as f:
            head = f.read(_HEAD)
        if head.startswith(b"\x89HDF\r\n\x1a\n"):
            cells = b"rramfit-cells" in head
            return Origin("cells", "characterize") if cells else _hdf5(path)
        if head.startswith(b"PK\x03\x04"):
            return _archive(path)
        if head.startswith(b"\x93NUMPY"):
            return _numpy(path)
        return _text(path, head)
    except (OSError, ValueError, InputError, zipfile.BadZipFile):
        return Origin("other")


def _hdf5(path: Path) -> Origin:
    from rramfit.errors import MeasurementError
    from rramfit.hdf5 import open_hdf5
    from rramfit.hdf5.messages import CONTENT

    with open_hdf5(path, MeasurementError) as f:
        if (
            f.attrs.get("format") != "rramfit-measurement"
            or CONTENT not in f.attrs
            or f.sealed is False
        ):
            return Origin("measurement")
        return Origin("measurement", "synthesize" if f.attrs.get("synthetic") else "convert")


def _archive(path: Path) -> Origin:
    """Look for the identity of a training in a checkpoint, without unpickling it."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not names:
            return Origin("other")
        with archive.open(names[0]) as f:
            pickled = f.read(_HEAD * 16)
    stages = {  # a stage's identity contains those of the stages before it
        "retrain": b"retrain.",
        "train": b"aware.",
        "train the digital network": b"plain.",
        "train the teacher": b"teacher.",
    }
    if _pickled_text(b"of") not in pickled or (b"rule" not in pickled and b"model" not in pickled):
        return Origin("checkpoint")
    return Origin("checkpoint", next((w for w, mark in stages.items() if mark in pickled), ""))


def _pickled_text(text: bytes) -> bytes:
    """Return a short text as protocol 2 of pickle, which torch uses, writes it."""
    return b"X" + len(text).to_bytes(4, "little") + text


def _numpy(path: Path) -> Origin:
    import numpy as np

    values = np.load(path, mmap_mode="r", allow_pickle=False)
    return _numbers(values) if values.size <= _MOST_CELLS else Origin("other")


def _numbers(values: Any) -> Origin:
    """Recognize the input patterns of `plan-lines`: each row has 0 V or the one read voltage."""
    import numpy as np

    levels = np.unique(values)
    binary = values.ndim == 2 and len(levels) <= 2 and levels[0] == 0
    return Origin("input patterns", "plan-lines") if binary else Origin("other")


def _text(path: Path, head: bytes) -> Origin:
    import csv

    if b"\0" in head:
        return Origin("other")
    text = head.decode("utf-8-sig", "replace")
    start = text.lstrip()[:4096]
    first = start.splitlines()[0] if start else ""
    if start.lower().startswith(("<!doctype html", "<html")):
        made = '<meta name="generator" content="rramfit">' in start
        return Origin("report", "rramfit" if made else "")
    if start.startswith(("{", "[")):
        return _json(path, first)
    if first.startswith("# Draft layout"):
        return Origin("draft")  # probably edited by hand
    if first.startswith("rramfit "):
        return Origin("lines", "rramfit")
    separator = max(",\t; ", key=first.count)
    fields = next(csv.reader([first], delimiter=separator), [])
    if not fields:
        return Origin("other")
    if _is_number(fields[0]):
        import numpy as np

        return _numbers(np.loadtxt(path, delimiter=separator, ndmin=2))
    return Origin("table", separator.join(fields[:FIELDS]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json(path: Path, first: str) -> Origin:
    from rramfit.card.canonical import card_digest

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return Origin("lines", ", ".join(json.loads(first)))  # one object a line
    if not isinstance(content, dict):
        return Origin("other")
    if "schema_version" not in content:
        return Origin("JSON", ", ".join(list(content)[:FIELDS]))
    if content.get("digest") != card_digest(content):
        return Origin("card")  # edited by hand
    arguments = content.get("provenance", {}).get("arguments", {})
    for key, writer in _CARD_WRITERS.items():
        if key in arguments:
            return Origin("card", writer)
    return Origin("card", "characterize")
