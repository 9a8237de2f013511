"""Writing a measurement file: SI units, identical bytes for identical content.

The file has the lowest version of the layout that can hold the content: 1.0 where nothing of 1.1 is
used.

Cell conductances are stored as float32; the relative rounding error of 6e-8 is far below any read
noise. Each sweep or read is one chunk (several, of more than 1024 sweeps of a small array),
shuffled, compressed with gzip and protected by a checksum; the finished file is sealed
(`rramfit.hdf5.digest`). A converted measurement names its source files.
Groups are NeXus `NXdata`, so that HDF5 viewers can plot them. Sweeps are written block by block. If
the result violates the layout, an error is raised and no file is left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rramfit.errors import MeasurementError, visible
from rramfit.measurement.file.contents import measurement_contents
from rramfit.measurement.file.contract.groups import GROUPS, ROOT_ATTRIBUTES
from rramfit.measurement.file.contract.rules import (
    FORMAT,
    LAYOUT_FILE,
    PHYSICAL,
    SOURCES,
    VERSIONS,
)
from rramfit.measurement.file.opening import open_measured
from rramfit.measurement.file.origin import Origin
from rramfit.measurement.file.plausibility import raise_implausible
from rramfit.measurement.file.problem import raise_first_violation
from rramfit.measurement.file.record import (
    Attempts,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Pulses,
    Reads,
)
from rramfit.measurement.file.validate import layout_problems
from rramfit.provenance import atomic_file, sha256_of

if TYPE_CHECKING:
    import h5py

__all__ = ["write_measurement"]

_COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
_BLOCK = 16  # sweeps or reads in memory at a time
_MANY = 1024  # sweeps or reads; a chunk for each would make a file of small arrays large and slow


def write_measurement(measurement: Measurement, path: Path | str) -> None:
    """Write a measurement as a measurement file.

    Parameters
    ----------
    measurement : Measurement
        Its sweeps and reads are iterated over once.
    path : Path or str
        Created only if writing succeeds.

    Raises
    ------
    MeasurementError
        If the content violates the layout or cannot be that of an array, or if `path` is the file
        that the measurement is read from; nothing is written then.
    """
    from rramfit.hdf5.digest import seal  # loads h5py, which those who only read do not need
    from rramfit.hdf5.writing import create_hdf5

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
        with create_hdf5(beside) as f:
            _root(f, measurement)
            _sources(f, measurement.origin)
            _levels(f, measurement)
            if measurement.program is not None:
                _program(f, measurement.program)
            _reads(f, "reads", measurement.reads)
            _bakes(f, measurement.bakes)
            _small_groups(f, measurement)
            for name in (name for name in GROUPS if name in f):
                several = name == "retention" and len(measurement.bakes) > 1
                for group in f[name].values() if several else (f[name],):
                    _add_nexus_attributes(group, name)
            f.attrs["default"] = next((n for n in _PLOTTED if n in f), "levels")
            seal(f)
        with open_measured(beside) as stored:
            raise_first_violation(layout_problems(stored, path))
            content = measurement_contents(beside, stored)
        raise_implausible(content, path)


_PLOTTED = tuple(name for name in GROUPS if name != "levels")


def _root(f: h5py.File, measurement: Measurement) -> None:
    f.attrs["format"] = FORMAT
    f.attrs["format_version"] = _version(measurement)
    f.attrs["NX_class"] = "NXroot"
    identity = measurement.identity
    for name in (x.name for x in fields(identity)):
        if (value := getattr(identity, name)) is not None:
            f.attrs[name] = value.replace("\0", "�") if isinstance(value, str) else value
    if measurement.truth is not None:
        _text(f, "truth", [json.dumps(measurement.truth, sort_keys=True, allow_nan=False)])


def _sources(f: h5py.File, origin: Origin | None) -> None:
    """Record which files a converted measurement is from, their digests, and the layout file."""
    if origin is not None:
        texts = [f"{visible(p.name)} sha256:{sha256_of(p)}" for p in origin.files]
        _text(f, SOURCES, texts)
        if origin.layout_text is not None:
            _text(f, LAYOUT_FILE, [origin.layout_text])


def _open_window(levels: Levels | None) -> bool:
    """Return True if a verify window has a limit on one side only."""
    limits = () if levels is None else (levels.lower, levels.upper)
    return any(x is not None and bool(np.isnan(x).any()) for x in limits)


def _version(measurement: Measurement) -> str:
    """Return the lowest version of the layout that can hold a measurement."""
    identity, iv = measurement.identity, measurement.iv
    newer = (
        measurement.pulses is not None
        or measurement.attempts is not None
        or len(measurement.bakes) > 1
        or _open_window(measurement.levels)
        or any(x is not None and x.session for x in (measurement.program, measurement.reads))
        or any(
            getattr(identity, name) is not None
            for name, rule in ROOT_ATTRIBUTES.items()
            if rule.since != VERSIONS[0]
        )
        or (
            iv is not None
            and (
                iv.voltage.ndim > 1
                or iv.repeat is not None
                or iv.direction is not None
                or len(np.unique(np.stack([iv.row, iv.col]), axis=1).T) < len(iv.row)
            )
        )
    )
    return VERSIONS[1] if newer else VERSIONS[0]


def _add_nexus_attributes(group: h5py.Group, name: str) -> None:
    """Add NeXus attributes and axis labels for HDF5 viewers."""
    rule = GROUPS[name]
    group.attrs["NX_class"] = "NXdata"
    if rule.signal not in group:
        return
    group.attrs["signal"] = rule.signal
    signal = group[rule.signal]
    axes = rule.datasets[rule.signal].axes[-signal.ndim :]
    scales = {"read": "time", "point": "cycle" if name == "endurance" else "voltage"}
    found = [scales.get(axis, ".") for axis in axes]
    group.attrs["axes"] = [
        scale if scale != "." and scale in group and group[scale].ndim == 1 else "."
        for scale in found
    ]
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


def _text(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Store texts of fixed length, which a checksum covers; of variable length it does not."""
    import h5py

    raw = [text.encode() for text in texts]
    dtype = h5py.string_dtype("utf-8", max(map(len, raw)))
    group.create_dataset(name, data=np.array(raw, dtype), chunks=(len(raw),), **_COMPRESSION)


