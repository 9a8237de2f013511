"""Checks of dataset values: finite or NaN, in range, in order.

`faults` checks one block of a dataset, so that large datasets can be checked block by block.
`order_problems` checks small datasets as a whole, and datasets against each other.
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

_BLOCK = 16  # sweeps or reads per block
_OVERFLOW = 1e30  # no measured value in any unit; SCPI overflow is 9.9e37, netCDF fill 9.97e36


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of invalid value in a block, and where it occurs."""

    found: str
    expected: str
    remedy: str
    bad: NDArray[np.bool_]


def faults(values: NDArray[Any], rule: DatasetRule, *, unit: str = "") -> Iterator[Fault]:
    """Find values that are invalid on their own.

    Parameters
    ----------
    values : ndarray
        A block as stored in the file.
    rule : DatasetRule
    unit : str
        The dataset's unit; a resistance must not be zero.
    """
    if rule.kind in PHYSICAL:
        if _extremes_valid(values, zero_valid=not unit.endswith("ohm")):
            return
        if unit.endswith("ohm"):
            yield Fault(
                "a resistance of 0",
                "a nonzero resistance",
                "write NaN if the cell was not measured",
                values == 0,
            )
        else:
            yield Fault(
                "an infinite value",
                "finite numbers",
                "write NaN if nothing was measured",
                np.isinf(values),
            )
        yield Fault(
            f"a magnitude of {_OVERFLOW:g} or more",
            "measured values",
            "replace overflow markers of the instrument (such as 9.9e37) by NaN",
            np.isfinite(values) & (np.abs(values) >= _OVERFLOW),
        )
        if not rule.gaps:
            yield Fault("NaN", "no missing values", "", np.isnan(values))
    elif rule.kind == "flag" and values.dtype.kind != "b":
        yield Fault("a value other than 0 and 1", "0 or 1", "", (values != 0) & (values != 1))
    elif rule.kind == "text":
        empty = np.array([not str(plain(v)).strip() for v in values.flat], dtype=bool)
        yield Fault("an empty name", "a name for every level", "", empty.reshape(values.shape))


def _extremes_valid(values: NDArray[Any], *, zero_valid: bool) -> bool:
    """Return True if minimum and maximum alone show that every value is valid."""
    if not values.size:
        return False
    low, high = values.min(), values.max()
    return bool(low > -_OVERFLOW and high < _OVERFLOW and (zero_valid or low > 0 or high < 0))


def level_fault(level: NDArray[Any], levels: int) -> Fault:
    """Find level indices outside `/levels`, which has `levels` levels."""
    bad = (level < -1) | (level >= levels)
    if levels == 0:
        return Fault(
            "a level index without a group /levels",
            "-1, or a group /levels that defines the levels",
            "add /levels; if levels are unknown, omit /program/level and write -1 elsewhere",
            bad,
        )
    valid = "0, because /levels has 1 level"
    if levels > 1:
        valid = f"0 to {levels - 1}, because /levels has {levels} levels"
    return Fault(
        "a level index outside /levels",
        f"-1 (not programmed) or {valid}",
        "",
        bad,
    )


def value_problems(
    path: Path, file: h5py.File, where: str, rule: DatasetRule, *, levels: int
) -> Iterator[Problem]:
    """Check every value of the dataset at `where`, block by block."""
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
        times = "once:" if count == 1 else f"{count} times, first:"
        yield Problem(
            path=path,
            where=where,
            found=f"{fault.found} ({times} {first})",
            expected=fault.expected,
            remedy=fault.remedy,
        )


def unpacking_problem(path: Path, where: str, error: OSError) -> Problem:
    """Report that a dataset is damaged."""
    return Problem(
        path=path,
        where=where,
        found=f"data that HDF5 cannot decode ({error})",
        expected="a readable dataset",
        remedy="copy the file again from its source, because it is damaged",
    )


