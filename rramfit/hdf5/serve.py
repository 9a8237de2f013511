"""The reading side: a process that has loaded h5py and is copied, by fork, for every file.

A copy takes 2 ms and starts clean, whatever an earlier file did to the HDF5 library; loading h5py
takes 0.1 s, once. The copy is limited in processor time and memory (see `limits`). It answers
requests about its file until the connection closes; if it crashes or is ended by a limit, the
parent process asks the original for its exit status.

    request   {"do": "open", "path": …, "size": …}   {"do": "describe", "path": …}
              {"do": "read", "path": …, "index": [[first, stop] or i, …], "axis": k or null}
    answer    {"ok": …, "bytes": n} and n bytes of data, or {"error": kind, "found": …}
"""

from __future__ import annotations

import gc
import hashlib
import math
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rramfit.hdf5.description import Refused, describe, located, reason_of, simple_type, texts_of
from rramfit.hdf5.digest import content_digest, update
from rramfit.hdf5.limits import Limits
from rramfit.hdf5.messages import CONTENT, DATA, ENDED, FORKED, receive, send

__all__ = ["main"]

_CACHE_LIMIT = 192 * 2**20  # bytes per dataset; four datasets then need less than 1 GiB
_SLOTS = 10007  # a prime, well above the number of chunks in a layer
_LEAST = 0.01  # [s] that any request may take
_SMALL = 64 * 2**20  # bytes of a dataset that need no proportion to its size in the file
_RATIO = {True: 1100, False: 20_000}  # greatest compression: of deflate, and of other filters
_KNOWN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


class Altered(Exception):  # noqa: N818  # of this process only
    """Values that are not those that were written."""


def main(control: int) -> None:
    """Fork a reader for each file, and tell how readers ended, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    commands = socket.socket(fileno=control)
    while True:
        message, descriptors, *_ = socket.recv_fds(commands, len(FORKED % 0), 1)
        if not message:
            return
        if descriptors:
            pid = os.fork()
            if not pid:
                commands.close()
                _serve(socket.socket(fileno=descriptors[0]))
                os._exit(0)
            os.close(descriptors[0])
            commands.sendall(FORKED % pid)
        else:
            pid = int(message[1:])
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            commands.sendall(ENDED % os.waitpid(pid, 0)[1])


def _serve(connection: socket.socket) -> None:
    reader: _Reader | None = None
    while (request := receive(connection)) is not None:
        data: memoryview | None = None
        try:
            if reader is None:
                reader = _Reader(Limits(seconds=request["seconds"], memory=request["memory"]))
            answer, data = reader.answer(request)
        except Altered:
            answer = {"error": "altered", "found": ""}
        except Refused as e:
            answer = {"error": "refused", "found": str(e)}
        except MemoryError:
            answer = {"error": "memory", "found": ""}
        except KeyError as e:
            answer = {"error": "missing", "found": reason_of(e)}
        except BlockingIOError as e:
            answer = {"error": "locked", "found": reason_of(e)}
        except Exception as e:  # noqa: BLE001  # a damaged file raises whatever it likes
            answer = {"error": "damaged", "found": reason_of(e)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            send(connection, {**answer, "bytes": 0 if data is None else data.nbytes})
            if data is not None:
                connection.sendall(data)
        except OSError:
            return


class _Reader:
    """One open file."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._returned = 0
        self._file: Any = None
        self._sealed = False
        self._known: dict[str, dict[str, Any]] = {}  # descriptions by path
        self._open: dict[tuple[str, int | None], h5py.Dataset] = {}
        self._running: dict[str, tuple[int, Any]] = {}
        with suppress(OSError, ValueError):
            memory = _memory_used() + limits.memory
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], memoryview | None]:
        """Return the answer, and the data that follow it."""
        self._allow()
        if request["do"] == "open":
            self._file = h5py.File(request["path"], "r")
            return {"ok": self._seal(check=request["check"])}, None
        if request["do"] == "describe":
            return {"ok": self._described(request["path"])}, None
        dataset = self._dataset(request["path"], request["axis"])
        index = tuple(i if isinstance(i, int) else slice(*i) for i in request["index"])
        size = _size(dataset, request["index"])
        self._returned += size
        if size > self._limits.memory // 2:
            raise MemoryError
        self._allow()
        values = np.asarray(dataset[index])
        self._check_pass(request["path"], dataset, request["index"], values)
        if simple_type(dataset.dtype) == "text":
            return {"ok": texts_of(values)}, None
        if values.dtype.kind not in "biuf":
            msg = f"values of type {values.dtype}"
            raise Refused(msg)
        flat = np.ascontiguousarray(values).reshape(-1)
        return {"ok": None}, flat.view(np.uint8).data

    def _described(self, path: str) -> dict[str, Any]:
        if path not in self._known:
            self._known[path] = describe(located(self._file, path))
        return self._known[path]

    def _allow(self) -> None:
        """Let the process end if it uses more processor time than it may have."""
        left = self._limits.processor_time(self._returned) - time.process_time()
        signal.setitimer(signal.ITIMER_PROF, max(left, _LEAST))

    def _seal(self, *, check: bool) -> bool | None:
        """Return whether the digest of the structure is right; None if there is none."""
        self._sealed = CONTENT in self._file.attrs
        if not self._sealed or not check:
            return None
        return bool(self._file.attrs[CONTENT] == content_digest(self._file, self._known))

    def _dataset(self, path: str, axis: int | None) -> h5py.Dataset:
        """Open a dataset; along an axis, with a cache that holds one layer of chunks."""
        if (path, axis) in self._open:
            return self._open[path, axis]
        dataset = located(self._file, path)
        if not isinstance(dataset, h5py.Dataset):
            raise KeyError(path)
        _check_size(dataset)
        if axis is not None and (cache := _layer(dataset, axis)):
            access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
            access.set_chunk_cache(_SLOTS, min(cache, _CACHE_LIMIT), 1.0)
            name = dataset.name.encode("utf-8", "surrogateescape")
            del dataset  # the cache is set when a dataset is first opened
            dataset = h5py.Dataset(h5py.h5d.open(self._file.id, name, access))
        self._open[path, axis] = dataset
        return dataset

    def _check_pass(
        self, path: str, dataset: h5py.Dataset, index: list[Any], values: NDArray[Any]
    ) -> None:
        """Continue the digest of a dataset that is read from its start to its end."""
        if not self._sealed or DATA not in dataset.attrs:
            return
        first, stop = _along_first(dataset, index)
        at, digest = self._running.pop(path, (0, None))
        if first != at or stop is None:
            if first != 0 or stop is None:
                return  # read in parts that are no pass
            digest = None
        digest = hashlib.sha256() if digest is None else digest
        update(digest, values)
        if stop < (dataset.shape[0] if dataset.shape else 1):
            self._running[path] = stop, digest
        elif digest.hexdigest() != dataset.attrs[DATA]:
            raise Altered


