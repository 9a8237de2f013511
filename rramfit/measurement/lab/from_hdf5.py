"""Conversion of an HDF5 or MATLAB v7.3 file to the groups of layout 1.0.

Each dataset is transposed to the axes of layout 1.0 and converted to SI units. Its axes may have
any order. An axis of size 1 may be missing; `take` selects one index of an axis that layout 1.0
does not have; an axis `cell` is reshaped to row and column, row by row. Sweeps and reads stay in
the file and are read block by block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError, visible
from rramfit.hdf5 import Dataset
from rramfit.hdf5.nodes import File
from rramfit.measurement.file.acceptance import acceptance_source, inside_window
from rramfit.measurement.file.contract.groups import GROUPS
from rramfit.measurement.file.contract.rules import PHYSICAL
from rramfit.measurement.file.opening import blockwise, plain
from rramfit.measurement.file.record import (
    MVM,
    ArrayIdentity,
    Attempts,
    Endurance,
    Floats,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Pulses,
    Readout,
    Reads,
    SweepBlock,
)
from rramfit.measurement.lab.formats.arrays import open_arrays
from rramfit.measurement.lab.layout_hdf5 import HDF5Layout, HDF5Value
from rramfit.measurement.lab.table.levels import listed_levels
from rramfit.units import ACCEPTED_UNITS, to_si

__all__ = ["measurement_from_hdf5"]


_VECTOR_AXIS = "·"  # the second axis, of size 1, of every MATLAB vector


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dataset:
    """The place of a dataset, and how its axes map to those of layout 1.0."""

    path: Path
    where: str  # in the layout file
    value: HDF5Value
    kind: str
    axes: tuple[str, ...]  # of layout 1.0
    matlab: bool
    rows: int
    cols: int

    def read(self, f: File, steps: slice | None = None) -> NDArray[Any]:
        """Return the data with the axes of layout 1.0, in SI; `steps` slices the first axis."""
        dataset = self._dataset(f)
        stored = self._stored_axes(dataset)
        taken = {**self.value.take, _VECTOR_AXIS: 0}
        index: list[Any] = [taken.get(a, slice(None)) for a in stored]
        lead = self.axes[0] if steps is not None else None
        if lead is not None and lead in stored:
            at = stored.index(lead)
            index[at] = steps
        raw = np.asarray(dataset[tuple(index)])
        remaining = [a for a in stored if a not in taken]
        if "cell" in remaining and "cell" not in self.axes:
            at = remaining.index("cell")
            raw = raw.reshape(*raw.shape[:at], self.rows, self.cols, *raw.shape[at + 1 :])
            remaining[at : at + 1] = ["row", "col"]
        short = GROUPS[self.where.split(".")[0]].datasets[self.where.split(".")[1]].short
        if short and set(remaining) == set(short):
            transposed = raw.transpose([remaining.index(a) for a in short])
        else:
            transposed = raw.transpose([remaining.index(a) for a in self.axes if a in remaining])
            missing = tuple(i for i, a in enumerate(self.axes) if a not in remaining)
            transposed = np.expand_dims(transposed, missing)
        return self._si(transposed)

    def open_for_pass(self, f: File) -> Dataset:
        """Open the dataset for one pass along the first axis; keep it open while reading."""
        dataset = self._dataset(f)
        stored = self._stored_axes(dataset)
        name = dataset.name
        del dataset
        return blockwise(f, name, stored.index(self.axes[0])) if self.axes[0] in stored else f[name]

    def steps(self, f: File) -> int:
        """Return the size of the first axis of layout 1.0."""
        dataset = self._dataset(f)
        stored = self._stored_axes(dataset)
        return dataset.shape[stored.index(self.axes[0])] if self.axes[0] in stored else 1

    def _dataset(self, f: File) -> Dataset:
        dataset = f.get(self.value.path)
        if not isinstance(dataset, Dataset):
            present = sorted(_datasets(f))
            more = ", …" if len(present) > 12 else ""
            raise MeasurementError(
                self.path,
                self.value.path,
                found="no such dataset",
                expected=f"one of {', '.join(present[:12])}{more}",
                remedy=f"correct {self.where}.path in the layout file",
            )
        return dataset

    def _stored_axes(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the axes in h5py's order; check their number, names and sizes."""
        named = tuple(
            "curve" if a == "cell" and "curve" in self.axes else a for a in self.value.axes
        )  # the axis of /iv was called `cell` before a cell could have several curves
        stored = named[::-1] if self.matlab else named
        shape = dataset.shape[::-1] if self.matlab else dataset.shape
        if self.matlab and len(stored) == 1 and len(shape) == 2 and 1 in shape:
            stored = (
                (stored[0], _VECTOR_AXIS) if dataset.shape[1] == 1 else (_VECTOR_AXIS, stored[0])
            )
        given = tuple(self.value.take) + (("cell",) if {"row", "col"} <= set(self.axes) else ())
        unknown = [a for a in named if a not in (*self.axes, *given)]
        if len(stored) != len(shape) or unknown or len(set(stored)) != len(stored):
            raise MeasurementError(
                self.path,
                dataset.name,
                found=f"shape {shape} with the axis names ({', '.join(self.value.axes)})",
                expected=f"one distinct name per axis, from ({', '.join(self.axes)}) or `take`",
                remedy=f"correct {self.where}.axes in the layout file",
            )
        wanted = {"row": self.rows, "col": self.cols, "cell": self.rows * self.cols}
        for axis, size in zip(stored, dataset.shape, strict=True):
            if axis in wanted and axis not in self.value.take and size != wanted[axis]:
                raise MeasurementError(
                    self.path,
                    dataset.name,
                    found=f"{axis} = {size}",
                    expected=f"{wanted[axis]}, as in [array] of the layout file",
                    remedy=f"check the order of {self.where}.axes in the layout file",
                )
        return stored

    def _si(self, raw: NDArray[Any]) -> NDArray[Any]:
        if self.kind == "flag":
            return raw.astype(np.bool_)
        if self.kind == "integer":
            numbers = np.asarray(raw, dtype=np.float64)
            integral = np.isfinite(numbers) & (numbers == np.floor(numbers))
            if not integral.all() and self.axes[-1] != "col":
                raise MeasurementError(
                    self.path,
                    self.value.path,
                    found=f"{numbers[~integral].flat[0]!r}",
                    expected="integers",
                )
            return np.where(integral, numbers, self.value.first - 1).astype(np.int64) - (
                self.value.first
            )
        if self.kind not in PHYSICAL:
            return raw
        values = raw.astype(np.float64)
        for marker in self.value.missing:
            values[values == marker] = np.nan
        units = str(self.value.units)
        if self.kind == "conductance" and units in ACCEPTED_UNITS["current"]:
            return to_si(values, units, "current") / float(self.value.voltage or np.nan)
        return to_si(values, units, self.kind)


