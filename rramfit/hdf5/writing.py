"""Writing an HDF5 file so that a full disk is an ordinary error.

HDF5 keeps data back and writes them when a file is closed. If that fails, its objects cannot be
closed, and the process may crash. Here the library writes to an object that keeps the first error
of the disk and takes all later data without storing them; the error is raised after the file is
closed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

__all__ = ["create_hdf5"]


@contextlib.contextmanager
def create_hdf5(path: Path) -> Iterator[h5py.File]:
    """Create a file for writing.

    Raises
    ------
    OSError
        Of the operating system, if the disk is full or fails.
    """
    with path.open("w+b", buffering=0) as raw:
        disk = _Disk(raw)
        try:
            with h5py.File(disk, "w") as f:
                yield f
        finally:
            if disk.error is not None:
                raise disk.error


class _Disk:
    """The part of a file object that h5py uses."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._at = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = self._raw.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size)

    def readinto(self, buffer: memoryview) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: memoryview) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.error is None:
            try:
                done += self._raw.write(view[done:])
            except OSError as e:
                self.error = e
        return len(view)

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                self._raw.truncate(size)
            except OSError as e:
                self.error = e
        return size

    def flush(self) -> None:
        """Nothing is kept back here."""
