"""Opening a measured file: read-only, with a clear error if HDF5 cannot read it.

Sweeps are read in blocks along their first axis. A chunk that spans several blocks would be
decompressed once per block. `blockwise` therefore opens a dataset with a chunk cache that holds one
layer of chunks, so that every chunk is decompressed once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rramfit.errors import MeasurementError

__all__ = ["blockwise", "open_measured", "plain"]

_CACHE_LIMIT = 192 * 2**20  # bytes per dataset; four datasets then need less than 1 GiB
_SLOTS = 10007  # a prime, well above the number of chunks in a layer


@contextlib.contextmanager
def open_measured(path: Path) -> Iterator[h5py.File]:
    """Open a measured file for reading.

    Raises
    ------
    MeasurementError
        If the file does not exist, is not HDF5 or is damaged; also if reading fails later, inside
        the context.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeasurementError(path, "/", found=found, expected="an HDF5 file")
    try:
        with h5py.File(path, "r") as f:
            yield f
    except OSError as e:
        raise _unreadable(path, e) from None


def _unreadable(path: Path, error: OSError) -> MeasurementError:
    if isinstance(error, PermissionError):
        return MeasurementError(
            path, "/", found="a file without read permission", expected="a readable file"
        )
    if isinstance(error, BlockingIOError):
        return MeasurementError(
            path,
            "/",
            found="a file that another program is writing",
            expected="a closed file",
            remedy="close the file in the other program first",
        )
    reason = str(error).removeprefix("Unable to synchronously open file (").rstrip(")")
    if not h5py.is_hdf5(path):
        return MeasurementError(
            path,
            "/",
            found="a file that is not HDF5",
            expected="an HDF5 file of layout 1.0",
            remedy="convert files in other formats with `rramfit measurement convert`",
        )
    return MeasurementError(
        path,
        "/",
        found=f"a damaged HDF5 file ({reason})",
        expected="a file that HDF5 can read",
        remedy="copy the file again from its source",
    )


def blockwise(parent: h5py.Group, name: str, axis: int = 0) -> h5py.Dataset:
    """Open a dataset for reading in blocks along one axis, decompressing each chunk once.

    HDF5 sets the cache when a dataset is first opened, so the dataset must not be open already.
    Handles opened while this one is open share its cache.
    """
    dataset = parent[name]
    chunks = dataset.chunks
    if chunks is None or chunks[axis] == 1:
        return dataset
    across = [math.ceil(n / c) for n, c in zip(dataset.shape, chunks, strict=True)]
    across[axis] = 1
    layer = math.prod(across) * math.prod(chunks) * dataset.dtype.itemsize
    del dataset
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(_SLOTS, min(layer, _CACHE_LIMIT), 1.0)
    return h5py.Dataset(h5py.h5d.open(parent.id, name.encode(), access))


def plain(value: Any) -> Any:
    """Return an attribute as str, number or bool; a one-element array as its element."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return value
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
