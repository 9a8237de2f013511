"""Validation of a file against the layout: lists every violation at once, with remedies.

The checks run in three passes: root attributes; groups with their attributes, kinds, units and
shapes; then the values of the datasets that passed so far. Nothing is repaired or guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.hdf5 import Dataset, Group
from rramfit.hdf5.messages import CONTENT
from rramfit.hdf5.nodes import File
from rramfit.hdf5.reader import EDITED
from rramfit.measurement.file.contents import measurement_contents
from rramfit.measurement.file.contract.attributes import attribute_problems, undefined
from rramfit.measurement.file.contract.groups import (
    GROUPS,
    groups_of,
    part_names,
    root_attributes_of,
)
from rramfit.measurement.file.contract.orders import order_problems
from rramfit.measurement.file.contract.rules import (
    LAYOUT_FILE,
    PHYSICAL,
    SOURCES,
    UNITS,
    VERSIONS,
    DatasetRule,
    GroupRule,
)
from rramfit.measurement.file.contract.values import (
    truth_problems,
    value_problems,
)
from rramfit.measurement.file.opening import open_measured, plain
from rramfit.measurement.file.plausibility import implausible
from rramfit.measurement.file.problem import Problem
from rramfit.units import unit_name

__all__ = ["layout_problems", "validate_layout"]

_SCAN_LIMIT = 4_000_000  # readings; larger datasets are checked while they are read


def validate_layout(path: Path | str) -> list[Problem]:
    """List all violations of the layout in a file, and notes on content that is not read.

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
            problems = layout_problems(f, path, scan=True)
            if any(not p.note for p in problems):
                return problems
            measurement = measurement_contents(path, f)
        return [*implausible(measurement, path), *problems]
    except MeasurementError as e:
        return [Problem.of(e)]


def layout_problems(file: File, path: Path, *, scan: bool | None = None) -> list[Problem]:
    """List all violations and notes of an open file.

    Parameters
    ----------
    file : File
    path : Path
        Path of the file for the messages.
    scan : bool, optional
        Whether to check every value of sweeps and reads; by default only in datasets of at most
        4 million readings. Larger ones are checked while they are read.
    """
    version = plain(file.attrs.get("format_version"))
    groups = groups_of(version)
    problems = [
        *attribute_problems(path, file, root_attributes_of(version)),
        *_version_problems(path, version),
    ]
    good: dict[str, DatasetRule] = {}
    array: dict[str, tuple[int, str]] = {}
    for name, rule in groups.items():
        parts = part_names(file, name)
        for part in parts:
            problems += _group_problems(path, part, file[part], rule, good=good, array=array)
        if parts and name not in parts:
            problems += _holder_problems(path, file[name], parts)
    if not any(name in file for name in groups):
        problems.append(
            Problem(
                path=path,
                where="/",
                found=f"no group of the layout ({_listing(file)})",
                expected=f"at least one of {', '.join('/' + name for name in groups)}",
                remedy="convert files in other formats with `rramfit measurement convert`; "
                "`rramfit measurement layout` lists the groups",
            )
        )
    problems += [
        Problem(
            path=path, where=f"/{name}", **undefined("object", since=GROUPS.get(name)), note=True
        )
        for name in file
        if name not in groups and name not in ("truth", SOURCES, LAYOUT_FILE)
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
        except MeasurementError as e:
            problems.append(Problem.of(e))
    sizes = {axis: size for axis, (size, _) in array.items()}
    datasets = {where: file[where] for where in readable}
    problems += order_problems(path, datasets, rows=sizes.get("row"), cols=sizes.get("col"))
    problems += truth_problems(path, file)
    problems += _seal_problems(path, file)
    return sorted(problems, key=lambda p: p.note)


def _seal_problems(path: Path, file: File) -> Iterator[Problem]:
    """Report a file of rramfit that was changed after it was written; after all other problems."""
    if file.sealed is False:
        yield Problem(
            path=path,
            where=f"/@{CONTENT}",
            found="the digest of another content: the file was damaged or edited after writing",
            expected="the content that rramfit wrote",
            remedy=EDITED,
        )


def _listing(file: File) -> str:
    names = [f"/{name}" for name in file]
    return "the file is empty" if not names else f"the file has {', '.join(names[:8])}"


def _version_problems(path: Path, version: object) -> Iterator[Problem]:
    if version is None:
        return
    major, _, minor = str(version).partition(".")
    where, newest = "/@format_version", VERSIONS[-1]
    if not isinstance(version, str) or not major.isdecimal() or not minor.isdecimal():
        yield Problem(
            path=path,
            where=where,
            found=repr(version),
            expected=f"the text {' or '.join(map(repr, VERSIONS))}",
            remedy="write the version as text",
        )
    elif major != newest.partition(".")[0]:
        yield Problem(
            path=path,
            where=where,
            found=f"layout {version}",
            expected=f"layout {' or '.join(VERSIONS)}, which this rramfit reads",
            remedy=f"install a newer rramfit that reads layout {version}"
            if int(major) > int(newest.partition(".")[0])
            else "write the version of the layout that the file has",
        )
    elif version not in VERSIONS:
        yield Problem(
            path=path,
            where=where,
            found=repr(version),
            expected=f"{newest!r} or earlier",
            remedy=f"ignore this note if the additions of layout {version} need not be read",
            note=True,
        )


def _holder_problems(path: Path, holder: Group, parts: tuple[str, ...]) -> Iterator[Problem]:
    """Note what a group that holds others has besides them."""
    kept = {part.rsplit("/", 1)[-1] for part in parts}
    for key in holder:
        if key not in kept:
            yield Problem(path=path, where=f"{holder.name}/{key}", **undefined("object"), note=True)
    yield from attribute_problems(path, holder, {})


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
    if not isinstance(group, Group):
        found = "a dataset" if isinstance(group, Dataset) else group.found
        yield Problem(path=path, where=f"/{name}", found=found, expected="a group")
        return
    yield from attribute_problems(path, group, rule.attributes)
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
        if not isinstance(dataset, Dataset):
            found = "a group" if isinstance(dataset, Group) else dataset.found
            yield Problem(path=path, where=where, found=found, expected="a dataset")
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
                **undefined("object", since=GROUPS[name.partition("/")[0]].datasets.get(key)),
                note=True,
            )


