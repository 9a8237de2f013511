"""Layout 1.0 as a table: the groups, datasets, axes, kinds and attributes of a measurement file.

Each dataset has axes and a kind. The axes `row` and `col` have the same size in the whole file; any
other axis has the same size within its group. The kind determines the accepted units and values:

    conductance, voltage, current, time   floats with `units`; NaN (not measured) only if `gaps`
    integer, flag, text                   no units

Reading, validation and writing use this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "CELLS",
    "FORMAT",
    "FORMAT_VERSION",
    "GROUPS",
    "PHYSICAL",
    "ROOT_ATTRIBUTES",
    "AttributeRule",
    "DatasetRule",
    "GroupRule",
]

FORMAT = "rramfit-measurement"
FORMAT_VERSION = "1.0"

CELLS = ("1T1R", "2T1R", "1S1R", "1R")
"""Accepted cell types."""

PHYSICAL = ("conductance", "voltage", "current", "time", "temperature")
"""Kinds of dataset that have a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRule:
    """Requirements on one attribute."""

    kind: str  # "text", "time", "flag", "integer", or a number: "voltage", "current", "temperature"
    needed: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRule:
    """Requirements on one dataset."""

    kind: str
    axes: tuple[str, ...]
    short: tuple[str, ...] = ()  # also accepted: fewer axes
    needed: bool = True
    gaps: bool = False  # NaN is allowed
    streamed: bool = False  # may be too large for memory


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """Requirements on one group; `signal` is the dataset that HDF5 viewers plot."""

    signal: str
    datasets: Mapping[str, DatasetRule]
    attributes: Mapping[str, AttributeRule] = field(default_factory=dict)


_TEXT = AttributeRule(kind="text")
_READ_VOLTAGE = AttributeRule(kind="voltage", needed=True)

ROOT_ATTRIBUTES: Mapping[str, AttributeRule] = {
    "format": AttributeRule(kind="text", needed=True, choices=(FORMAT,)),
    "format_version": AttributeRule(kind="text", needed=True),
    "array_id": AttributeRule(kind="text", needed=True),
    "cell": AttributeRule(kind="text", needed=True, choices=CELLS),
    "lot": _TEXT,
    "wafer": _TEXT,
    "die": _TEXT,
    "technology": _TEXT,
    "instrument": _TEXT,
    "operator": _TEXT,
    "comment": _TEXT,
    "measured_at": AttributeRule(kind="time"),
    "temperature": AttributeRule(kind="temperature"),
    "synthetic": AttributeRule(kind="flag"),
}

_SWEEPS = ("sweep", "row", "col")
_READS: Mapping[str, DatasetRule] = {
    "conductance": DatasetRule(
        kind="conductance", axes=("read", "row", "col"), gaps=True, streamed=True
    ),
    "time": DatasetRule(kind="time", axes=("read",)),
    "level": DatasetRule(kind="integer", axes=("row", "col")),
}

GROUPS: Mapping[str, GroupRule] = {
    "levels": GroupRule(
        signal="target",
        datasets={
            "target": DatasetRule(kind="conductance", axes=("level",)),
            "lower": DatasetRule(kind="conductance", axes=("level",), needed=False),
            "upper": DatasetRule(kind="conductance", axes=("level",), needed=False),
            "name": DatasetRule(kind="text", axes=("level",), needed=False),
        },
    ),
    "program": GroupRule(
        signal="conductance",
        datasets={
            "conductance": DatasetRule(kind="conductance", axes=_SWEEPS, gaps=True, streamed=True),
            "level": DatasetRule(
                kind="integer", axes=_SWEEPS, short=("sweep",), needed=False, streamed=True
            ),
            "verified": DatasetRule(kind="flag", axes=_SWEEPS, needed=False, streamed=True),
            "pulses": DatasetRule(kind="integer", axes=_SWEEPS, needed=False, streamed=True),
        },
        attributes={"read_voltage": _READ_VOLTAGE, "max_pulses": AttributeRule(kind="integer")},
    ),
    "reads": GroupRule(
        signal="conductance",
        datasets=_READS,
        attributes={
            "read_voltage": _READ_VOLTAGE,
            "temperature": AttributeRule(kind="temperature"),
        },
    ),
    "retention": GroupRule(
        signal="conductance",
        datasets=_READS,
        attributes={
            "read_voltage": AttributeRule(kind="voltage"),
            "temperature": AttributeRule(kind="temperature", needed=True),
        },
    ),
    "endurance": GroupRule(
        signal="conductance",
        datasets={
            "conductance": DatasetRule(
                kind="conductance", axes=("point", "state", "row", "col"), gaps=True
            ),
            "cycle": DatasetRule(kind="integer", axes=("point",)),
        },
    ),
    "iv": GroupRule(
        signal="current",
        datasets={
            "voltage": DatasetRule(kind="voltage", axes=("point",)),
            "current": DatasetRule(kind="current", axes=("cell", "point"), gaps=True),
            "row": DatasetRule(kind="integer", axes=("cell",)),
            "col": DatasetRule(kind="integer", axes=("cell",)),
        },
    ),
    "mvm": GroupRule(
        signal="current",
        datasets={
            "voltage": DatasetRule(kind="voltage", axes=("pattern", "row")),
            "current": DatasetRule(kind="current", axes=("pattern", "col"), gaps=True),
            "conductance": DatasetRule(kind="conductance", axes=("row", "col"), gaps=True),
        },
        attributes={
            "inactive_rows": AttributeRule(
                kind="text", needed=True, choices=("grounded", "floating", "gated")
            ),
            "cell_reads": AttributeRule(
                kind="text", needed=True, choices=("intrinsic", "terminal")
            ),
        },
    ),
    "readout": GroupRule(
        signal="code",
        datasets={
            "input": DatasetRule(kind="current", axes=("point",)),
            "code": DatasetRule(
                kind="integer", axes=("repeat", "point", "channel"), short=("point", "channel")
            ),
            "channel_col": DatasetRule(kind="integer", axes=("channel",), needed=False),
        },
        attributes={
            "bits": AttributeRule(kind="integer", needed=True),
            "full_scale": AttributeRule(kind="current", needed=True),
            "zero_code": AttributeRule(kind="integer", needed=True),
        },
    ),
}
"""All groups of layout 1.0."""
