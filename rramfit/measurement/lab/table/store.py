"""Readings of a log, by step and cell, while the log is read: in memory, or in a temporary file.

A `Registry` numbers keys, such as cycles, in the order in which they appear. A `GrowingArray` has a
row for each of them; what was never written is 0. An array of more than 32 MiB is kept in a
temporary file that is mapped into memory and handed back after each block of the log, so that the
memory used does not grow with the log.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rramfit.errors import OutputError

__all__ = ["GrowingArray", "Registry", "Spool", "occurrence"]

_IN_MEMORY = 2**25  # bytes of one array

Integers = NDArray[np.int64]


class GrowingArray:
    """A (row, column) array that gains rows; new entries are 0."""

    def __init__(self, columns: int, dtype: DTypeLike) -> None:
        self._columns, self._dtype = columns, np.dtype(dtype)
        self._array: NDArray[Any] = np.zeros((0, columns), self._dtype)
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None
        self._rows = 0

    @property
    def values(self) -> NDArray[Any]:
        """The rows so far."""
        return self._array[: self._rows]

    def grow(self, rows: int) -> None:
        """Extend the array to at least this number of rows."""
        if rows > len(self._array):
            self._reserve(max(rows, 2 * len(self._array), 16))
        self._rows = max(self._rows, rows)

    def release(self) -> None:
        """Hand the memory of an array in a file back to the operating system."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _reserve(self, rows: int) -> None:
        size = rows * self._columns * self._dtype.itemsize
        if size <= _IN_MEMORY:
            larger = np.zeros((rows, self._columns), self._dtype)
            larger[: len(self._array)] = self._array
            self._array = larger
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="rramfit-")  # noqa: SIM115 - lives as long
            weakref.finalize(self, self._file.close)
            self._file.write(self._array.tobytes())
            self._file.flush()
        try:
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, not a signal later
                os.posix_fallocate(self._file.fileno(), 0, size)
            self._file.truncate(size)
        except OSError as e:
            folder = tempfile.gettempdir()
            reason = f"{e.strerror} ({size / 2**20:.0f} MiB for the readings of a log)"
            raise OutputError(folder, f"{reason}; set TMPDIR to a folder with space") from None
        self._map = mmap.mmap(self._file.fileno(), size)
        self._array = np.frombuffer(self._map, self._dtype).reshape(rows, self._columns)

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling, so that a measurement can be sent to worker processes."""
        return _restored, (np.array(self.values),)


def _restored(values: NDArray[Any]) -> GrowingArray:
    array = GrowingArray(values.shape[1], values.dtype)
    array.grow(len(values))
    array.values[...] = values
    return array


class Registry:
    """Numbers of distinct keys, in the order in which they first appear."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The keys, by number."""
        return list(self._known)

    def numbers(self, *keys: NDArray[Any]) -> Integers:
        """Return the number of each key, given as one or several (n,) arrays."""
        n = len(keys[0])
        if not n:
            return np.zeros(0, np.int64)
        combined = np.zeros(n, np.int64)
        for key in keys:
            known, inverse = np.unique(key, return_inverse=True)
            combined = combined * len(known) + inverse.reshape(-1)
        _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
        number = np.empty(len(first), np.int64)
        for i in np.argsort(first):
            at = first[i]
            value = tuple(key[at].item() for key in keys)
            number[i] = self._known.setdefault(value, len(self._known))
        out: Integers = number[inverse.reshape(-1)]
        return out

    def order(self) -> Integers:
        """Return the numbers in rising order of their keys."""
        keys = self.keys
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


class Spool:
    """Rows of a group in the order of the log, a column for each name."""

    def __init__(self, **columns: DTypeLike) -> None:
        self._columns = {name: GrowingArray(1, dtype) for name, dtype in columns.items()}
        self.rows = 0

    def add(self, **values: NDArray[Any]) -> None:
        """Append rows; all columns must be given."""
        n = self.rows + len(next(iter(values.values())))
        for name, column in self._columns.items():
            column.grow(n)
            column.values[self.rows :, 0] = values[name]
            column.release()
        self.rows = n

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, (n,)."""
        return self._columns[name].values[:, 0]


def occurrence(group: Integers) -> Integers:
    """Return the number of equal entries before each entry."""
    if not len(group):
        return np.zeros(0, np.int64)
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    out = np.empty(len(group), np.int64)
    out[order] = np.arange(len(group)) - first
    return out