def _dataset_expected(rule: DatasetRule) -> str:
    forms = " or ".join(f"({', '.join(a)})" for a in rule.forms)
    unit = f" in {' '.join(UNITS[rule.kind])}" if rule.kind in PHYSICAL else ""
    return f"{_KINDS.get(rule.kind, 'floats')} of shape {forms}{unit}"


_KINDS = {"integer": "integers", "flag": "booleans", "text": "strings"}


def _kind_problems(
    path: Path, where: str, dataset: Dataset, rule: DatasetRule
) -> Iterator[Problem]:
    dtype = dataset.dtype
    text = dataset.is_text
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
            found=f"type {dataset.type_name}",
            expected=expected,
        )
    if rule.kind in PHYSICAL:
        accepted = UNITS[rule.kind]
        units = plain(dataset.attrs.get("units"))
        if not isinstance(units, str) or unit_name(units) not in accepted:
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
    dataset: Dataset,
    rule: DatasetRule,
    *,
    local: dict[str, tuple[int, str]],
    array: dict[str, tuple[int, str]],
) -> Iterator[Problem]:
    problem = partial(Problem, path=path, where=where)
    shape = dataset.shape
    axes = next((a for a in rule.forms if len(a) == len(shape)), None)
    if axes is None:
        forms = " or ".join(f"({', '.join(a)})" for a in rule.forms)
        yield problem(found=f"shape {shape}", expected=f"shape {forms}")
        return
    if not np.prod(shape):
        yield problem(found=f"shape {shape}", expected="no axis of size 0")
        return
    sizes = dict(zip(axes, shape, strict=True))
    swapped = (
        {"row", "col"} <= array.keys() & sizes.keys()
        and (array["row"][0], array["col"][0]) == (sizes["col"], sizes["row"])
        and sizes["row"] != sizes["col"]
    )
    for axis, size in sizes.items():
        known = array if axis in ("row", "col") else local
        before, first = known.setdefault(axis, (size, where))
        if before != size:
            yield problem(
                found=f"{axis} = {size} in shape {shape}",
                expected=f"{axis} = {before}, as in {first}",
                remedy="exchange the axes row and col of one of them"
                if swapped
                else f"check that the axes are ({', '.join(axes)})",
            )
