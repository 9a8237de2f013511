"""The digest of a file that rramfit wrote: a changed bit is noticed while the file is read.

    /…/dataset@sha256      of its values: little-endian, in C order; text with its lengths
    /@content_sha256       of all paths, types, shapes and attributes, with the digests above

The second one is checked when the file is opened. The first one is checked at the end of the first
pass over the dataset, which may be longer than memory, so that no pass is added for it. A file
without `content_sha256`, older, of another program or edited on purpose, is read without checks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rramfit.hdf5.description import located, texts_of, tree
from rramfit.hdf5.messages import CONTENT, DATA

__all__ = ["content_digest", "seal", "update"]

_BLOCK = 2**24  # bytes


def update(digest: Any, values: NDArray[Any]) -> None:
    """Add values of a dataset, in C order, to a running digest."""
    if values.dtype.kind in "biuf":
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        digest.update(little.reshape(-1).view(np.uint8).data)
    else:
        for text in texts_of(values):
            raw = text.encode()
            digest.update(len(raw).to_bytes(8, "little") + raw)


def content_digest(file: h5py.File, known: dict[str, Any] | None = None) -> str:
    """Return the digest of the structure, without the attribute that holds it.

    Parameters
    ----------
    file : h5py.File
    known : dict, optional
        Filled with the descriptions of groups, for later use.
    """
    content = [[path, _without_own(path, found)] for path, found in tree(file, known)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_own(path: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    if path != "/":
        return found
    return {**found, "attrs": {k: v for k, v in found["attrs"].items() if k != CONTENT}}


def seal(file: h5py.File) -> None:
    """Write the digests of a finished file into it."""
    for path, found in list(tree(file)):
        if found["kind"] == "dataset":
            dataset = located(file, path)
            dataset.attrs[DATA] = _data_digest(dataset)
    file.attrs[CONTENT] = content_digest(file)


def _data_digest(dataset: h5py.Dataset) -> str:
    digest = hashlib.sha256()
    if not dataset.shape:
        update(digest, np.asarray(dataset[()]))
        return digest.hexdigest()
    chunks = dataset.chunks or (1,)
    row = max(int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize, 1)
    step = max(_BLOCK // row // chunks[0], 1) * chunks[0]
    for first in range(0, len(dataset), step):
        update(digest, dataset[first : first + step])
    return digest.hexdigest()
