"""Writing a measurement file: layout 1.0, SI units, identical bytes for identical content.

Cell conductances are stored as float32; the relative rounding error of 6e-8 is far below any read
noise. Each sweep or read is one chunk, shuffled, compressed with gzip and protected by a checksum.
Groups are NeXus `NXdata`, so that HDF5 viewers can plot them. Sweeps are written block by block. If
the result violates the layout, an error is raised and no file is left.
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
from rramfit.measurement.file.problem import raise_first_violation
from rramfit.measurement.file.record import Measurement, Program, Reads
from rramfit.measurement.file.validate import layout_problems
from rramfit.provenance import atomic_file

__all__ = ["write_measurement"]

_COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
_BLOCK = 16  # sweeps or reads in memory at a time


def write_measurement(measurement: Measurement, path: Path | str) -> None:
    """Write a measurement as a file of layout 1.0.

    Parameters
    ----------
    measurement : Measurement
        Its sweeps and reads are iterated over once.
    path : Path or str
        Created only if writing succeeds.

    Raises
    ------
    MeasurementError
        If the content violates the layout, or if `path` is the file that the measurement is read
        from; nothing is written then.
    """
    path = Path(path)
    if measurement.path is not None and path.resolve() == measurement.path.resolve():
        raise MeasurementError(
            path,
            "/",
            found="the file that the measurement is read from",
            expected="another output file",
            remedy="choose another path, because a measured file is never overwritten",
        )
    with atomic_file(path) as beside:
        with h5py.File(beside, "w") as f:
            _root(f, measurement)
            _levels(f, measurement)
            if measurement.program is not None:
                _program(f, measurement.program)
            _reads(f, "reads", measurement.reads)
            _reads(f, "retention", measurement.retention)
            _small_groups(f, measurement)
            for name in GROUPS:
                if name in f:
                    _add_nexus_attributes(f[name], name)
            f.attrs["default"] = next((n for n in _PLOTTED if n in f), "levels")
        with h5py.File(beside, "r") as f:
            raise_first_violation(layout_problems(f, path))


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


def _add_nexus_attributes(group: h5py.Group, name: str) -> None:
    """Add NeXus attributes and axis labels for HDF5 viewers."""
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
    group.create_dataset(name, data=a, chunks=a.shape, **_COMPRESSION)
    if units:
        group[name].attrs["units"] = units


def _cell_dataset(
    group: h5py.Group, name: str, shape: Sequence[int], dtype: Any, *, units: str = ""
) -> h5py.Dataset:
    """Create a dataset (…, row, col) with one chunk per (row, col) map."""
    chunk = (*(1 for _ in shape[:-2]), *shape[-2:])
    dataset = group.create_dataset(
        name, shape=tuple(shape), dtype=dtype, chunks=chunk, **_COMPRESSION
    )
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
    conductance = _cell_dataset(group, "conductance", program.shape, np.float32, units="S")
    level = _cell_dataset(group, "level", program.shape, np.int32) if program.levels_known else None
    verified = (
        _cell_dataset(group, "verified", program.shape, np.bool_)
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
                pulses = _cell_dataset(group, "pulses", program.shape, np.uint32)
            pulses[part] = block.pulses


def _reads(f: h5py.File, name: str, reads: Reads | None) -> None:
    if reads is None:
        return
    group = f.create_group(name)
    if reads.read_voltage is not None:
        group.attrs["read_voltage"] = float(reads.read_voltage)
    if reads.temperature is not None:
        group.attrs["temperature"] = float(reads.temperature)
    conductance = _cell_dataset(group, "conductance", reads.shape, np.float32, units="S")
    first = 0
    for block in reads.blocks(_BLOCK):
        conductance[first : first + len(block)] = block.astype(np.float32)
        first += len(block)
    _store(group, "time", reads.time, units="s")
    _store(group, "level", reads.level.astype(np.int32))


def _small_groups(f: h5py.File, measurement: Measurement) -> None:
    if (endurance := measurement.endurance) is not None:
        group = f.create_group("endurance")
        shape = endurance.conductance.shape
        _cell_dataset(group, "conductance", shape, np.float32, units="S")[...] = (
            endurance.conductance
        )
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
