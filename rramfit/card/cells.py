"""The sidecar: maps of the measured array, cell by cell.

A card describes the population of arrays like the measured one; the sidecar ``NAME.cells.h5``
describes the measured array itself. Retraining for a fitted chip reads it. For each cell it holds
the fault, the offset from the mean of the level with its standard error, and the probability that
the cell never programs at a level; the probability that the cell is stuck, its conductance and how
much it moves from one programming to the next; and where levels were assigned blindly, the
probability that the level of the cell is right.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import result_html
from rramfit.errors import CardError
from rramfit.hdf5 import Dataset, is_hdf5, open_hdf5
from rramfit.hdf5.messages import CONTENT
from rramfit.hdf5.nodes import File
from rramfit.provenance import atomic_file
from rramfit.units import counted

__all__ = ["STUCK", "CellMaps", "Fault", "cells_bytes", "load_cells", "save_cells"]

_FORMAT, _VERSION = "rramfit-cells", "1.0"
_PER_CELL = {
    "certainty": "1",
    "stuck_conductance": "S",
    "stuck_posterior": "1",
    "stuck_motion": "S",
}
"""Optional maps (row, col), with their units."""


_OF_OFFSET = ("offset_stderr", "line_offset")
"""Optional maps (level, row, col), in S."""


class Fault(enum.IntEnum):
    """Fault of a cell."""

    OK = 0
    STUCK_LOW = 1
    STUCK_HIGH = 2
    DEAD_ROW = 3
    DEAD_COL = 4
    NOT_MEASURED = 5
    STUCK_MIDDLE = 6

    @property
    def label(self) -> str:
        """Readable name of the fault."""
        return "ok" if self is Fault.OK else self.name.lower().replace("_", " ")


STUCK = (Fault.STUCK_LOW, Fault.STUCK_MIDDLE, Fault.STUCK_HIGH)
"""Faults of cells that do not respond to their target."""


_PER_LEVEL = ("offset", "hard_posterior", *_OF_OFFSET)
_LARGEST = 1.0  # [S] no cell conducts more
_RANGES = {
    "fault": (0, max(Fault)),
    **dict.fromkeys(("offset", "line_offset", "stuck_conductance"), (-_LARGEST, _LARGEST)),
    **dict.fromkeys(("hard_posterior", "certainty", "stuck_posterior"), (0, 1)),
    **dict.fromkeys(("stuck_motion", "offset_stderr"), (0, _LARGEST)),
}
"""Valid values of each map; NaN is "not measured"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMaps:
    """Per-cell maps of one array."""

    fault: NDArray[np.int8]  #               (row, col) codes of `Fault`
    offset: NDArray[np.float64]  # [S]       (level, row, col) mean of the cell minus level mean
    hard_posterior: NDArray[np.float64]  #   (level, row, col) P(never programs at the level)
    offset_stderr: NDArray[np.float64] | None = (
        None  # [S] (level, row, col) standard error of `offset`; NaN if not known
    )
    line_offset: NDArray[np.float64] | None = (
        None  # [S] (level, row, col) part of `offset` by lines
    )
    certainty: NDArray[np.float64] | None = None  # (row, col) P(level right), if assigned blindly
    stuck_conductance: NDArray[np.float64] | None = None  # [S] (row, col) NaN where not stuck
    stuck_posterior: NDArray[np.float64] | None = None  # (row, col) P(stuck); NaN if not known
    stuck_motion: NDArray[np.float64] | None = (
        None  # [S] (row, col) standard deviation between programmings; NaN if it does not move
    )

    def __post_init__(self) -> None:
        levels = self.offset.shape[0]
        if not (self.offset.shape == self.hard_posterior.shape == (levels, *self.fault.shape)):
            msg = (
                f"fault {self.fault.shape}, offset {self.offset.shape} and hard_posterior "
                f"{self.hard_posterior.shape} do not have the shape of one array"
            )
            raise ValueError(msg)
        for name in _OF_OFFSET:
            a = getattr(self, name)
            if a is not None and a.shape != self.offset.shape:
                msg = f"{name} has shape {a.shape}, expected that of offset, {self.offset.shape}"
                raise ValueError(msg)
        for name in _PER_CELL:
            a = getattr(self, name)
            if a is not None and a.shape != self.fault.shape:
                msg = f"{name} has shape {a.shape}, expected that of fault, {self.fault.shape}"
                raise ValueError(msg)
        optional = (getattr(self, name) for name in (*_OF_OFFSET, *_PER_CELL))
        for a in (self.fault, self.offset, self.hard_posterior, *optional):
            if a is not None:
                a.flags.writeable = False

    def _repr_html_(self) -> str:
        count = np.bincount(self.fault.ravel(), minlength=len(Fault))
        rows = {x.label: {"cells": str(count[x])} for x in Fault if count[x]}
        size = " × ".join(map(str, self.fault.shape))
        return result_html(f"{size} cells, {counted(len(self.offset), 'level')}", rows)


