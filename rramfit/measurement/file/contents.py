"""The records of an open, valid measurement file, in SI units.

Small groups are read into memory. Sweeps and reads stay in the file and are read on demand by
`rramfit.measurement.file.blocks`. The file must have passed `validate.layout_problems`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import visible
from rramfit.hdf5 import Dataset
from rramfit.hdf5.nodes import File
from rramfit.measurement.file.acceptance import acceptance_source
from rramfit.measurement.file.blocks import ReadsInFile, SweepsInFile
from rramfit.measurement.file.contract.groups import groups_of, part_names, root_attributes_of
from rramfit.measurement.file.contract.rules import PHYSICAL, GroupRule
from rramfit.measurement.file.opening import FileState, plain
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
)
from rramfit.units import to_si

__all__ = ["measurement_contents"]


def measurement_contents(path: Path, f: File) -> Measurement:
    """Return the records of an open, valid measurement file.

    Parameters
    ----------
    path : Path
        The file; sweeps and reads open it again when they are read.
    f : File
    """
    groups = groups_of(plain(f.attrs["format_version"]))
    names = {name for name in groups if name in f}
    levels = _levels(f)
    rows, cols = _array_size(f, groups)
    bakes = tuple(_reads_of(path, f, name) for name in part_names(f, "retention"))
    return Measurement(
        path=path,
        identity=_identity(f),
        rows=rows,
        cols=cols,
        levels=levels,
        program=_program(path, f, levels),
        reads=_reads_of(path, f, "reads") if "reads" in f else None,
        retention=bakes[0] if bakes else None,
        endurance=_endurance(f),
        iv=IVSweeps(**_fields(f, "iv", groups)) if "iv" in names else None,
        mvm=_mvm(f),
        readout=_readout(f),
        pulses=Pulses(**_fields(f, "pulses", groups)) if "pulses" in names else None,
        attempts=Attempts(**_fields(f, "attempts", groups)) if "attempts" in names else None,
        more_bakes=bakes[1:],
        truth=json.loads(plain(f["truth"][()])) if "truth" in f else None,
    )


def _identity(f: File) -> ArrayIdentity:
    known = root_attributes_of(plain(f.attrs["format_version"]))
    attributes = {name: plain(f.attrs[name]) for name in known if name in f.attrs}
    for name in ("format", "format_version"):
        attributes.pop(name)
    attributes = {k: _shown(v) if isinstance(v, str) else v for k, v in attributes.items()}
    attributes["synthetic"] = bool(attributes.get("synthetic", False))
    return ArrayIdentity(**attributes)


def _shown(text: str) -> str:
    """Return text as terminals and reports may show it: control characters escaped, by lines."""
    return "\n".join(map(visible, text.splitlines()))


def _si(dataset: Dataset, kind: str) -> Floats:
    return to_si(dataset[...], str(plain(dataset.attrs["units"])), kind)


def _array_size(f: File, groups: Mapping[str, GroupRule]) -> tuple[int, int]:
    """Return rows and columns of the array; if no group spans it, the smallest that fits."""
    sizes: dict[str, int] = {}
    seen = {"row": [1], "col": [1]}
    for name, rule in groups.items():
        for part in part_names(f, name):
            for key, dataset_rule in rule.datasets.items():
                dataset = f.get(f"{part}/{key}")
                if dataset is None:
                    continue
                if key in ("row", "col"):
                    seen[key].append(int(dataset[...].max()) + 1)
                if len(dataset.shape) == len(dataset_rule.axes):
                    sizes |= {
                        axis: size
                        for axis, size in zip(dataset_rule.axes, dataset.shape, strict=True)
                        if axis in seen
                    }
    if "readout/channel_col" in f:
        seen["col"].append(int(f["readout/channel_col"][...].max()) + 1)
    if "readout" in f:
        seen["col"].append(f["readout/code"].shape[-1])
    return sizes.get("row", max(seen["row"])), sizes.get("col", max(seen["col"]))


def _levels(f: File) -> Levels | None:
    if "levels" not in f:
        return None
    group = f["levels"]
    names = tuple(visible(str(v)) for v in group["name"][...]) if "name" in group else ()
    return Levels(
        target=_si(group["target"], "conductance"),
        lower=_si(group["lower"], "conductance") if "lower" in group else None,
        upper=_si(group["upper"], "conductance") if "upper" in group else None,
        names=names,
    )


def _program(path: Path, f: File, levels: Levels | None) -> Program | None:
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
        open_blocks=SweepsInFile(
            path=path, levels=levels, acceptance=acceptance, state=FileState.of(path)
        ),
        session=_sessions(f, "program"),
    )


def _reads_of(path: Path, f: File, name: str) -> Reads:
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
        open_blocks=ReadsInFile(path=path, group=name, state=FileState.of(path)),
        session=_sessions(f, name),
    )


def _sessions(f: File, name: str) -> tuple[str, ...] | None:
    """Return the session of each sweep or read; None if the version or the file has none."""
    rules = groups_of(plain(f.attrs["format_version"])).get(name)
    if rules is None or "session" not in rules.datasets or "session" not in f[name]:
        return None
    return tuple(visible(str(plain(v))) for v in f[name]["session"][...])


def _endurance(f: File) -> Endurance | None:
    if "endurance" not in f:
        return None
    group = f["endurance"]
    return Endurance(
        conductance=_si(group["conductance"], "conductance"),
        cycle=group["cycle"][...].astype(np.int64),
    )


def _fields(f: File, name: str, groups: Mapping[str, GroupRule]) -> dict[str, Any]:
    """Return the datasets and attributes of a group by name, which are the fields of its record."""
    group, rule = f[name], groups[name]
    found: dict[str, Any] = {}
    for key, dataset_rule in rule.datasets.items():
        if key in group:
            found[key] = (
                _si(group[key], dataset_rule.kind)
                if dataset_rule.kind in PHYSICAL
                else group[key][...].astype(_RECORDED[dataset_rule.kind])
            )
    for key, attribute in rule.attributes.items():
        if (value := plain(group.attrs.get(key))) is not None:
            found[key] = value if attribute.kind == "integer" else float(value)
    return found


_RECORDED: Mapping[str, type[np.generic]] = {"integer": np.int64, "flag": np.bool_}


def _mvm(f: File) -> MVM | None:
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


def _readout(f: File) -> Readout | None:
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
