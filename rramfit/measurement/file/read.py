"""Reading a measurement file: SI from here on, large groups block by block.

Small groups are read at once. `/program`, `/reads` and `/retention` may be larger than memory:
their records open the file anew for each pass, hand out blocks in float64, and close it. Numbers of
large files are checked as they are read: an infinity or a level that does not exist raises then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.acceptance import acceptance_source, inside_window
from rramfit.measurement.file.groups import GROUPS, ROOT_ATTRIBUTES
from rramfit.measurement.file.opening import blockwise, open_measured, plain
from rramfit.measurement.file.problem import Problem, refuse
from rramfit.measurement.file.record import (
    MVM,
    ArrayIdentity,
    Endurance,
    Floats,
    Integers,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Readout,
    Reads,
    SweepBlock,
)
from rramfit.measurement.file.validate import layout_problems
from rramfit.measurement.file.values import faults, level_fault, unpacking_problem
from rramfit.units import to_si

__all__ = ["read_measurement"]


def read_measurement(path: Path | str) -> Measurement:
    """Read a measurement file of layout 1.0.

    Parameters
    ----------
    path : Path or str
        The file; it is opened read-only and never changed.

    Returns
    -------
    Measurement
        In SI. Sweeps and reads stay in the file and are read when they are asked for.

    Raises
    ------
    MeasurementError
        If the file does not keep to the layout: names the first problem and how many more there
        are.
    """
    path = Path(path)
    with open_measured(path) as f:
        refuse(layout_problems(f, path))
        levels = _levels(f)
        rows, cols = _array_size(f)
        return Measurement(
            path=path,
            identity=_identity(f),
            rows=rows,
            cols=cols,
            levels=levels,
            program=_program(path, f, levels),
            reads=_reads(path, f, "reads"),
            retention=_reads(path, f, "retention"),
            endurance=_endurance(f),
            iv=_iv(f),
            mvm=_mvm(f),
            readout=_readout(f),
            truth=json.loads(plain(f["truth"][()])) if "truth" in f else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileSweeps:
    """Opens `/program` of a file and hands it out block by block."""

    path: Path
    levels: Levels | None
    acceptance: str

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        with open_measured(self.path) as f:
            group = f["program"]
            source = {
                name: blockwise(group, name)
                for name in ("conductance", "level", "verified", "pulses")
                if name in group
            }
            total = len(source["conductance"])
            unit = str(plain(source["conductance"].attrs["units"]))
            for first in range(0, total, sweeps):
                stop = min(first + sweeps, total)
                yield self._block(source, unit, first, stop)

    def _block(
        self, source: dict[str, h5py.Dataset], unit: str, first: int, stop: int
    ) -> SweepBlock:
        g = _conductance_block(self.path, source["conductance"], unit, first, stop)
        if "level" in source:
            raw = _unpack(self.path, source["level"], first, stop)
            n_levels = 0 if self.levels is None else len(self.levels)
            _refuse_block(self.path, source["level"].name, raw, first, n_levels)
            narrow = raw if raw.ndim == 3 else raw[:, None, None]
            level: Integers = np.broadcast_to(narrow.astype(np.int64), g.shape)
        else:
            level = np.broadcast_to(np.int64(-1), g.shape)
        if "verified" in source:
            accepted = _unpack(self.path, source["verified"], first, stop).astype(
                np.bool_, copy=False
            )
        elif self.acceptance == "window" and self.levels is not None:
            accepted = inside_window(g, level, self.levels)
        else:
            accepted = np.broadcast_to(np.True_, g.shape)
        pulses = (
            _unpack(self.path, source["pulses"], first, stop).astype(np.int64)
            if "pulses" in source
            else None
        )
        return SweepBlock(first=first, conductance=g, level=level, accepted=accepted, pulses=pulses)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileReads:
    """Opens `/reads` or `/retention` of a file and hands it out block by block."""

    path: Path
    group: str

    def __call__(self, reads: int) -> Iterator[Floats]:
        with open_measured(self.path) as f:
            source = blockwise(f, f"{self.group}/conductance")
            unit = str(plain(source.attrs["units"]))
            for first in range(0, len(source), reads):
                stop = min(first + reads, len(source))
                block = _conductance_block(self.path, source, unit, first, stop)
                block.flags.writeable = False
                yield block


def _unpack(path: Path, dataset: h5py.Dataset, first: int, stop: int) -> NDArray[Any]:
    try:
        block: NDArray[Any] = dataset[first:stop]
    except OSError as e:
        refuse([unpacking_problem(path, dataset.name, e)])
        raise  # not reached: a damaged dataset is always refused
    return block


def _conductance_block(
    path: Path, dataset: h5py.Dataset, unit: str, first: int, stop: int
) -> Floats:
    """One block in siemens, float64, checked."""
    raw = _unpack(path, dataset, first, stop)
    rule = GROUPS[dataset.name.split("/")[1]].datasets["conductance"]
    for fault in faults(raw, rule, unit=unit):
        if fault.bad.any():
            i = np.unravel_index(int(np.argmax(fault.bad)), fault.bad.shape)
            at = ", ".join(map(str, (int(i[0]) + first, *map(int, i[1:]))))
            refuse(
                [
                    Problem(
                        path=path,
                        where=dataset.name,
                        found=f"{fault.found} at [{at}]",
                        expected=fault.expected,
                        remedy=fault.remedy,
                    )
                ]
            )
    return raw.astype(np.float64) if unit == "S" else to_si(raw, unit, "conductance")


def _refuse_block(path: Path, where: str, level: NDArray[Any], first: int, levels: int) -> None:
    if level.min() >= -1 and level.max() < levels:
        return
    fault = level_fault(level, levels)
    i = np.unravel_index(int(np.argmax(fault.bad)), fault.bad.shape)
    refuse(
        [
            Problem(
                path=path,
                where=where,
                found=f"{fault.found}, {int(level[i])} in sweep {int(i[0]) + first}",
                expected=fault.expected,
                remedy=fault.remedy,
            )
        ]
    )


def _identity(f: h5py.File) -> ArrayIdentity:
    attributes = {name: plain(f.attrs[name]) for name in ROOT_ATTRIBUTES if name in f.attrs}
    for name in ("format", "format_version"):
        attributes.pop(name)
    attributes["synthetic"] = bool(attributes.get("synthetic", False))
    return ArrayIdentity(**attributes)


def _si(dataset: h5py.Dataset, kind: str) -> Floats:
    return to_si(dataset[...], str(plain(dataset.attrs["units"])), kind)


def _array_size(f: h5py.File) -> tuple[int, int]:
    """Rows and columns of the array; where no group spans it, the smallest array that fits."""
    sizes: dict[str, int] = {}
    for name, rule in GROUPS.items():
        for key, dataset_rule in rule.datasets.items():
            dataset = f.get(f"{name}/{key}")
            if dataset is not None and len(dataset.shape) == len(dataset_rule.axes):
                sizes |= {
                    axis: size
                    for axis, size in zip(dataset_rule.axes, dataset.shape, strict=True)
                    if axis in ("row", "col")
                }
    seen = {"row": [1], "col": [1]}
    for where, axis in (("iv/row", "row"), ("iv/col", "col"), ("readout/channel_col", "col")):
        if where in f:
            seen[axis].append(int(f[where][...].max()) + 1)
    if "readout" in f:
        seen["col"].append(f["readout/code"].shape[-1])
    return sizes.get("row", max(seen["row"])), sizes.get("col", max(seen["col"]))


def _levels(f: h5py.File) -> Levels | None:
    if "levels" not in f:
        return None
    group = f["levels"]
    names = tuple(str(plain(v)) for v in group["name"][...]) if "name" in group else ()
    return Levels(
        target=_si(group["target"], "conductance"),
        lower=_si(group["lower"], "conductance") if "lower" in group else None,
        upper=_si(group["upper"], "conductance") if "upper" in group else None,
        names=names,
    )


def _program(path: Path, f: h5py.File, levels: Levels | None) -> Program | None:
    if "program" not in f:
        return None
    group = f["program"]
    known = "level" in group
    acceptance = acceptance_source(levels, verified_given="verified" in group, levels_known=known)
    sweeps, rows, cols = group["conductance"].shape
    return Program(
        shape=(sweeps, rows, cols),
        levels_known=known,
        acceptance=acceptance,
        read_voltage=float(plain(group.attrs["read_voltage"])),
        max_pulses=plain(group.attrs.get("max_pulses")),
        open_blocks=_FileSweeps(path=path, levels=levels, acceptance=acceptance),
    )


def _reads(path: Path, f: h5py.File, name: str) -> Reads | None:
    if name not in f:
        return None
    group = f[name]
    reads, rows, cols = group["conductance"].shape
    voltage = plain(group.attrs.get("read_voltage"))
    temperature = plain(group.attrs.get("temperature"))
    return Reads(
        shape=(reads, rows, cols),
        time=_si(group["time"], "time"),
        level=group["level"][...].astype(np.int64),
        read_voltage=None if voltage is None else float(voltage),
        temperature=None if temperature is None else float(temperature),
        open_blocks=_FileReads(path=path, group=name),
    )


def _endurance(f: h5py.File) -> Endurance | None:
    if "endurance" not in f:
        return None
    group = f["endurance"]
    return Endurance(
        conductance=_si(group["conductance"], "conductance"),
        cycle=group["cycle"][...].astype(np.int64),
    )


def _iv(f: h5py.File) -> IVSweeps | None:
    if "iv" not in f:
        return None
    group = f["iv"]
    return IVSweeps(
        voltage=_si(group["voltage"], "voltage"),
        current=_si(group["current"], "current"),
        row=group["row"][...].astype(np.int64),
        col=group["col"][...].astype(np.int64),
    )


def _mvm(f: h5py.File) -> MVM | None:
    if "mvm" not in f:
        return None
    group = f["mvm"]
    return MVM(
        voltage=_si(group["voltage"], "voltage"),
        current=_si(group["current"], "current"),
        conductance=_si(group["conductance"], "conductance"),
        inactive_rows=str(plain(group.attrs["inactive_rows"])),
        cell_reads=str(plain(group.attrs["cell_reads"])),
    )


def _readout(f: h5py.File) -> Readout | None:
    if "readout" not in f:
        return None
    group = f["readout"]
    code = group["code"][...].astype(np.float64)
    channels = group.get("channel_col")
    return Readout(
        input=_si(group["input"], "current"),
        code=code if code.ndim == 3 else code[None],
        channel_col=None if channels is None else channels[...].astype(np.int64),
        bits=int(plain(group.attrs["bits"])),
        full_scale=float(plain(group.attrs["full_scale"])),
        zero_code=int(plain(group.attrs["zero_code"])),
    )
