"""The sidecar: this very array, cell by cell.

A card speaks of arrays like the one measured; the sidecar ``NAME.cells.h5`` speaks of that one. It
is what retraining for a fitted chip reads: each cell's fault, its offset from the level's mean, and
how sure it is that the cell never programs at a level; where a cell is stuck, what it is stuck at;
where levels were found blind, also how sure each cell's level is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import CardError
from rramfit.provenance import whole_file

__all__ = ["CellMaps", "Fault", "cells_bytes", "load_cells", "save_cells"]

_FORMAT, _VERSION = "rramfit-cells", "1.0"


class Fault(enum.IntEnum):
    """What is wrong with a cell."""

    OK = 0
    STUCK_LOW = 1
    STUCK_HIGH = 2
    DEAD_ROW = 3
    DEAD_COL = 4
    NOT_MEASURED = 5

    @property
    def label(self) -> str:
        """The fault in words."""
        return "ok" if self is Fault.OK else self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMaps:
    """Per-cell maps of one array."""

    fault: NDArray[np.int8]  #               (row, col) codes of `Fault`
    offset: NDArray[np.float64]  # [S]       (level, row, col) cell's mean less the level's mean
    hard_posterior: NDArray[np.float64]  #   (level, row, col) P(never programs at the level)
    certainty: NDArray[np.float64] | None = None  # (row, col) P(level right), where found blind
    stuck_conductance: NDArray[np.float64] | None = None  # [S] (row, col) NaN where not stuck

    def __post_init__(self) -> None:
        levels = self.offset.shape[0]
        if not (self.offset.shape == self.hard_posterior.shape == (levels, *self.fault.shape)):
            msg = (
                f"fault {self.fault.shape}, offset {self.offset.shape} and hard_posterior "
                f"{self.hard_posterior.shape} do not belong to one array"
            )
            raise ValueError(msg)
        for name in ("certainty", "stuck_conductance"):
            a = getattr(self, name)
            if a is not None and a.shape != self.fault.shape:
                msg = f"{name} {a.shape} and fault {self.fault.shape} differ"
                raise ValueError(msg)
        optional = self.certainty, self.stuck_conductance
        for a in (self.fault, self.offset, self.hard_posterior, *optional):
            if a is not None:
                a.flags.writeable = False


def cells_bytes(maps: CellMaps) -> bytes:
    """Render the sidecar; the same maps give the same bytes. NaN means "not measured"."""
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
        if maps.certainty is not None:
            sure = f.create_dataset("certainty", data=maps.certainty.astype(np.float32), **options)
            sure.attrs["units"] = "1"
        if maps.stuck_conductance is not None:
            stuck = maps.stuck_conductance.astype(np.float32)
            f.create_dataset("stuck_conductance", data=stuck, **options).attrs["units"] = "S"
        f.flush()
        return bytes(f.id.get_file_image())


def save_cells(maps: CellMaps, path: Path) -> None:
    """Write the sidecar, whole or not at all."""
    with whole_file(path) as beside:
        beside.write_bytes(cells_bytes(maps))


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
            nothing = np.empty((0, *fault.shape))

            def optional(name: str) -> NDArray[np.float64] | None:
                return f[name][...].astype(float) if name in f else None

            return CellMaps(
                fault=fault,
                offset=f["offset"][...].astype(float) if "offset" in f else nothing,
                hard_posterior=(
                    f["hard_posterior"][...].astype(float) if "hard_posterior" in f else nothing
                ),
                certainty=optional("certainty"),
                stuck_conductance=optional("stuck_conductance"),
            )
    except (OSError, KeyError) as e:
        raise CardError(path, "/", found=str(e), expected="a sidecar NAME.cells.h5") from None
