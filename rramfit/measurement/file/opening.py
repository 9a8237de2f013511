"""How a measured file is opened: read-only, and refused in words where HDF5 cannot.

Sweeps are read in blocks along their first axis. A file whose chunks are long in that axis would
be unpacked once per block; `blockwise` opens a dataset with a chunk cache that holds one layer of
chunks, so that every chunk is unpacked once.
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

_CACHE_LIMIT = 192 * 2**20  # bytes per dataset; four datasets stay under the 1 GiB promised
_SLOTS = 10007  # a prime, well above the number of chunks in a layer


@contextlib.contextmanager
def open_measured(path: Path) -> Iterator[h5py.File]:
    """Open a measured file for reading.

    Raises
    ------
    MeasurementError
        If there is no such file, or it is no HDF5 file, or a damaged one; also where reading
        fails later, inside the context.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise MeasurementError(path, "/", found=what, expected="an HDF5 file")
    try:
        with h5py.File(path, "r") as f:
            yield f
    except OSError as e:
        raise _unreadable(path, e) from None


def _unreadable(path: Path, error: OSError) -> MeasurementError:
    if isinstance(error, PermissionError):
        return MeasurementError(
            path, "/", found="a file that may not be read", expected="permission to read it"
        )
    if isinstance(error, BlockingIOError):
        return MeasurementError(
            path,
            "/",
            found="a file that another program is writing",
            expected="a file that is finished",
            remedy="close it there first",
        )
    reason = str(error).removeprefix("Unable to synchronously open file (").rstrip(")")
    if not h5py.is_hdf5(path):
        return MeasurementError(
            path,
            "/",
            found="a file that is not HDF5",
            expected="an HDF5 file of layout 1.0",
            remedy="a lab's own log is brought in by `rramfit measurement convert`",
        )
    return MeasurementError(
        path,
        "/",
        found=f"a damaged HDF5 file ({reason})",
        expected="a file that can be read whole",
        remedy="copy it again from where it was measured",
    )


def blockwise(parent: h5py.Group, name: str, axis: int = 0) -> h5py.Dataset:
    """Open a dataset for reading in blocks along one axis, each chunk unpacked once.

    A dataset that is open already keeps its cache: it must not be open elsewhere before, and what
    is opened later, while this one is held, shares the cache.
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
    """Give an attribute as text, number or truth value; one-element arrays as their element."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return value
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
