"""What the numbers of a dataset must be: finite or NaN, in range, in order.

`faults` looks at one block of a dataset by itself and is what readers of large files call block by
block; `order_problems` holds what can only be said of small datasets as a whole and of datasets
against each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.groups import PHYSICAL, DatasetRule
from rramfit.measurement.file.opening import blockwise, plain
from rramfit.measurement.file.problem import Problem
from rramfit.units import to_si

__all__ = [
    "Fault",
    "faults",
    "level_fault",
    "order_problems",
    "truth_problems",
    "unpacking_problem",
    "value_problems",
]

_BLOCK = 16  # read-outs looked at together
_MARK = 1e30  # in any unit, no measured number; SCPI's overflow is 9.9e37, netCDF's fill 9.97e36


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with some numbers of a block, and which."""

    found: str
    expected: str
    remedy: str
    bad: NDArray[np.bool_]


def faults(values: NDArray[Any], rule: DatasetRule, *, unit: str = "") -> Iterator[Fault]:
    """Find numbers that are illegal by themselves.

    Parameters
    ----------
    values : ndarray
        A block as it stands in the file.
    rule : DatasetRule
    unit : str
        The dataset's unit; a resistance of zero has no conductance.
    """
    if rule.kind in PHYSICAL:
        if _ordinary(values, zero=not unit.endswith("ohm")):
            return
        if unit.endswith("ohm"):
            yield Fault(
                "a resistance of 0",
                "a resistance that has a conductance",
                "write NaN where nothing was measured",
                values == 0,
            )
        else:
            yield Fault(
                "an infinity", "finite numbers", "write NaN for not measured", np.isinf(values)
            )
        yield Fault(
            f"a number of {_MARK:g} or more",
            "measured numbers",
            "instruments mark overflow so (9.9e37); write NaN for not measured",
            np.isfinite(values) & (np.abs(values) >= _MARK),
        )
        if not rule.gaps:
            yield Fault("NaN", "a number everywhere", "", np.isnan(values))
    elif rule.kind == "flag" and values.dtype.kind != "b":
        yield Fault("a number besides 0 and 1", "true or false", "", (values != 0) & (values != 1))
    elif rule.kind == "text":
        empty = np.array([not str(plain(v)).strip() for v in values.flat], dtype=bool)
        yield Fault("an empty name", "a name for every level", "", empty.reshape(values.shape))


def _ordinary(values: NDArray[Any], *, zero: bool) -> bool:
    """Whether extremes alone show every number to be legal, as they do in most blocks."""
    if not values.size:
        return False
    low, high = values.min(), values.max()
    return bool(low > -_MARK and high < _MARK and (zero or low > 0 or high < 0))


def level_fault(level: NDArray[Any], levels: int) -> Fault:
    """Find level indexes that point at no level."""
    bad = (level < -1) | (level >= levels)
    if levels == 0:
        return Fault(
            "a level index, and no /levels",
            "-1, or a group /levels that says what the levels are",
            "add /levels; where the level is unknown, leave /program/level out, else write -1",
            bad,
        )
    return Fault(
        "an index of no level",
        f"-1 (not programmed) or 0 to {levels - 1}, as /levels has {levels}",
        "",
        bad,
    )


def value_problems(
    path: Path, file: h5py.File, where: str, rule: DatasetRule, *, levels: int
) -> Iterator[Problem]:
    """Look at every number of the dataset at `where`, block by block."""
    source = blockwise(file, where)
    units = str(plain(source.attrs.get("units", "")))
    is_level = rule.kind == "integer" and where.endswith("/level")
    is_count = where.rsplit("/", 1)[-1] in ("pulses", "cycle")
    seen: dict[str, tuple[int, str, Fault]] = {}
    for start in range(0, len(source), _BLOCK if rule.streamed else len(source)):
        block = source[start : start + _BLOCK] if rule.streamed else source[...]
        found = list(faults(block, rule, unit=units))
        if is_level:
            found.append(level_fault(block, levels))
        if is_count:
            found.append(Fault("a negative count", "0 or more", "", block < 0))
        for fault in found:
            n = int(np.count_nonzero(fault.bad))
            if not n:
                continue
            if fault.found not in seen:
                i = np.unravel_index(int(np.argmax(fault.bad)), fault.bad.shape)
                value = plain(block[i])
                at = ", ".join(map(str, (int(i[0]) + start, *map(int, i[1:]))))
                seen[fault.found] = (0, f"{value!r} at [{at}]", fault)
            count, first, kept = seen[fault.found]
            seen[fault.found] = (count + n, first, kept)
    for count, first, fault in seen.values():
        times = "once" if count == 1 else f"{count} times"
        yield Problem(
            path=path,
            where=where,
            found=f"{fault.found}, {times}, first {first}",
            expected=fault.expected,
            remedy=fault.remedy,
        )


def unpacking_problem(path: Path, where: str, error: OSError) -> Problem:
    """Say that a dataset's bytes are damaged."""
    return Problem(
        path=path,
        where=where,
        found=f"numbers that cannot be unpacked ({error})",
        expected="a dataset that can be read whole",
        remedy="the file is damaged: copy it again from where it was measured",
    )