def _datasets(f: File) -> list[str]:
    return [dataset.name for dataset in f.datasets()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabSweeps:
    """Iterates over the programming sweeps of a source file, block by block."""

    path: Path
    parts: Mapping[str, _Dataset]
    levels: Levels | None
    acceptance: str
    shape: tuple[int, int, int]

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        with open_arrays(self.path) as f:
            opened = [dataset.open_for_pass(f) for dataset in self.parts.values()]
            for first in range(0, self.shape[0], sweeps):
                part = slice(first, min(first + sweeps, self.shape[0]))
                yield self._block(f, part)
            del opened

    def _block(self, f: File, part: slice) -> SweepBlock:
        def read(name: str) -> NDArray[Any]:
            values = self.parts[name].read(f, part)
            values = values[:, None, None] if values.ndim == 1 else values
            return np.broadcast_to(values, (part.stop - part.start, *self.shape[1:]))

        g = read("conductance")
        level = read("level") if "level" in self.parts else np.broadcast_to(np.int64(-1), g.shape)
        if "verified" in self.parts:
            accepted = read("verified")
        elif self.acceptance == "window" and self.levels is not None:
            accepted = inside_window(g, level, self.levels)
        else:
            accepted = np.broadcast_to(np.True_, g.shape)
        return SweepBlock(
            first=part.start,
            conductance=g,
            level=level,
            accepted=accepted,
            pulses=read("pulses") if "pulses" in self.parts else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabReads:
    """Iterates over the reads of a source file, block by block."""

    path: Path
    conductance: _Dataset
    shape: tuple[int, int, int]

    def __call__(self, reads: int) -> Iterator[Floats]:
        with open_arrays(self.path) as f:
            opened = self.conductance.open_for_pass(f)
            for first in range(0, self.shape[0], reads):
                part = slice(first, min(first + reads, self.shape[0]))
                block: Floats = self.conductance.read(f, part)
                block.flags.writeable = False
                yield block
            del opened


def measurement_from_hdf5(
    path: Path, layout: HDF5Layout, *, identity: ArrayIdentity
) -> Measurement:
    """Convert an HDF5 or MATLAB v7.3 file to the groups of layout 1.0.

    Parameters
    ----------
    path : Path
    layout : HDF5Layout
    identity : ArrayIdentity

    Raises
    ------
    MeasurementError
        If a dataset of the layout is missing, or its axes do not match the file.
    """
    rows, cols = layout.array.rows, layout.array.cols
    levels = listed_levels(layout.levels)
    with open_arrays(path) as f:
        groups = {name: _Group(path, f, name, layout) for name in layout.groups}
        return Measurement(
            path=path,
            identity=identity,
            rows=rows,
            cols=cols,
            levels=levels,
            program=_program(groups["program"], levels) if "program" in groups else None,
            reads=_reads(groups["reads"]) if "reads" in groups else None,
            retention=_reads(groups["retention"]) if "retention" in groups else None,
            endurance=_endurance(groups["endurance"]) if "endurance" in groups else None,
            iv=IVSweeps(**groups["iv"].record()) if "iv" in groups else None,
            mvm=_mvm(groups["mvm"]) if "mvm" in groups else None,
            readout=_readout(groups["readout"]) if "readout" in groups else None,
            pulses=Pulses(**groups["pulses"].record()) if "pulses" in groups else None,
            attempts=Attempts(**groups["attempts"].record()) if "attempts" in groups else None,
        )


class _Group:
    """One group of the layout file: its datasets and attributes."""

    def __init__(self, path: Path, f: File, name: str, layout: HDF5Layout) -> None:
        self.path, self.file, self.name = path, f, name
        self.rows, self.cols = layout.array.rows, layout.array.cols
        rule, given = GROUPS[name], layout.groups[name]
        self.datasets = {
            key: _Dataset(
                path=path,
                where=f"{name}.{key}",
                value=value,
                kind=dataset_rule.kind,
                axes=dataset_rule.axes,
                matlab=layout.source.kind == "matlab",
                rows=self.rows,
                cols=self.cols,
            )
            for key, dataset_rule in rule.datasets.items()
            if isinstance(value := given.get(key), HDF5Value)
        }
        self.attributes = {
            key: self._attribute(key, given[key], rule.attributes[key].kind)
            for key in rule.attributes
            if key in given
        }

    def _attribute(self, key: str, value: Any, kind: str) -> Any:
        if not isinstance(value, HDF5Value):
            return value
        dataset = self.file.get(value.path)
        found = plain(dataset[()]) if isinstance(dataset, Dataset) else None
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise MeasurementError(
                self.path,
                value.path,
                found="no dataset with a single number",
                expected=f"the {key.replace('_', ' ')} of [{self.name}]",
            )
        return float(to_si(found, value.units, kind)) if value.units else found

    def read(self, key: str) -> NDArray[Any]:
        return self.datasets[key].read(self.file)

    def record(self) -> dict[str, Any]:
        """Return all datasets and attributes, which are the fields of the group's record."""
        return {key: self.read(key) for key in self.datasets} | self.attributes


def _program(group: _Group, levels: Levels | None) -> Program:
    steps = group.datasets["conductance"].steps(group.file)
    shape = (steps, group.rows, group.cols)
    acceptance = acceptance_source(
        levels,
        verified_given="verified" in group.datasets,
        levels_known="level" in group.datasets,
    )
    return Program(
        shape=shape,
        levels_known="level" in group.datasets,
        acceptance=acceptance,
        read_voltage=group.attributes["read_voltage"],
        max_pulses=group.attributes.get("max_pulses"),
        open_blocks=_LabSweeps(
            path=group.path,
            parts=group.datasets,
            levels=levels,
            acceptance=acceptance,
            shape=shape,
        ),
        session=_sessions(group),
    )


def _reads(group: _Group) -> Reads:
    steps = group.datasets["conductance"].steps(group.file)
    shape = (steps, group.rows, group.cols)
    unknown = np.full(shape[1:], -1, np.int64)
    return Reads(
        shape=shape,
        time=group.read("time"),
        level=group.read("level") if "level" in group.datasets else unknown,
        read_voltage=group.attributes.get("read_voltage"),
        temperature=group.attributes.get("temperature"),
        open_blocks=_LabReads(
            path=group.path, conductance=group.datasets["conductance"], shape=shape
        ),
        session=_sessions(group),
    )


def _sessions(group: _Group) -> tuple[str, ...] | None:
    values = group.read("session").flat if "session" in group.datasets else ()
    return tuple(visible(str(plain(v))) for v in values) or None  # texts, or numbers


def _endurance(group: _Group) -> Endurance:
    return Endurance(conductance=group.read("conductance"), cycle=group.read("cycle"))


def _mvm(group: _Group) -> MVM:
    return MVM(
        voltage=group.read("voltage"),
        current=group.read("current"),
        conductance=group.read("conductance"),
        inactive_rows=str(group.attributes["inactive_rows"]),
        cell_reads=str(group.attributes["cell_reads"]),
    )


def _readout(group: _Group) -> Readout:
    code = group.read("code").astype(np.float64)
    channels = group.read("channel_col") if "channel_col" in group.datasets else None
    return Readout(
        input=group.read("input"),
        code=code if code.ndim == 3 else code[None],
        channel_col=channels,
        bits=int(group.attributes["bits"]),
        full_scale=float(group.attributes["full_scale"]),
        zero_code=int(group.attributes["zero_code"]),
    )
