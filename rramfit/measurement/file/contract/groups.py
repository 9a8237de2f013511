"""The whole layout as a table: root attributes and groups of a measurement file.

Reading, validation, writing and the documentation use this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from rramfit.hdf5.nodes import File
from rramfit.measurement.file.contract.array_groups import ARRAY_GROUPS
from rramfit.measurement.file.contract.cell_groups import CELL_GROUPS
from rramfit.measurement.file.contract.rules import (
    CELLS,
    FORMAT,
    LAYOUT_FILE,
    SOURCES,
    VERSIONS,
    AttributeRule,
    DatasetRule,
    GroupRule,
)

__all__ = [
    "GROUPS",
    "ROOT_ATTRIBUTES",
    "ROOT_DATASETS",
    "groups_of",
    "part_names",
    "root_attributes_of",
    "rule_of",
]

_Rule = TypeVar("_Rule", AttributeRule, DatasetRule, GroupRule)


def _text(means: str, since: str = "1.0") -> AttributeRule:
    return AttributeRule(kind="text", means=means, since=since)


def _index(means: str) -> AttributeRule:
    return AttributeRule(kind="integer", means=means, since="1.1")


ROOT_ATTRIBUTES: Mapping[str, AttributeRule] = {
    "format": AttributeRule(
        kind="text", needed=True, choices=(FORMAT,), means="marks a measurement file"
    ),
    "format_version": AttributeRule(
        kind="text", needed=True, means='version of the layout, "1.0" or "1.1"'
    ),
    "array_id": AttributeRule(kind="text", needed=True, means="name of the array: chip, die, tile"),
    "cell": AttributeRule(kind="text", needed=True, choices=CELLS, means="cell type"),
    "lot": _text("lot"),
    "wafer": _text("wafer"),
    "die": _text("die"),
    "technology": _text("technology"),
    "instrument": _text("instrument"),
    "operator": _text("operator"),
    "comment": _text("comment"),
    "measured_at": AttributeRule(kind="time", means="when it was measured"),
    "temperature": AttributeRule(kind="temperature", means="temperature of the chip"),
    "synthetic": AttributeRule(
        kind="flag",
        means="true if a program made the file; /truth may then hold its parameters as JSON text",
    ),
    "die_x": _index("column of the die on the wafer"),
    "die_y": _index("row of the die on the wafer"),
    "tile_row": _index("row of the tile within the die"),
    "tile_col": _index("column of the tile within the die"),
    "session": _text("tester, day or operator session", since="1.1"),
    "accuracy": AttributeRule(
        kind="share",
        means="stated limits of error of a conductance reading, as a share of it, such as 0.01",
        since="1.1",
    ),
}

ROOT_DATASETS: Mapping[str, str] = {
    "truth": "parameters of a synthetic measurement, as JSON text",
    SOURCES: "of a converted file: name and SHA-256 of each file that it was converted from",
    LAYOUT_FILE: "of a converted file: text of the layout file with which it was converted",
}
"""Datasets outside the groups, which no fit reads, and what they hold."""

GROUPS: Mapping[str, GroupRule] = {
    name: rule
    for names, rules in (
        (("levels", "program", "reads", "retention", "endurance"), ARRAY_GROUPS),
        (("iv",), CELL_GROUPS),
        (("mvm",), ARRAY_GROUPS),
        (("readout", "pulses", "attempts"), CELL_GROUPS),
    )
    for name, rule in ((n, rules[n]) for n in names)
}
"""All groups of the layout, in the order in which they are listed."""


def groups_of(version: object) -> Mapping[str, GroupRule]:
    """Return the groups that a version of the layout defines.

    Names that a later version added have no meaning in an older file, and are not read there.
    A version later than those known has all groups.
    """
    return _GROUPS_1_0 if version == VERSIONS[0] else GROUPS


def root_attributes_of(version: object) -> Mapping[str, AttributeRule]:
    """Return the root attributes that a version of the layout defines."""
    return _since_1_0(ROOT_ATTRIBUTES) if version == VERSIONS[0] else ROOT_ATTRIBUTES


def _since_1_0(rules: Mapping[str, _Rule]) -> Mapping[str, _Rule]:
    return {name: rule for name, rule in rules.items() if rule.since == VERSIONS[0]}


_GROUPS_1_0: Mapping[str, GroupRule] = {
    name: replace(rule, datasets=_since_1_0(rule.datasets))
    for name, rule in _since_1_0(GROUPS).items()
}


def part_names(file: File, name: str) -> tuple[str, ...]:
    """Return the paths of the groups that hold the datasets of a group of the layout.

    Parameters
    ----------
    file : File
    name : str
        A group of `GROUPS`.

    Returns
    -------
    tuple of str
        The group itself; if it may hold subgroups of the same form and does, those, with numbers in
        their names in rising order; none if the file does not have the group.
    """
    group = file.get(name)
    if group is None:
        return ()
    if GROUPS[name].parts and hasattr(group, "keys"):
        parts = [key for key in group if hasattr(group.get(key), "keys")]
        if parts and GROUPS[name].signal not in group:
            return tuple(f"{name}/{key}" for key in sorted(parts, key=_natural))
    return (name,)


def rule_of(where: str) -> DatasetRule:
    """Return the rule of the dataset at an HDF5 path such as ``/retention/bake0/time``."""
    name, *_, key = where.strip("/").split("/")
    return GROUPS[name].datasets[key]


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key by which ``bake2`` is before ``bake10``."""
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    )
