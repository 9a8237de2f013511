"""The records of an open, valid measurement file, in SI units.

Small groups are read into memory. Sweeps and reads stay in the file and are read on demand by
`rramfit.measurement.file.blocks`. The file must have passed `validate.layout_problems`.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from rramfit.measurement.file.acceptance import acceptance_source
from rramfit.measurement.file.blocks import ReadsInFile, SweepsInFile
from rramfit.measurement.file.groups import GROUPS, ROOT_ATTRIBUTES
from rramfit.measurement.file.opening import plain
from rramfit.measurement.file.record import (
    MVM,
    ArrayIdentity,
    Endurance,
    Floats,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Readout,
    Reads,
)
from rramfit.units import to_si

__all__ = ["measurement_contents"]


def measurement_contents(path: Path, f: h5py.File) -> Measurement:
    """Return the records of an open, valid measurement file.

    Parameters
    ----------
    path : Path
        The file; sweeps and reads open it again when they are read.
    f : h5py.File
    """
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


def _identity(f: h5py.File) -> ArrayIdentity:
    attributes = {name: plain(f.attrs[name]) for name in ROOT_ATTRIBUTES if name in f.attrs}
    for name in ("format", "format_version"):
        attributes.pop(name)
    attributes["synthetic"] = bool(attributes.get("synthetic", False))
    return ArrayIdentity(**attributes)


def _si(dataset: h5py.Dataset, kind: str) -> Floats:
    return to_si(dataset[...], str(plain(dataset.attrs["units"])), kind)


def _array_size(f: h5py.File) -> tuple[int, int]:
    """Return rows and columns of the array; if no group spans it, the smallest that fits."""
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
        open_blocks=SweepsInFile(path=path, levels=levels, acceptance=acceptance),
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
        open_blocks=ReadsInFile(path=path, group=name),
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
