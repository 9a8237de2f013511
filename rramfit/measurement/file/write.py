"""Writing a measurement file: layout 1.0, SI, the same bytes for the same content.

Conductances of cells are stored as float32: their rounding, 6e-8 of the value, is far below any
read noise. One read-out is one chunk, shuffled, gzipped and with a checksum. Groups are NeXus
`NXdata`, so that general HDF5 viewers plot them. A file is written whole or not at all, sweep block
by sweep block, and is refused where it would not keep to the layout.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from rramfit.errors import MeasurementError
from rramfit.measurement.file.groups import FORMAT, FORMAT_VERSION, GROUPS
from rramfit.measurement.file.problem import refuse
from rramfit.measurement.file.record import Measurement, Program, Reads
from rramfit.measurement.file.validate import layout_problems
from rramfit.provenance import whole_file

__all__ = ["write_measurement"]

_PACKED = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
_BLOCK = 16  # sweeps in memory at a time


def write_measurement(measurement: Measurement, path: Path | str) -> None:
    """Write a measurement as a file of layout 1.0.

    Parameters
    ----------
    measurement : Measurement
        Its sweeps and reads are gone through once.
    path : Path or str
        Appears whole or not at all.

    Raises
    ------
    MeasurementError
        If what was written would not keep to the layout, or would replace the file that the
        measurement is read from; nothing is written then.
    """
    path = Path(path)
    if measurement.path is not None and path.resolve() == measurement.path.resolve():
        raise MeasurementError(
            path,
            "/",
            found="the measured file itself",
            expected="another file to write to",
            remedy="what was measured is never overwritten",
        )
    with whole_file(path) as beside:
        with h5py.File(beside, "w") as f:
            _root(f, measurement)
            _levels(f, measurement)
            if measurement.program is not None:
                _program(f, measurement.program)
            _reads(f, "reads", measurement.reads)
            _reads(f, "retention", measurement.retention)
            _whole_groups(f, measurement)
            for name in GROUPS:
                if name in f:
                    _nexus(f[name], name)
            f.attrs["default"] = next((n for n in _PLOTTED if n in f), "levels")
        with h5py.File(beside, "r") as f:
            refuse(layout_problems(f, path))


_PLOTTED = ("program", "reads", "retention", "endurance", "iv", "mvm", "readout")


def _root(f: h5py.File, measurement: Measurement) -> None:
    f.attrs["format"] = FORMAT
    f.attrs["format_version"] = FORMAT_VERSION
    f.attrs["NX_class"] = "NXroot"
    identity = measurement.identity
    for name in (x.name for x in fields(identity)):
        if (value := getattr(identity, name)) is not None:
            f.attrs[name] = value
    if measurement.truth is not None:
        f["truth"] = json.dumps(measurement.truth, sort_keys=True, allow_nan=False)


def _nexus(group: h5py.Group, name: str) -> None:
    """Name the axes for viewers: a dataset where there is one, else by label alone."""
    rule = GROUPS[name]
    group.attrs["NX_class"] = "NXdata"
    group.attrs["signal"] = rule.signal
    signal = group[rule.signal]
    axes = rule.datasets[rule.signal].axes[-signal.ndim :]
    scales = {"read": "time", "point": "cycle" if name == "endurance" else "voltage"}
    found = [scales.get(axis, ".") for axis in axes]
    group.attrs["axes"] = [scale if scale in group else "." for scale in found]
    for key, dataset_rule in rule.datasets.items():
        if key in group and group[key].ndim:
            dataset = group[key]
            labels = dataset_rule.axes
            if dataset.ndim != len(labels):
                labels = dataset_rule.short
            for i, label in enumerate(labels):
                dataset.dims[i].label = label


def _store(group: h5py.Group, name: str, values: ArrayLike, *, units: str = "") -> None:
    a = np.asarray(values)
    group.create_dataset(name, data=a, chunks=a.shape, **_PACKED)
    if units:
        group[name].attrs["units"] = units


def _cells(
    group: h5py.Group, name: str, shape: Sequence[int], dtype: Any, *, units: str = ""
) -> h5py.Dataset:
    """Make a dataset of cells, one read-out a chunk."""
    chunk = (*(1 for _ in shape[:-2]), *shape[-2:])
    dataset = group.create_dataset(name, shape=tuple(shape), dtype=dtype, chunks=chunk, **_PACKED)
    if units:
        dataset.attrs["units"] = units
    return dataset


def _levels(f: h5py.File, measurement: Measurement) -> None:
    levels = measurement.levels
    if levels is None:
        return
    group = f.create_group("levels")
    _store(group, "target", levels.target, units="S")
    if levels.lower is not None:
        _store(group, "lower", levels.lower, units="S")
    if levels.upper is not None:
        _store(group, "upper", levels.upper, units="S")
    group.create_dataset("name", data=list(levels.names), dtype=h5py.string_dtype())


def _program(f: h5py.File, program: Program) -> None:
    group = f.create_group("program")
    group.attrs["read_voltage"] = float(program.read_voltage)
    if program.max_pulses is not None:
        group.attrs["max_pulses"] = int(program.max_pulses)
    conductance = _cells(group, "conductance", program.shape, np.float32, units="S")
    level = _cells(group, "level", program.shape, np.int32) if program.levels_known else None
    verified = (
        _cells(group, "verified", program.shape, np.bool_)
        if program.acceptance == "verified"
        else None
    )
    pulses = None
    for block in program.blocks(_BLOCK):
        part = slice(block.first, block.first + len(block.conductance))
        conductance[part] = block.conductance.astype(np.float32)
        if level is not None:
            level[part] = block.level
        if verified is not None:
            verified[part] = block.accepted
        if block.pulses is not None:
            if pulses is None:
                pulses = _cells(group, "pulses", program.shape, np.uint32)
            pulses[part] = block.pulses


def _reads(f: h5py.File, name: str, reads: Reads | None) -> None:
    if reads is None:
        return
    group = f.create_group(name)
    if reads.read_voltage is not None:
        group.attrs["read_voltage"] = float(reads.read_voltage)
    if reads.temperature is not None:
        group.attrs["temperature"] = float(reads.temperature)
    conductance = _cells(group, "conductance", reads.shape, np.float32, units="S")
    first = 0
    for block in reads.blocks(_BLOCK):
        conductance[first : first + len(block)] = block.astype(np.float32)
        first += len(block)
    _store(group, "time", reads.time, units="s")
    _store(group, "level", reads.level.astype(np.int32))


def _whole_groups(f: h5py.File, measurement: Measurement) -> None:
    if (endurance := measurement.endurance) is not None:
        group = f.create_group("endurance")
        shape = endurance.conductance.shape
        _cells(group, "conductance", shape, np.float32, units="S")[...] = endurance.conductance
        _store(group, "cycle", endurance.cycle)
    if (iv := measurement.iv) is not None:
        group = f.create_group("iv")
        _store(group, "voltage", iv.voltage, units="V")
        _store(group, "current", iv.current, units="A")
        _store(group, "row", iv.row.astype(np.int32))
        _store(group, "col", iv.col.astype(np.int32))
    if (mvm := measurement.mvm) is not None:
        group = f.create_group("mvm")
        _store(group, "voltage", mvm.voltage, units="V")
        _store(group, "current", mvm.current, units="A")
        _store(group, "conductance", mvm.conductance, units="S")
        group.attrs["inactive_rows"] = mvm.inactive_rows
        group.attrs["cell_reads"] = mvm.cell_reads
    if (readout := measurement.readout) is not None:
        group = f.create_group("readout")
        _store(group, "input", readout.input, units="A")
        _store(group, "code", np.rint(readout.code).astype(np.int32))
        if readout.channel_col is not None:
            _store(group, "channel_col", readout.channel_col.astype(np.int32))
        group.attrs["bits"] = int(readout.bits)
        group.attrs["full_scale"] = float(readout.full_scale)
        group.attrs["zero_code"] = int(readout.zero_code)
