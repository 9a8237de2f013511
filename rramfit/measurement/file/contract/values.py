"""Checks of dataset values: finite or NaN, and in range.

`faults` checks one block of a dataset, so that large datasets can be checked block by block.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.hdf5.nodes import File
from rramfit.measurement.file.contract.rules import PHYSICAL, DatasetRule
from rramfit.measurement.file.opening import blockwise, plain
from rramfit.measurement.file.problem import Problem
from rramfit.units import unit_name

__all__ = [
    "Fault",
    "faults",
    "level_fault",
    "truth_problems",
    "value_problems",
]

_BLOCK = 16  # sweeps or reads per block, or more of a small array:
_VALUES = 2**16
_COUNTS = ("pulses", "cycle", "set_pulses", "reset_pulses", "repeat")  # never negative
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
        unit = unit_name(unit)
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
        expected = "text of one character or more"
        yield Fault("an empty name", expected, "", empty.reshape(values.shape))


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


def _choice_fault(values: NDArray[Any], choices: tuple[int, ...]) -> Fault:
    """Find integers that are not one of the values that the layout defines."""
    *others, last = map(str, choices)
    return Fault(
        "a value that the layout does not define",
        f"{', '.join(others)} or {last}",
        "",
        ~np.isin(values, choices),
    )


def value_problems(
    path: Path, file: File, where: str, rule: DatasetRule, *, levels: int
) -> Iterator[Problem]:
    """Check every value of the dataset at `where`, block by block."""
    source = blockwise(file, where)
    units = str(plain(source.attrs.get("units", "")))
    is_level = rule.kind == "integer" and where.endswith("/level")
    is_count = where.rsplit("/", 1)[-1] in _COUNTS
    seen: dict[str, tuple[int, str, Fault]] = {}
    several = max(_BLOCK, _VALUES // max(math.prod(source.shape[1:]), 1))
    for start in range(0, len(source), several if rule.streamed else len(source)):
        block = source[start : start + several] if rule.streamed else source[...]
        found = list(faults(block, rule, unit=units))
        if is_level:
            found.append(level_fault(block, levels))
        if rule.choices:
            found.append(_choice_fault(block, rule.choices))
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


def truth_problems(path: Path, file: File) -> Iterator[Problem]:
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
