"""The sidecar: maps of the measured array, cell by cell.

A card describes the population of arrays like the measured one; the sidecar ``NAME.cells.h5``
describes the measured array itself. Retraining for a fitted chip reads it. For each cell it holds
the fault, the offset from the mean of the level, and the probability that the cell never programs
at a level; the probability that the cell is stuck, its conductance and how much it moves from one
programming to the next; and where levels were assigned blindly, the probability that the level of
the cell is right.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import CardError
from rramfit.provenance import atomic_file

__all__ = ["STUCK", "CellMaps", "Fault", "cells_bytes", "load_cells", "save_cells"]

_FORMAT, _VERSION = "rramfit-cells", "1.0"
_PER_CELL = {
    "certainty": "1",
    "stuck_conductance": "S",
    "stuck_posterior": "1",
    "stuck_motion": "S",
}
"""Optional maps (row, col), with their units."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMaps:
    """Per-cell maps of one array."""

    fault: NDArray[np.int8]  #               (row, col) codes of `Fault`
    offset: NDArray[np.float64]  # [S]       (level, row, col) mean of the cell minus level mean
    hard_posterior: NDArray[np.float64]  #   (level, row, col) P(never programs at the level)
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
        if self.line_offset is not None and self.line_offset.shape != self.offset.shape:
            msg = f"line_offset has shape {self.line_offset.shape}, expected {self.offset.shape}"
            raise ValueError(msg)
        for name in _PER_CELL:
            a = getattr(self, name)
            if a is not None and a.shape != self.fault.shape:
                msg = f"{name} has shape {a.shape}, expected that of fault, {self.fault.shape}"
                raise ValueError(msg)
        optional = (getattr(self, name) for name in _PER_CELL)
        for a in (self.fault, self.offset, self.hard_posterior, self.line_offset, *optional):
            if a is not None:
                a.flags.writeable = False


def cells_bytes(maps: CellMaps) -> bytes:
    """Return the sidecar as bytes, the same for the same maps. NaN means "not measured"."""
    import h5py

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
        if maps.line_offset is not None:
            line = maps.line_offset.astype(np.float32)
            f.create_dataset("line_offset", data=line, **options).attrs["units"] = "S"
        for name, unit in _PER_CELL.items():
            a = getattr(maps, name)
            if a is not None:
                f.create_dataset(name, data=a.astype(np.float32), **options).attrs["units"] = unit
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
        If the file is not a sidecar of this version.
    """
    import h5py

    try:
        with h5py.File(path, "r") as f:
            found = f"{f.attrs.get('format')} {f.attrs.get('format_version')}"
            if found != f"{_FORMAT} {_VERSION}":
                raise CardError(path, "/", found=found, expected=f"{_FORMAT} {_VERSION}")
            fault = f["fault"][...].astype(np.int8)
            empty = np.empty((0, *fault.shape))

            def optional(name: str) -> NDArray[np.float64] | None:
                return f[name][...].astype(float) if name in f else None

            return CellMaps(
                fault=fault,
                offset=f["offset"][...].astype(float) if "offset" in f else empty,
                hard_posterior=(
                    f["hard_posterior"][...].astype(float) if "hard_posterior" in f else empty
                ),
                line_offset=optional("line_offset"),
                **{name: optional(name) for name in _PER_CELL},
            )
    except (OSError, KeyError) as e:
        raise CardError(path, "/", found=str(e), expected="a sidecar NAME.cells.h5") from None