def cells_bytes(maps: CellMaps) -> bytes:
    """Return the sidecar as bytes, the same for the same maps. NaN means "not measured"."""
    import h5py

    from rramfit.hdf5.digest import seal

    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    with h5py.File.in_memory() as f:
        f.attrs["format"], f.attrs["format_version"] = _FORMAT, _VERSION
        fault = f.create_dataset("fault", data=maps.fault, **options)
        fault.attrs["codes"] = ", ".join(f"{x.value} = {x.label}" for x in Fault)
        if maps.offset.shape[0]:
            offset = f.create_dataset("offset", data=maps.offset.astype(np.float32), **options)
            offset.attrs["units"] = "S"
            posterior = maps.hard_posterior.astype(np.float32)
            f.create_dataset("hard_posterior", data=posterior, **options).attrs["units"] = "1"
        for name, unit in (*((x, "S") for x in _OF_OFFSET), *_PER_CELL.items()):
            a = getattr(maps, name)
            if a is not None:
                f.create_dataset(name, data=a.astype(np.float32), **options).attrs["units"] = unit
        seal(f)
        f.flush()
        return bytes(f.id.get_file_image())


def save_cells(maps: CellMaps, path: Path) -> None:
    """Write the sidecar atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(cells_bytes(maps))


def load_cells(path: Path) -> CellMaps:
    """Read a sidecar.

    Raises
    ------
    CardError
        If the file is not a sidecar of this version, or is damaged.
    """
    path = Path(path)
    try:
        known = is_hdf5(path)
    except OSError as e:
        found = e.strerror or str(e)
        raise CardError(path, "/", found=found, expected="a sidecar NAME.cells.h5") from None
    if not known:
        found = "a file that is not HDF5"
        raise CardError(path, "/", found=found, expected="a sidecar NAME.cells.h5")
    with open_hdf5(path, CardError) as f:
        found = f"{f.attrs.get('format')} {f.attrs.get('format_version')}"
        if found != f"{_FORMAT} {_VERSION}":
            raise CardError(path, "/", found=found, expected=f"{_FORMAT} {_VERSION}")
        fault = _map(path, f, "fault")
        if fault is None:
            raise CardError(path, "/fault", found="no such dataset", expected="codes of faults")
        empty = np.empty((0, *fault.shape))
        offset, posterior = _map(path, f, "offset"), _map(path, f, "hard_posterior")
        maps = {name: _map(path, f, name) for name in (*_OF_OFFSET, *_PER_CELL)}
        if f.sealed is False:
            raise CardError(
                path,
                f"/@{CONTENT}",
                found="the digest of another content: the file was damaged or edited",
                expected="the content that rramfit wrote",
                remedy="copy the file again, or characterize the chip again",
            )
        try:
            return CellMaps(
                fault=fault.astype(np.int8),
                offset=empty if offset is None else offset,
                hard_posterior=empty if posterior is None else posterior,
                **maps,
            )
        except ValueError as e:
            raise CardError(path, "/", found=str(e), expected="maps of one array") from None


def _map(path: Path, f: File, name: str) -> NDArray[np.float64] | None:
    """Read and check one map; None if the sidecar does not have it."""
    dataset = f.get(name)
    if dataset is None:
        return None
    axes = 3 if name in _PER_LEVEL else 2
    kinds = "iu" if name == "fault" else "f"
    if not isinstance(dataset, Dataset) or dataset.dtype.kind not in kinds or dataset.ndim != axes:
        number = "integers" if name == "fault" else "floats"
        expected = f"{number} with {axes} axes"
        raise CardError(path, f"/{name}", found="another kind of object", expected=expected)
    values: NDArray[np.float64] = np.asarray(dataset[...], dtype=np.float64)
    low, high = _RANGES[name]
    bad = np.isinf(values) | (values < low) | (values > high)
    if bad.any():
        found = f"{values[bad][0]:g}"
        expected = f"values from {low:g} to {high:g}"
        raise CardError(path, f"/{name}", found=found, expected=expected)
    return values