def _memory_used() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as f:  # noqa: PTH123
            return int(f.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**30  # macOS: about the address space of an idle process


def _layer(dataset: h5py.Dataset, axis: int) -> int:
    """Return the bytes of one layer of chunks across an axis; 0 if no cache is needed."""
    chunks = dataset.chunks
    if chunks is None or chunks[axis] == 1:
        return 0
    across = [math.ceil(n / c) for n, c in zip(dataset.shape, chunks, strict=True)]
    across[axis] = 1
    size: int = math.prod(across) * math.prod(chunks) * dataset.dtype.itemsize
    return size


def _check_size(dataset: h5py.Dataset) -> None:
    """Refuse a dataset that claims far more values than the file can hold."""
    size = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    if size <= _SMALL:
        return
    filters = dataset.id.get_create_plist()
    numbers = {filters.get_filter(i)[0] for i in range(filters.get_nfilters())}
    stored = dataset.id.get_storage_size()
    if size > _RATIO[numbers <= _KNOWN_FILTERS] * stored:
        shape = " × ".join(map(str, dataset.shape))
        msg = f"{shape} values, for which the file holds only {stored} bytes"
        raise Refused(msg)


def _size(dataset: h5py.Dataset, index: list[Any]) -> int:
    """Return the bytes of a part of a dataset."""
    shape = dataset.shape or ()
    ends = [n if at >= len(index) else _extent(index[at], n) for at, n in enumerate(shape)]
    size: int = math.prod(ends) * dataset.dtype.itemsize
    return size


def _extent(part: Any, size: int) -> int:
    return 1 if isinstance(part, int) else len(range(*slice(*part).indices(size)))


def _along_first(dataset: h5py.Dataset, index: list[Any]) -> tuple[int, int | None]:
    """Return (first, stop) of a part that is whole along the other axes; else stop = None."""
    if not dataset.shape:
        return 0, 1
    for part, size in zip(index[1:], dataset.shape[1:], strict=False):
        if isinstance(part, int) or slice(*part).indices(size) != (0, size, 1):
            return 0, None
    if index and isinstance(index[0], int):
        return index[0], None
    first, stop, _ = slice(*(index[0] if index else (None,))).indices(dataset.shape[0])
    return first, stop
