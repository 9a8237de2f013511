"""What the layout can require of a group, a dataset and an attribute.

Each dataset has axes and a kind. The axes `row` and `col` have the same size in the whole file; any
other axis has the same size within its group. The kind determines the accepted units and values:

    conductance, voltage, current, time   floats with `units`; NaN (not measured) only if `gaps`
    integer, flag, text                   no units
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "ATTRIBUTE_UNITS",
    "CELLS",
    "FORMAT",
    "LAYOUT_FILE",
    "PHYSICAL",
    "SOURCES",
    "UNITS",
    "VERSIONS",
    "AttributeRule",
    "DatasetRule",
    "GroupRule",
]

FORMAT = "rramfit-measurement"

SOURCES = "sources"
"""Root dataset of a converted file: name and SHA-256 of each file that it was converted from."""

LAYOUT_FILE = "layout_file"
"""Root dataset of a converted file: the text of the layout file with which it was converted."""

VERSIONS = ("1.0", "1.1")
"""Versions of the layout that are read; a file is written in the lowest that can hold it."""

CELLS = ("1T1R", "2T1R", "1S1R", "1R")
"""Accepted cell types."""

PHYSICAL = ("conductance", "voltage", "current", "time", "temperature")
"""Kinds of dataset that have a unit."""

UNITS: Mapping[str, tuple[str, ...]] = {
    "conductance": ("S", "mS", "uS", "nS", "ohm", "kohm", "Mohm"),
    "voltage": ("V", "mV"),
    "current": ("A", "mA", "uA", "nA"),
    "time": ("s", "ms", "us", "ns", "min", "h"),
    "temperature": ("K",),
}
"""Accepted values of the attribute `units`, by kind; layout files for logs accept more."""

ATTRIBUTE_UNITS: Mapping[str, str] = {
    "voltage": "V",
    "current": "A",
    "temperature": "K",
    "share": "1",
}
"""Units of attributes that are quantities, by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRule:
    """Requirements on one attribute."""

    kind: str  # "text", "time", "flag", "integer", or a number of `ATTRIBUTE_UNITS`
    means: str
    needed: bool = False
    choices: tuple[str, ...] = ()
    since: str = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRule:
    """Requirements on one dataset."""

    kind: str
    axes: tuple[str, ...]
    means: str
    short: tuple[str, ...] = ()  # also accepted: fewer axes
    needed: bool = True
    gaps: bool = False  # NaN is allowed
    streamed: bool = False  # may be too large for memory
    choices: tuple[int, ...] = ()  # of integers
    since: str = "1.0"

    @property
    def forms(self) -> tuple[tuple[str, ...], ...]:
        """The accepted axes."""
        return (self.axes, self.short) if self.short else (self.axes,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """Requirements on one group; `signal` is the dataset that HDF5 viewers plot."""

    signal: str
    means: str
    datasets: Mapping[str, DatasetRule]
    attributes: Mapping[str, AttributeRule] = field(default_factory=dict)
    parts: str = ""  # what each subgroup is, if the group may hold subgroups of the same form
    since: str = "1.0"