def order_problems(
    path: Path, good: Mapping[str, h5py.Dataset], *, rows: int | None, cols: int | None
) -> Iterator[Problem]:
    """Check orders, index ranges and window limits.

    Parameters
    ----------
    path : Path
    good : mapping
        Datasets with valid kind, unit and shape, by HDF5 path.
    rows, cols : int, optional
        Size of the array, if known.
    """
    yield from _level_problems(path, good)
    for group in ("reads", "retention"):
        if (time := good.get(f"/{group}/time")) is not None:
            yield from _never_decreases(path, time, "times that never decrease")
            if group == "retention" and np.any(time[...] < 0):
                yield Problem(
                    path=path,
                    where=time.name,
                    found=f"a time of {float(np.nanmin(time[...])):g}",
                    expected="times since programming, 0 or more",
                )
    if (cycle := good.get("/endurance/cycle")) is not None:
        yield from _never_decreases(path, cycle, "cycle counts that never decrease")
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
        here, following = _us(si["target"][k]), _us(si["target"][k + 1])
        yield problem(
            where="/levels/target",
            found=f"{here} at level {k} and {following} at level {k + 1}",
            expected="targets in rising order of conductance",
            remedy="sort the levels and renumber the level indices to match",
        )
    if "lower" in si and "upper" in si and np.any(bad := si["lower"] >= si["upper"]):
        k = int(np.argmax(bad))
        yield problem(
            where="/levels/lower",
            found=f"a window from {_us(si['lower'][k])} to {_us(si['upper'][k])} at level {k}",
            expected="`lower` below `upper`, both as conductance",
            remedy="swap the limits; in ohm, `lower` holds the higher resistance",
        )
    for name, sign in (("lower", 1), ("upper", -1)):
        if "target" in si and name in si and np.any(bad := sign * (si[name] - si["target"]) > 0):
            k = int(np.argmax(bad))
            yield problem(
                where=f"/levels/{name}",
                found=f"{_us(si[name][k])} at level {k}, whose target is {_us(si['target'][k])}",
                expected="a window that contains the target",
                note=True,
            )


def _us(conductance: float) -> str:
    return f"{conductance * 1e6:g} uS"


def _never_decreases(path: Path, dataset: h5py.Dataset, expected: str) -> Iterator[Problem]:
    values = dataset[...]
    falls = np.diff(values.astype(np.float64)) < 0
    if np.any(falls):
        i = int(np.argmax(falls))
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{values[i]:g} at [{i}], then {values[i + 1]:g} at [{i + 1}]",
            expected=expected,
        )


def _addresses(path: Path, dataset: h5py.Dataset, size: int | None) -> Iterator[Problem]:
    values = dataset[...]
    bad = (values < 0) | (values >= size) if size is not None else values < 0
    if np.any(bad):
        i = int(np.argmax(bad))
        limit = f"0 to {size - 1}, the size of the array" if size is not None else "0 or more"
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{int(values[i])} at [{i}] ({int(np.count_nonzero(bad))} out of range in total)",
            expected=limit,
            remedy="count rows and columns from 0",
        )


def _readout_problems(path: Path, good: Mapping[str, h5py.Dataset]) -> Iterator[Problem]:
    if (code := good.get("/readout/code")) is None:
        return
    bits = plain(code.parent.attrs.get("bits"))
    if not isinstance(bits, int):
        return
    if not 1 <= bits <= 32:
        yield Problem(
            path=path, where="/readout@bits", found=str(bits), expected="an ADC of 1 to 32 bits"
        )
        return
    values = code[...]
    low, high = int(values.min()), int(values.max())
    if low < -(2 ** (bits - 1)) or high >= 2**bits or high - low >= 2**bits:
        yield Problem(
            path=path,
            where=code.name,
            found=f"codes from {low} to {high}",
            expected=f"codes that fit into {bits} bits",
            remedy="correct the attribute `bits` or the codes",
        )


def truth_problems(path: Path, file: h5py.File) -> Iterator[Problem]:
    """Check that `/truth`, if present, is JSON text in a file marked as synthetic."""
    truth = file.get("truth")
    if truth is None:
        return
    try:
        json.loads(plain(truth[()]))
    except (TypeError, ValueError, AttributeError):
        yield Problem(
            path=path,
            where="/truth",
            found="content that is not JSON text",
            expected="the true parameters of a synthetic measurement, as JSON text",
        )
    if not plain(file.attrs.get("synthetic", False)):
        yield Problem(
            path=path,
            where="/truth",
            found="true parameters in a file that is not marked as synthetic",
            expected="the root attribute `synthetic` = true with /truth",
            note=True,
        )