def _together(shape: Sequence[int]) -> int:
    """Return how many (row, col) maps make one chunk: one, unless there are many small ones."""
    return max(4096 // (shape[-2] * shape[-1]), 1) if shape[-3] > _MANY else 1


def _cell_dataset(
    group: h5py.Group, name: str, shape: Sequence[int], dtype: Any, *, units: str = ""
) -> h5py.Dataset:
    """Create a dataset (…, row, col) with one chunk per (row, col) map; small maps share one."""
    together = min(_together(shape), shape[-3])
    chunk = (*(1 for _ in shape[:-3]), together, *shape[-2:])
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
    _text(group, "name", levels.names)


def _program(f: h5py.File, program: Program) -> None:
    group = f.create_group("program")
    group.attrs["read_voltage"] = float(program.read_voltage)
    if program.max_pulses is not None:
        group.attrs["max_pulses"] = int(program.max_pulses)
    if program.session:
        _text(group, "session", program.session)
    conductance = _cell_dataset(group, "conductance", program.shape, np.float32, units="S")
    level = _cell_dataset(group, "level", program.shape, np.int32) if program.levels_known else None
    verified = (
        _cell_dataset(group, "verified", program.shape, np.bool_)
        if program.acceptance == "verified"
        else None
    )
    pulses = None
    for block in program.blocks(max(_BLOCK, _together(program.shape))):
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
    for block in reads.blocks(max(_BLOCK, _together(reads.shape))):
        conductance[first : first + len(block)] = block.astype(np.float32)
        first += len(block)
    _store(group, "time", reads.time, units="s")
    _store(group, "level", reads.level.astype(np.int32))
    if reads.session and name == "reads":
        _text(group, "session", reads.session)


def _small_groups(f: h5py.File, measurement: Measurement) -> None:
    if (endurance := measurement.endurance) is not None:
        group = f.create_group("endurance")
        shape = endurance.conductance.shape
        _cell_dataset(group, "conductance", shape, np.float32, units="S")[...] = (
            endurance.conductance
        )
        _store(group, "cycle", endurance.cycle)
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
    _record(f, "iv", measurement.iv)
    _record(f, "pulses", measurement.pulses)
    _record(f, "attempts", measurement.attempts)


def _bakes(f: h5py.File, bakes: Sequence[Reads]) -> None:
    """Write one bake as `/retention` itself, several as its subgroups."""
    if len(bakes) == 1:
        _reads(f, "retention", bakes[0])
        return
    for k, bake in enumerate(bakes):
        _reads(f, f"retention/bake{k}", bake)
    if bakes:
        f["retention"].attrs.update({"NX_class": "NXentry", "default": "bake0"})


def _record(f: h5py.File, name: str, record: IVSweeps | Pulses | Attempts | None) -> None:
    """Write a record whose fields are the datasets and attributes of its group."""
    if record is None:
        return
    group, rule = f.create_group(name), GROUPS[name]
    for key, dataset_rule in rule.datasets.items():
        if (values := getattr(record, key)) is None:
            continue
        if dataset_rule.kind in PHYSICAL:
            _store(group, key, values, units=_SI[dataset_rule.kind])
        else:
            _store(group, key, values.astype(_STORED[dataset_rule.kind]))
    for key in rule.attributes:
        if (value := getattr(record, key)) is not None:
            group.attrs[key] = value


_SI = {"conductance": "S", "voltage": "V", "current": "A", "time": "s"}
_STORED = {"integer": np.int32, "flag": np.bool_}
