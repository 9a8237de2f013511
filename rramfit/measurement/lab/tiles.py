"""Cutting a large array into tiles, each a separate measurement.

Tiles are numbered row by row: tile 1 is to the right of tile 0. `/mvm` and `/readout` cannot be
cut, because column currents depend on the whole array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import (
    Attempts,
    Bools,
    Floats,
    IVSweeps,
    Measurement,
    Program,
    Pulses,
    Reads,
    SweepBlock,
)

__all__ = ["cut"]

_Listed = TypeVar("_Listed", Pulses, Attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TileSweeps:
    """Iterates over the part of each sweep inside a tile."""

    array: Program
    rows: slice
    cols: slice

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        at = (slice(None), self.rows, self.cols)
        for block in self.array.blocks(sweeps):
            yield SweepBlock(
                first=block.first,
                conductance=block.conductance[at],
                level=block.level[at],
                accepted=block.accepted[at],
                pulses=None if block.pulses is None else block.pulses[at],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TileReads:
    """Iterates over the part of each read inside a tile."""

    array: Reads
    rows: slice
    cols: slice

    def __call__(self, reads: int) -> Iterator[Floats]:
        for block in self.array.blocks(reads):
            yield block[:, self.rows, self.cols]


def cut(measurement: Measurement, tiles: tuple[int, int]) -> tuple[Measurement, ...]:
    """Cut an array into tiles of `tiles` = (rows, cols) cells.

    Returns
    -------
    tuple of Measurement
        All tiles, row by row; ``/tile0``, ``/tile1``, … is appended to the array id.

    Raises
    ------
    MeasurementError
        If the measurement has `/mvm` or `/readout`.
    """
    for group in ("mvm", "readout"):
        if getattr(measurement, group) is not None:
            raise MeasurementError(
                measurement.path or "",
                f"/{group}",
                found=f"/{group}, which cannot be cut into tiles",
                expected="groups that can be cut",
                remedy="remove `array.tiles` from the layout file",
            )
    rows, cols = tiles
    corners = [
        (r, c) for r in range(0, measurement.rows, rows) for c in range(0, measurement.cols, cols)
    ]
    return tuple(
        _tile(measurement, k, slice(r, r + rows), slice(c, c + cols))
        for k, (r, c) in enumerate(corners)
    )


def _tile(m: Measurement, k: int, rows: slice, cols: slice) -> Measurement:
    size = (rows.stop - rows.start, cols.stop - cols.start)
    return replace(
        m,
        identity=replace(m.identity, array_id=f"{m.identity.array_id}/tile{k}"),
        origin=None if m.origin is None else replace(m.origin, tile=k),
        rows=size[0],
        cols=size[1],
        program=None
        if m.program is None
        else replace(
            m.program,
            shape=(m.program.shape[0], *size),
            open_blocks=_TileSweeps(array=m.program, rows=rows, cols=cols),
        ),
        reads=_tile_reads(m.reads, rows, cols),
        retention=_tile_reads(m.retention, rows, cols),
        more_bakes=tuple(b for r in m.more_bakes if (b := _tile_reads(r, rows, cols)) is not None),
        endurance=None
        if m.endurance is None
        else replace(m.endurance, conductance=m.endurance.conductance[..., rows, cols]),
        iv=_tile_iv(m.iv, rows, cols),
        pulses=_tile_listed(m.pulses, rows, cols),
        attempts=_tile_listed(m.attempts, rows, cols),
    )


def _tile_reads(reads: Reads | None, rows: slice, cols: slice) -> Reads | None:
    if reads is None:
        return None
    return replace(
        reads,
        shape=(reads.shape[0], rows.stop - rows.start, cols.stop - cols.start),
        level=reads.level[rows, cols],
        open_blocks=_TileReads(array=reads, rows=rows, cols=cols),
    )


def _tile_iv(iv: IVSweeps | None, rows: slice, cols: slice) -> IVSweeps | None:
    if iv is None:
        return None
    inside = _inside(iv, rows, cols)
    if not inside.any():
        return None
    part = iv.take(inside)
    return replace(part, row=part.row - rows.start, col=part.col - cols.start)


def _tile_listed(group: _Listed | None, rows: slice, cols: slice) -> _Listed | None:
    """Return the devices or attempts inside a tile; None if there are none."""
    if group is None:
        return None
    inside = _inside(group, rows, cols)
    if not inside.any():
        return None
    part: dict[str, Any] = {}
    for name in (f.name for f in fields(group)):
        value = getattr(group, name)
        same_for_all = name in _BY_PULSE and np.ndim(value) == 1
        if isinstance(value, np.ndarray) and not same_for_all:
            part[name] = value[inside]
    part["row"], part["col"] = part["row"] - rows.start, part["col"] - cols.start
    return replace(group, **part)


_BY_PULSE = ("polarity", "voltage", "width")  # may be the same for all devices


def _inside(group: IVSweeps | Pulses | Attempts, rows: slice, cols: slice) -> Bools:
    inside: Bools = (group.row >= rows.start) & (group.row < rows.stop)
    inside &= (group.col >= cols.start) & (group.col < cols.stop)
    return inside
