"""Validation of a file against layout 1.0: lists every violation at once, with remedies.

The checks run in three passes: root attributes; groups with their attributes, kinds, units and
shapes; then the values of the datasets that passed so far. Nothing is repaired or guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.groups import (
    FORMAT_VERSION,
    GROUPS,
    PHYSICAL,
    ROOT_ATTRIBUTES,
    AttributeRule,
    DatasetRule,
    GroupRule,
)
from rramfit.measurement.file.opening import open_measured, plain
from rramfit.measurement.file.problem import Problem
from rramfit.measurement.file.values import (
    order_problems,
    truth_problems,
    unpacking_problem,
    value_problems,
)
from rramfit.units import ACCEPTED_UNITS

__all__ = ["layout_problems", "validate_layout"]

_SCAN_LIMIT = 4_000_000  # readings; larger datasets are checked while they are read
_ATTRIBUTE_UNITS = {"voltage": "V", "current": "A", "temperature": "K"}
_NEXUS = frozenset({"NX_class", "signal", "axes", "auxiliary_signals", "default"})


def validate_layout(path: Path | str) -> list[Problem]:
    """List all violations of layout 1.0 in a file, and notes on content that is not read.

    Parameters
    ----------
    path : Path or str
        The file; it is opened read-only.

    Returns
    -------
    list of Problem
        Violations first, then notes. A valid file has no violations.
    """
    path = Path(path)
    try:
        with open_measured(path) as f:
            return layout_problems(f, path, scan=True)
    except MeasurementError as e:
        return [
            Problem(path=path, where=e.where, found=e.found, expected=e.expected, remedy=e.remedy)
        ]


def layout_problems(file: h5py.File, path: Path, *, scan: bool | None = None) -> list[Problem]:
    """List all violations and notes of an open file.

    Parameters
    ----------
    file : h5py.File
    path : Path
        Path of the file for the messages.
    scan : bool, optional
        Whether to check every value of sweeps and reads; by default only in datasets of at most
        4 million readings. Larger ones are checked while they are read.
    """
    problems = [*_attribute_problems(path, file, ROOT_ATTRIBUTES), *_version_problems(path, file)]
    good: dict[str, DatasetRule] = {}
    array: dict[str, tuple[int, str]] = {}
    for name, rule in GROUPS.items():
        if (group := file.get(name)) is not None:
            problems += _group_problems(path, name, group, rule, good=good, array=array)
    present = [name for name in GROUPS if name in file]
    if not present:
        problems.append(
            Problem(
                path=path,
                where="/",
                found=f"no group of layout 1.0 ({_listing(file)})",
                expected=f"at least one of {', '.join('/' + name for name in GROUPS)}",
                remedy="convert files in other formats with `rramfit measurement convert`",
            )
        )
    problems += [
        Problem(
            path=path,
            where=f"/{name}",
            found="an object that layout 1.0 does not define",
            expected="only groups of layout 1.0",
            remedy="ignore this note if the object need not be read",
            note=True,
        )
        for name in file
        if name not in GROUPS and name != "truth"
    ]
    levels_known = "/levels/target" in good
    levels = len(file["levels/target"]) if levels_known else 0
    readable: list[str] = []
    for where, dataset_rule in good.items():
        if where.endswith("/level") and not levels_known and "levels" in file:
            continue  # the problem of /levels is reported already
        if dataset_rule.streamed and file[where].size > _SCAN_LIMIT and not scan:
            continue
        try:
            problems += value_problems(path, file, where, dataset_rule, levels=levels)
            readable.append(where)
        except OSError as e:
            problems.append(unpacking_problem(path, where, e))
    sizes = {axis: size for axis, (size, _) in array.items()}
    datasets = {where: file[where] for where in readable}
    problems += order_problems(path, datasets, rows=sizes.get("row"), cols=sizes.get("col"))
    problems += truth_problems(path, file)
    return sorted(problems, key=lambda p: p.note)


def _listing(file: h5py.File) -> str:
    names = [f"/{name}" for name in file]
    return "the file is empty" if not names else f"the file has {', '.join(names[:8])}"


def _version_problems(path: Path, file: h5py.File) -> Iterator[Problem]:
    version = plain(file.attrs.get("format_version"))
    if version is None:
        return
    major, _, minor = str(version).partition(".")
    where = "/@format_version"
    if not isinstance(version, str) or major != "1" or not minor.isdigit():
        yield Problem(
            path=path,
            where=where,
            found=repr(version),
            expected=f"the text {FORMAT_VERSION!r}",
            remedy="write the version as text; use a newer rramfit to read a newer layout",
        )
    elif version != FORMAT_VERSION:
        yield Problem(
            path=path,
            where=where,
            found=repr(version),
            expected=repr(FORMAT_VERSION),
            remedy=f"ignore this note if the additions of layout {version} need not be read",
            note=True,
        )


def _attribute_problems(
    path: Path, owner: h5py.Group, rules: Mapping[str, AttributeRule]
) -> Iterator[Problem]:
    for name, rule in rules.items():
        problem = partial(Problem, path=path, where=f"{owner.name}@{name}")
        expected = _attribute_expected(rule)
        if name not in owner.attrs:
            if rule.needed:
                yield problem(found="no such attribute", expected=expected)
            continue
        value = plain(owner.attrs[name])
        if not _attribute_valid(value, rule):
            yield problem(found=repr(value), expected=expected)
    for name in owner.attrs:
        if name not in rules and name not in _NEXUS:
            yield Problem(
                path=path,
                where=f"{owner.name}@{name}",
                found="an attribute that layout 1.0 does not define",
                expected="only attributes of layout 1.0",
                remedy="ignore this note if the attribute need not be read",
                note=True,
            )


def _attribute_expected(rule: AttributeRule) -> str:
    if rule.choices:
        *others, last = map(repr, rule.choices)
        return f"{', '.join(others)} or {last}" if others else last
    if rule.kind in _ATTRIBUTE_UNITS:
        number = "finite" if rule.kind == "voltage" else "positive"
        return f"one {number} number, the {rule.kind} in {_ATTRIBUTE_UNITS[rule.kind]}"
    return {
        "text": "non-empty text",
        "time": "an ISO 8601 time with time zone, such as 2026-03-01T09:30:00+01:00",
        "flag": "true or false",
        "integer": "an integer",
    }[rule.kind]


def _attribute_valid(value: Any, rule: AttributeRule) -> bool:
    if rule.choices:
        return isinstance(value, str) and value in rule.choices
    if rule.kind == "text":
        return isinstance(value, str) and bool(value.strip())
    if rule.kind == "time":
        try:
            return datetime.fromisoformat(value).tzinfo is not None
        except (TypeError, ValueError):
            return False
    if rule.kind == "flag":
        return isinstance(value, (bool, int)) and value in (0, 1)
    if rule.kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and (value > 0 or rule.kind == "voltage")


def _group_problems(
    path: Path,
    name: str,
    group: Any,
    rule: GroupRule,
    *,
    good: dict[str, DatasetRule],
    array: dict[str, tuple[int, str]],
) -> Iterator[Problem]:
    """Check the form of one group; add its valid datasets to `good`, its size to `array`."""
    if not isinstance(group, h5py.Group):
        yield Problem(path=path, where=f"/{name}", found="a dataset", expected="a group")
        return
    yield from _attribute_problems(path, group, rule.attributes)
    local: dict[str, tuple[int, str]] = {}
    for key, dataset_rule in rule.datasets.items():
        where = f"/{name}/{key}"
        dataset = group.get(key)
        if dataset is None:
            if dataset_rule.needed:
                yield Problem(
                    path=path,
                    where=where,
                    found="no such dataset",
                    expected=_dataset_expected(dataset_rule),
                )
            continue
        if not isinstance(dataset, h5py.Dataset):
            yield Problem(path=path, where=where, found="a group", expected="a dataset")
            continue
        problems = [
            *_kind_problems(path, where, dataset, dataset_rule),
            *_shape_problems(path, where, dataset, dataset_rule, local=local, array=array),
        ]
        yield from problems
        if not problems:
            good[where] = dataset_rule
    for key in group:
        if key not in rule.datasets:
            yield Problem(
                path=path,
                where=f"/{name}/{key}",
                found="an object that layout 1.0 does not define",
                expected="only datasets of layout 1.0",
                remedy="ignore this note if the object need not be read",
                note=True,
            )


def _dataset_expected(rule: DatasetRule) -> str:
    forms = " or ".join(f"({', '.join(a)})" for a in (rule.axes, rule.short) if a)
    unit = f" in {' '.join(ACCEPTED_UNITS[rule.kind])}" if rule.kind in PHYSICAL else ""
    return f"{_KINDS.get(rule.kind, 'floats')} of shape {forms}{unit}"


_KINDS = {"integer": "integers", "flag": "booleans", "text": "strings"}


def _kind_problems(
    path: Path, where: str, dataset: h5py.Dataset, rule: DatasetRule
) -> Iterator[Problem]:
    dtype = dataset.dtype
    text = h5py.check_string_dtype(dtype) is not None
    right = {
        "integer": dtype.kind in "iu",
        "flag": dtype.kind in "biu",
        "text": text,
    }.get(rule.kind, dtype.kind == "f" and dtype.itemsize in (4, 8))
    if not right:
        expected = {
            "integer": "integers",
            "flag": "booleans, or integers 0 and 1",
            "text": "strings",
        }.get(rule.kind, "float32 or float64")
        yield Problem(
            path=path,
            where=where,
            found=f"type {'text' if text else dtype}",
            expected=expected,
        )
    if rule.kind in PHYSICAL:
        accepted = ACCEPTED_UNITS[rule.kind]
        units = plain(dataset.attrs.get("units"))
        if not isinstance(units, str) or units not in accepted:
            yield Problem(
                path=path,
                where=where,
                found="no attribute `units`" if units is None else f"units = {units!r}",
                expected=f"one of the units {' '.join(accepted)}",
                remedy="write the attribute `units`; units are never guessed"
                if units is None
                else "",
            )


def _shape_problems(
    path: Path,
    where: str,
    dataset: h5py.Dataset,
    rule: DatasetRule,
    *,
    local: dict[str, tuple[int, str]],
    array: dict[str, tuple[int, str]],
) -> Iterator[Problem]:
    problem = partial(Problem, path=path, where=where)
    shape = dataset.shape
    axes = next((a for a in (rule.axes, rule.short) if a and len(a) == len(shape or ())), None)
    if shape is None or axes is None:
        forms = " or ".join(f"({', '.join(a)})" for a in (rule.axes, rule.short) if a)
        yield problem(found=f"shape {shape}", expected=f"shape {forms}")
        return
    if not np.prod(shape):
        yield problem(found=f"shape {shape}", expected="no axis of size 0")
        return
    for axis, size in zip(axes, shape, strict=True):
        known = array if axis in ("row", "col") else local
        before, first = known.setdefault(axis, (size, where))
        if before != size:
            yield problem(
                found=f"{axis} = {size} in shape {shape}",
                expected=f"{axis} = {before}, as in {first}",
                remedy=f"check that the axes are ({', '.join(axes)})",
            )
