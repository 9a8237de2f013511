"""Provenance of results and atomic writing of files.

The same input and seed give the same bytes, so the clock is never read. The time of a result is
``SOURCE_DATE_EPOCH`` if it is set (the convention of reproducible builds), else the time at which
the input was measured, else the modification time of the newest input file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rramfit.errors import InputError, OutputError, RramfitError

__all__ = [
    "atomic_file",
    "before_replacing",
    "check_file",
    "check_folder",
    "package_version",
    "result_time",
    "sha256_of",
]


def package_version() -> str:
    """Return the version of the installed package."""
    return metadata.version("rramfit")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, as 64 hexadecimal digits.

    Raises
    ------
    InputError
        If it cannot be read, as when it was removed during the work.
    """
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise _gone(path, e) from None


def _gone(path: Path, error: OSError) -> InputError:
    return InputError(
        path,
        "file",
        found=f"a file that cannot be read ({error.strerror})",
        expected="the input, unchanged until the result is written",
    )


def result_time(inputs: Sequence[Path], measured_at: str | None = None) -> tuple[str, str]:
    """Return the time of a result, and the source of that time.

    Parameters
    ----------
    inputs : sequence of Path
        The input files.
    measured_at : str, optional
        When the input was measured: ISO 8601 with time zone.

    Returns
    -------
    time, source : str
        ISO 8601 in UTC, to the second; and where it was taken from.

    Raises
    ------
    RramfitError
        If SOURCE_DATE_EPOCH is not a number of seconds.
    InputError
        If an input file was removed.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        try:
            moment, source = datetime.fromtimestamp(int(epoch), UTC), "SOURCE_DATE_EPOCH"
        except (ValueError, OverflowError, OSError):
            msg = (
                f"SOURCE_DATE_EPOCH is {epoch!r}, expected seconds since 1970. Correct or unset it."
            )
            raise RramfitError(msg) from None
    elif measured_at:
        moment, source = datetime.fromisoformat(measured_at), "measured_at of the input"
    else:
        newest = max(_modified(path) for path in inputs)
        moment, source = datetime.fromtimestamp(newest, UTC), "modification time of the input"
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), source


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError as e:
        raise _gone(path, e) from None


def check_folder(folder: Path) -> None:
    """Check that results can be written into a folder, which may not exist yet.

    Raises
    ------
    OutputError
        If not; call this before the work whose results would be lost.
    """
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise OutputError(folder, f"{existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(folder, f"no permission to write into {existing}")


def check_file(path: Path) -> None:
    """Check that a result can be written to a file, whose folder may not exist yet.

    Raises
    ------
    OutputError
        If not; call this before the work whose result would be lost.
    """
    if not path.name or os.path.isdir(path):  # noqa: PTH112  # Path.is_dir fails on a name that is too long
        raise OutputError(path, os.strerror(errno.EISDIR))
    if os.path.exists(path) and not path.is_file():  # noqa: PTH110
        raise OutputError(path, "it is a device or a pipe, not a regular file")
    try:
        check_folder(path.absolute().parent)
    except OutputError as e:
        raise OutputError(path, e.reason) from None


_checks: list[Callable[[Path, Path], None]] = []  # of the command that runs in this process


@contextlib.contextmanager
def before_replacing(check: Callable[[Path, Path], None]) -> Iterator[None]:
    """Call a function before a finished file replaces an existing one, inside the context.

    Parameters
    ----------
    check : callable (existing, finished)
        Called with the paths of both files; if it raises, the existing file is kept.
    """
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all: yield a temporary path, renamed on success.

    A symbolic link is followed: the file that it points to is written.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_file(target) as part:
    ...     _ = part.write_text("done")
    >>> target.read_text()
    'done'
    """
    check_file(path)
    path = path.resolve() if os.path.islink(path) else path  # noqa: PTH114
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if path.exists():
            for check in _checks:
                check(path, part)
        part.replace(path)
    except OSError as e:
        raise OutputError(path, os.strerror(e.errno) if e.errno else str(e)) from e
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