def order_problems(
    path: Path, good: Mapping[str, h5py.Dataset], *, rows: int | None, cols: int | None
) -> Iterator[Problem]:
    """Check what is in order, inside limits, and the right way up.

    Parameters
    ----------
    path : Path
    good : mapping
        Datasets by HDF5 path, those whose kind, unit and shape are right.
    rows, cols : int, optional
        Size of the array, where known.
    """
    yield from _level_problems(path, good)
    for group in ("reads", "retention"):
        if (time := good.get(f"/{group}/time")) is not None:
            yield from _not_falling(path, time, "times in the order of the reads")
            if group == "retention" and np.any(time[...] < 0):
                yield Problem(
                    path=path,
                    where=time.name,
                    found=f"a time of {float(np.nanmin(time[...])):g}",
                    expected="times counted from programming, 0 or later",
                )
    if (cycle := good.get("/endurance/cycle")) is not None:
        yield from _not_falling(path, cycle, "cycles done so far, never fewer")
    for name, size in (("/iv/row", rows), ("/iv/col", cols), ("/readout/channel_col", cols)):
        if name in good:
            yield from _addresses(path, good[name], size)
    yield from _readout_problems(path, good)


def _level_problems(path: Path, good: Mapping[str, h5py.Dataset]) -> Iterator[Problem]:
    problem = partial(Problem, path=path)
    si = {
        name: to_si(d[...], str(plain(d.attrs["units"])), "conductance")
        for name in ("target", "lower", "upper")
        if (d := good.get(f"/levels/{name}")) is not None
    }
    if "target" in si and not np.all(np.diff(si["target"]) > 0):
        k = int(np.argmin(np.diff(si["target"]) > 0))
        yield problem(
            where="/levels/target",
            found=f"{si['target'][k]:g} S at level {k} and {si['target'][k + 1]:g} S at {k + 1}",
            expected="targets in rising order of conductance",
            remedy="sort the levels and renumber the level indexes with them",
        )
    if "lower" in si and "upper" in si and np.any(bad := si["lower"] >= si["upper"]):
        k = int(np.argmax(bad))
        yield problem(
            where="/levels/lower",
            found=f"a window from {si['lower'][k]:g} S to {si['upper'][k]:g} S at level {k}",
            expected="lower below upper, as conductances",
            remedy="a window in ohm has its higher resistance in `lower`",
        )
    for name, sign in (("lower", 1), ("upper", -1)):
        if "target" in si and name in si and np.any(bad := sign * (si[name] - si["target"]) > 0):
            k = int(np.argmax(bad))
            yield problem(
                where=f"/levels/{name}",
                found=f"{si[name][k]:g} S with a target of {si['target'][k]:g} S at level {k}",
                expected="a target inside its window",
                note=True,
            )


def _not_falling(path: Path, dataset: h5py.Dataset, expected: str) -> Iterator[Problem]:
    values = dataset[...]
    falls = np.diff(values.astype(np.float64)) < 0
    if np.any(falls):
        i = int(np.argmax(falls))
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{values[i]:g} at [{i}] and {values[i + 1]:g} at [{i + 1}]",
            expected=expected,
        )


def _addresses(path: Path, dataset: h5py.Dataset, size: int | None) -> Iterator[Problem]:
    values = dataset[...]
    bad = (values < 0) | (values >= size) if size is not None else values < 0
    if np.any(bad):
        i = int(np.argmax(bad))
        limit = f"0 to {size - 1}, the array's size" if size is not None else "0 or more"
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{int(values[i])} at [{i}], {int(np.count_nonzero(bad))} outside in all",
            expected=limit,
            remedy="rows and columns count from 0",
        )


def _readout_problems(path: Path, good: Mapping[str, h5py.Dataset]) -> Iterator[Problem]:
    if (code := good.get("/readout/code")) is None:
        return
    bits = plain(code.parent.attrs.get("bits"))
    if not isinstance(bits, int):
        return
    if not 1 <= bits <= 32:
        yield Problem(
            path=path, where="/readout@bits", found=str(bits), expected="1 to 32 bits of the ADC"
        )
        return
    values = code[...]
    low, high = int(values.min()), int(values.max())
    if low < -(2 ** (bits - 1)) or high >= 2**bits or high - low >= 2**bits:
        yield Problem(
            path=path,
            where=code.name,
            found=f"codes from {low} to {high}",
            expected=f"codes of {bits} bits",
            remedy="correct the attribute `bits`, or the codes",
        )


def truth_problems(path: Path, file: h5py.File) -> Iterator[Problem]:
    """Check that `/truth`, where there is one, is JSON text in a file that says it is synthetic."""
    truth = file.get("truth")
    if truth is None:
        return
    try:
        json.loads(plain(truth[()]))
    except (TypeError, ValueError, AttributeError):
        yield Problem(
            path=path,
            where="/truth",
            found="something else than JSON text",
            expected="the parameters of the program that made the file, as JSON text",
        )
    if not plain(file.attrs.get("synthetic", False)):
        yield Problem(
            path=path,
            where="/truth",
            found="parameters of a program, in a file that does not say it is synthetic",
            expected="the root attribute synthetic = true beside /truth",
            note=True,
        )
