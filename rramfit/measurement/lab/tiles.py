"""A large array cut into tiles, each a measurement of its own.

Tiles are counted row by row: tile 1 lies right of tile 0. Column currents of a whole array say
nothing of a tile, so `/mvm` and `/readout` cannot be cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import (
    Floats,
    IVSweeps,
    Measurement,
    Program,
    Reads,
    SweepBlock,
)

__all__ = ["cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TileSweeps:
    """Hands out the part of each sweep that lies in a tile."""

    whole: Program
    rows: slice
    cols: slice

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        at = (slice(None), self.rows, self.cols)
        for block in self.whole.blocks(sweeps):
            yield SweepBlock(
                first=block.first,
                conductance=block.conductance[at],
                level=block.level[at],
                accepted=block.accepted[at],
                pulses=None if block.pulses is None else block.pulses[at],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TileReads:
    """Hands out the part of each read that lies in a tile."""

    whole: Reads
    rows: slice
    cols: slice

    def __call__(self, reads: int) -> Iterator[Floats]:
        for block in self.whole.blocks(reads):
            yield block[:, self.rows, self.cols]


def cut(measurement: Measurement, tiles: tuple[int, int]) -> tuple[Measurement, ...]:
    """Cut an array into tiles of `tiles` = (rows, cols) cells.

    Returns
    -------
    tuple of Measurement
        All tiles, row by row; ``/tile0``, ``/tile1``, … is added to their names.

    Raises
    ------
    MeasurementError
        If the measurement holds groups that speak of the whole array.
    """
    for group in ("mvm", "readout"):
        if getattr(measurement, group) is not None:
            raise MeasurementError(
                measurement.path or "",
                f"/{group}",
                found=f"/{group} of an array that is to be cut into tiles",
                expected="groups that can be cut",
                remedy="leave `array.tiles` out of the layout",
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
            open_blocks=_TileSweeps(whole=m.program, rows=rows, cols=cols),
        ),
        reads=_tile_reads(m.reads, rows, cols),
        retention=_tile_reads(m.retention, rows, cols),
        endurance=None
        if m.endurance is None
        else replace(m.endurance, conductance=m.endurance.conductance[..., rows, cols]),
        iv=_tile_iv(m.iv, rows, cols),
    )


def _tile_reads(reads: Reads | None, rows: slice, cols: slice) -> Reads | None:
    if reads is None:
        return None
    return replace(
        reads,
        shape=(reads.shape[0], rows.stop - rows.start, cols.stop - cols.start),
        level=reads.level[rows, cols],
        open_blocks=_TileReads(whole=reads, rows=rows, cols=cols),
    )


def _tile_iv(iv: IVSweeps | None, rows: slice, cols: slice) -> IVSweeps | None:
    if iv is None:
        return None
    inside = (
        (iv.row >= rows.start)
        & (iv.row < rows.stop)
        & (iv.col >= cols.start)
        & (iv.col < cols.stop)
    )
    if not np.any(inside):
        return None
    return IVSweeps(
        voltage=iv.voltage,
        current=iv.current[inside],
        row=iv.row[inside] - rows.start,
        col=iv.col[inside] - cols.start,
    )
