"""Conversion of a log, HDF5 or MATLAB file to layout 1.0, described by a layout file.

`convert_measurement` returns one measurement per tile of the array, and every row of a log that
could not be used, with its line and the reason. The number of skipped rows is also written into the
comment of the measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.hdf5 import is_hdf5
from rramfit.measurement.file.origin import BadRows, Origin
from rramfit.measurement.file.record import ArrayIdentity, Measurement
from rramfit.measurement.file.write import write_measurement
from rramfit.measurement.lab.from_hdf5 import measurement_from_hdf5
from rramfit.measurement.lab.from_table import measurement_from_rows
from rramfit.measurement.lab.layout import Layout, read_layout
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.measurement.lab.tiles import cut

__all__ = ["Conversion", "convert_measurement", "write_conversion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Result of a conversion.

    Attributes
    ----------
    measurements : tuple of Measurement
        One per tile; tiles without any reading are omitted.
    tiles : tuple of int
        Tile index of each measurement; empty if the array was not cut.
    empty : tuple of int
        Indices of tiles without any reading.
    rows : int
        Number of rows in the log, good and bad; 0 for HDF5.
    bad : tuple of BadRows
        Skipped rows, by file and reason.
    unused : int
        Number of good rows that no group of the layout file uses.
    """

    measurements: tuple[Measurement, ...]
    tiles: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()
    rows: int = 0
    bad: tuple[BadRows, ...] = ()
    unused: int = 0

    @property
    def bad_rows(self) -> int:
        """Number of skipped rows."""
        return sum(b.rows for b in self.bad)

    def rows_to_dict(self) -> dict[str, Any]:
        """Return row counts, skipped rows and empty tiles as JSON-compatible values."""
        return {
            "rows": self.rows,
            "bad_rows": self.bad_rows,
            "unused_rows": self.unused,
            "bad": [
                {
                    "path": str(b.path),
                    "reason": b.reason,
                    "rows": b.rows,
                    "lines": list(b.lines),
                    "first": b.first,
                }
                for b in self.bad
            ],
            "empty_tiles": list(self.empty),
        }


def convert_measurement(
    paths: Sequence[Path | str] | Path | str, layout: Layout | Path | str
) -> Conversion:
    """Convert a file to layout 1.0.

    Parameters
    ----------
    paths : path or sequence of paths
        The file, or several logs with the same columns. The layout file refers to the index of a
        log, from 0, as `file`.
    layout : Layout or path
        The layout, or the path of the layout file.

    Raises
    ------
    MeasurementError
        If the layout does not match the file.
    """
    several = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(p) for p in paths]
    chosen = read_layout(layout) if isinstance(layout, (str, Path)) else layout
    array = chosen.array
    file = Path(layout) if isinstance(layout, (str, Path)) else None
    text = None if file is None else file.read_bytes().decode("utf-8-sig").replace("\0", "")
    origin = Origin(files=tuple(several), layout=file, layout_text=text)
    identity = ArrayIdentity(
        array_id=array.id, **array.model_dump(exclude={"id", "rows", "cols", "tiles"})
    )
    if isinstance(chosen, TableLayout):
        content = measurement_from_rows(several, chosen)
        measurement = Measurement(
            path=several[0],
            identity=_with_skipped_rows(identity, content.bad, content.rows),
            rows=array.rows,
            cols=array.cols,
            levels=content.levels,
            program=content.program,
            reads=content.reads,
            retention=content.bakes[0] if content.bakes else None,
            more_bakes=content.bakes[1:],
            endurance=content.endurance,
            iv=content.iv,
            mvm=content.mvm,
            readout=content.readout,
            pulses=content.pulses,
            attempts=content.attempts,
            origin=replace(origin, rows=content.rows, bad=content.bad),
        )
        out = Conversion(
            measurements=(measurement,),
            rows=content.rows,
            bad=content.bad,
            unused=content.unused,
        )
    else:
        if len(several) != 1:
            raise MeasurementError(
                several[1],
                "/",
                found=f"{len(several)} HDF5 files",
                expected="one HDF5 file",
                remedy="convert HDF5 files one at a time",
            )
        if chosen.source.kind == "hdf5" and several[0].is_file() and not is_hdf5(several[0]):
            raise MeasurementError(
                several[0],
                "/",
                found="a file that is not HDF5",
                expected='an HDF5 file, since the layout has kind = "hdf5"',
                remedy='describe a log with kind = "table" in [source] of the layout file',
            )
        measurement = measurement_from_hdf5(several[0], chosen, identity=identity)
        out = Conversion(measurements=(replace(measurement, origin=origin),))
    if array.tiles is None:
        return out
    parts = cut(out.measurements[0], array.tiles)
    full = [k for k, m in enumerate(parts) if _holds_readings(m)]
    if not full:
        raise MeasurementError(
            several[0], "/", found="no reading in any tile", expected="at least one reading"
        )
    return replace(
        out,
        measurements=tuple(parts[k] for k in full),
        tiles=tuple(full),
        empty=tuple(k for k in range(len(parts)) if k not in full),
    )


def write_conversion(conversion: Conversion, path: Path | str) -> tuple[Path, ...]:
    """Write the measurements of a conversion as files of layout 1.0.

    Parameters
    ----------
    conversion : Conversion
    path : Path or str
        The output file; if the array was cut, ``_tile0``, ``_tile1``, … precede the suffix.

    Returns
    -------
    tuple of Path
        The files written.
    """
    path = Path(path)
    targets = [path.with_stem(f"{path.stem}_tile{k}") for k in conversion.tiles] or [path]
    for m, target in zip(conversion.measurements, targets, strict=True):
        write_measurement(m, target)
    return tuple(targets)


def _with_skipped_rows(
    identity: ArrayIdentity, bad: Sequence[BadRows], total: int
) -> ArrayIdentity:
    """Add the number of skipped rows to the comment, by reason."""
    if not bad:
        return identity
    counts: dict[str, int] = {}
    for b in bad:
        counts[b.reason] = counts.get(b.reason, 0) + b.rows
    reasons = "; ".join(f"{reason} ({n})" for reason, n in counts.items())
    skipped = f"skipped {sum(counts.values())} of {total} rows of the log: {reasons}"
    comment = f"{identity.comment}; {skipped}" if identity.comment else skipped
    return replace(identity, comment=comment)


def _holds_readings(m: Measurement) -> bool:
    if m.program is not None and any(np.isfinite(b.conductance).any() for b in m.program.blocks()):
        return True
    for reads in (m.reads, *m.bakes):
        if reads is not None and any(np.isfinite(b).any() for b in reads.blocks()):
            return True
    if m.endurance is not None and np.isfinite(m.endurance.conductance).any():
        return True
    return m.iv is not None or m.pulses is not None or m.attempts is not None
