"""Provenance and whole files: where a result came from, and how it reaches the disk.

The same input and seed give the same bytes, so no clock is read here: the time of a result is
``SOURCE_DATE_EPOCH`` where it is set (the convention of reproducible builds), else the time at
which the input was measured, else the modification time of the newest input file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rramfit.errors import OutputError

__all__ = [
    "check_file",
    "check_folder",
    "package_version",
    "result_time",
    "sha256_of",
    "whole_file",
]


def package_version() -> str:
    """Version of the installed package."""
    return metadata.version("rramfit")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def result_time(inputs: Sequence[Path], measured_at: str | None = None) -> tuple[str, str]:
    """Time that stands for a result, and where it was taken from.

    Parameters
    ----------
    inputs : sequence of Path
        The input files.
    measured_at : str, optional
        ISO 8601 time with zone at which the input was measured.

    Returns
    -------
    time, source : str
        ISO 8601 in UTC to the second, and what it is the time of.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        moment, source = datetime.fromtimestamp(int(epoch), UTC), "SOURCE_DATE_EPOCH"
    elif measured_at:
        moment, source = datetime.fromisoformat(measured_at), "measured_at of the input"
    else:
        newest = max(path.stat().st_mtime for path in inputs)
        moment, source = datetime.fromtimestamp(newest, UTC), "modification time of the input"
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), source


def check_folder(folder: Path) -> None:
    """Check that results can be written into a folder, which need not be there yet.

    Raises
    ------
    OutputError
        Before any work is put into results that would be lost.
    """
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise OutputError(folder, f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(folder, f"no permission to write into {there}")


def check_file(path: Path) -> None:
    """Check that a result can be written to a file, whose folder need not be there yet.

    Raises
    ------
    OutputError
        Before any work is put into a result that would be lost.
    """
    if not path.name or os.path.isdir(path):  # noqa: PTH112  # a name may be too long to ask for
        raise OutputError(path, os.strerror(errno.EISDIR))
    if os.path.exists(path) and not path.is_file():  # noqa: PTH110
        raise OutputError(path, "it is a device or a pipe, and no file can take its place")
    try:
        check_folder(path.absolute().parent)
    except OutputError as e:
        raise OutputError(path, e.reason) from None


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path beside it, renamed on success.

    A symbolic link stays one: the file that it points to is written.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with whole_file(target) as beside:
    ...     _ = beside.write_text("done")
    >>> target.read_text()
    'done'
    """
    check_file(path)
    path = path.resolve() if os.path.islink(path) else path  # noqa: PTH114
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(path)
    except OSError as e:
        raise OutputError(path, os.strerror(e.errno) if e.errno else str(e)) from e
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
