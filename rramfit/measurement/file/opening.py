"""Opening a measured file: read-only, in a separate process, with a clear error if that fails.

Whatever the HDF5 library does with a damaged file (a crash, an endless loop, a huge request for
memory) happens in the reading process of `rramfit.hdf5`, which serves descriptions and blocks of
data. The alternative, to read the whole file once in a child and then again here, was rejected: it
reads everything twice, and a damaged file that the library survived once may still crash it later.
Serving costs 0.1 s for the first file of a process, then 5 to 20 ms for each opening, and 2 s per
GB of decoded data, for the transfer and the digest.

Sweeps are read in blocks along their first axis. A chunk that spans several blocks would be
decompressed once per block; `blockwise` therefore asks for a chunk cache that holds one layer of
chunks, so that every chunk is decompressed once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.hdf5 import Dataset, Group, is_hdf5, open_hdf5
from rramfit.hdf5.nodes import File

__all__ = ["FileState", "blockwise", "open_measured", "plain"]


@dataclass(frozen=True, slots=True)
class FileState:
    """Size and time of modification of a file: a file that is written again has another state."""

    size: int
    modified: int  # [ns]

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Return the state of a file.

        Raises
        ------
        MeasurementError
            If there is no such file.
        """
        try:
            found = path.stat()
        except OSError:
            raise MeasurementError(
                path, "/", found="no such file", expected="an HDF5 file"
            ) from None
        return cls(found.st_size, found.st_mtime_ns)


@contextlib.contextmanager
def open_measured(path: Path, *, since: FileState | None = None) -> Iterator[File]:
    """Open a measured file for reading.

    Parameters
    ----------
    path : Path
    since : FileState, optional
        The state of the file when it was read before; its structure was checked then.

    Raises
    ------
    MeasurementError
        If the file does not exist, is not HDF5 or is damaged, or was changed since it was read
        before; also if reading fails later, inside the context.
    """
    if not os.path.isfile(path):  # noqa: PTH113  # Path.is_file fails on a name that is too long
        found = "a folder" if os.path.isdir(path) else "no such file"  # noqa: PTH112
        raise MeasurementError(path, "/", found=found, expected="an HDF5 file")
    _check_unchanged(path, since)
    try:
        known = is_hdf5(path)
    except OSError as e:
        raise _unreadable(path, e) from None
    if not known:
        raise MeasurementError(
            path,
            "/",
            found="a file that is not HDF5",
            expected="an HDF5 file of layout 1.0",
            remedy="convert files in other formats with `rramfit measurement convert`",
        )
    with open_hdf5(path, MeasurementError, check=since is None) as f:
        yield f
        _check_unchanged(path, since)


def _check_unchanged(path: Path, since: FileState | None) -> None:
    if since is not None and FileState.of(path) != since:
        raise MeasurementError(
            path,
            "/",
            found="a file that was changed while it was read",
            expected="a file that no program writes",
            remedy="wait until the measurement is finished, then run the command again",
        )


def _unreadable(path: Path, error: OSError) -> MeasurementError:
    if isinstance(error, PermissionError):
        return MeasurementError(
            path, "/", found="a file without read permission", expected="a readable file"
        )
    return MeasurementError(
        path,
        "/",
        found=f"a file that cannot be read ({error.strerror})",
        expected="a readable file",
    )


def blockwise(parent: Group, name: str, axis: int = 0) -> Dataset:
    """Open a dataset for reading in blocks along one axis, decompressing each chunk once."""
    dataset: Dataset = parent[name]
    return dataset.along(axis)


def plain(value: Any) -> Any:
    """Return a value as str, number or bool; a one-element array as its element."""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return value
        value = value.reshape(-1)[0]
    return value.item() if isinstance(value, np.generic) else value
