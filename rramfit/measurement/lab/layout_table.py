"""The layout of a log: rows of CSV or TSV, keyed by address or by row and column."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rramfit.measurement.lab.expressions import names_in
from rramfit.measurement.lab.layout_parts import ArrayPart, LevelsPart, Part, unit_of
from rramfit.units import ACCEPTED_UNITS

__all__ = [
    "CellsPart",
    "TableConductance",
    "TableFlag",
    "TableIV",
    "TableLayout",
    "TableLevel",
    "TableProgram",
    "TableQuantity",
    "TableReadLevel",
    "TableReads",
    "TableSource",
    "TableTime",
    "Where",
]

Scalar = str | bool | int | float
Where = dict[str, Scalar | list[Scalar]]
"""Which rows of a log: column name to the value it has, or the values it may have."""


class TableSource(Part):
    """How the rows of a log are written."""

    kind: Literal["table"]
    separator: str | None = Field(
        default=None, description="by default , or tab by the file's name; 'whitespace' for any"
    )
    header: bool = Field(default=False, description="the first line names the columns")
    columns: tuple[str, ...] = ()
    skip: Annotated[int, Field(ge=0)] = 0
    comment: str = Field(default="#", description="lines that begin so are no rows; '' for none")
    decimal: Literal[".", ","] = "."
    hex: tuple[str, ...] = Field(default=(), description="columns of hexadecimal numbers")
    missing: tuple[str, ...] = Field(default=(), description="what stands for 'not measured'")
    counters: dict[str, Where] = Field(
        default_factory=dict,
        description="new columns: how many such rows the cell had before, from 0, -1 for none",
    )

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if not self.header and not self.columns:
            msg = "a log without a header line needs `columns`"
            raise ValueError(msg)
        if len(set(self.columns)) != len(self.columns):
            msg = "a column is named twice"
            raise ValueError(msg)
        return self


class CellsPart(Part):
    """Which cell a row speaks of: by arithmetic over its columns, or one after the other."""

    row: str | None = None
    col: str | None = None
    packed: str | None = Field(
        default=None,
        description="cells without a place: put row by row in rising order of this expression",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        placed = self.row is not None and self.col is not None
        if placed == (self.packed is not None) or (self.row is None) != (self.col is None):
            msg = "either `row` and `col`, or `packed`"
            raise ValueError(msg)
        for expression in (self.row, self.col, self.packed):
            if expression is not None:
                names_in(expression)
        return self


class TableConductance(Part):
    """A column of conductance or resistance, or of current at a known voltage."""

    column: str
    units: str
    voltage: float | str | None = Field(
        default=None, description="[V], or the column that has it; for a column of current"
    )

    @model_validator(mode="after")
    def _current_needs_voltage(self) -> Self:
        if self.units in ACCEPTED_UNITS["current"]:
            if self.voltage is None or self.voltage == 0:
                msg = "a current needs the `voltage` it was read at, not 0"
                raise ValueError(msg)
        else:
            unit_of("conductance", self.units)
            if self.voltage is not None:
                msg = f"`voltage` is for currents; the units are {self.units}"
                raise ValueError(msg)
        return self


class TableQuantity(Part):
    """A column of a voltage or a current."""

    column: str
    units: str


class TableLevel(Part):
    """A column with the level asked for."""

    column: str
    first: int = Field(default=0, description="what the lowest level is called")


class TableFlag(Part):
    """A column that says yes or no."""

    column: str
    true: tuple[str, ...] = ("1", "true", "t", "yes", "y", "ok", "pass", "passed")
    false: tuple[str, ...] = ("0", "false", "f", "no", "n", "fail", "failed")


class TableProgram(Part):
    """Rows that are programmings; `/program`."""

    where: Where = Field(default_factory=dict)
    conductance: TableConductance
    sweep: str | None = Field(
        default=None,
        description="column, counter, 'file', or 'occurrence' (the cell's n-th such row)",
    )
    level: TableLevel | None = None
    verified: TableFlag | None = None
    pulses: tuple[str, ...] = Field(default=(), description="columns, added up")
    read_voltage: float
    max_pulses: int | None = None


class TableTime(Part):
    """When the reads were: given, or the median over cells of a column."""

    values: tuple[float, ...] | None = None
    column: str | None = None
    since: Where | Literal["first"] | None = Field(
        default=None,
        description="counted from the cell's last such row before, or from the first read",
    )
    units: str

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        unit_of("time", self.units)
        if (self.values is None) == (self.column is None):
            msg = "either `values` or `column`"
            raise ValueError(msg)
        return self


class TableReadLevel(Part):
    """The level of each cell that is read: a column, a programming sweep, or a reading."""

    column: str | None = None
    first: int = 0
    program: int | None = Field(default=None, description="sweep of /program, -1 for the last")
    reading: int | None = Field(default=None, description="read whose nearest target it is")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.column, self.program, self.reading)) != 1:
            msg = "one of `column`, `program`, `reading`"
            raise ValueError(msg)
        return self


class TableReads(Part):
    """Rows that are reads of one state; `/reads` and `/retention`."""

    where: Where = Field(default_factory=dict)
    latest: str | None = Field(
        default=None, description="counter: only rows after its last step in each cell"
    )
    conductance: TableConductance
    read: str = Field(description="column, counter, 'file', or 'occurrence'")
    time: TableTime
    level: TableReadLevel | None = None
    read_voltage: float | None = None
    temperature: float | None = None


class TableIV(Part):
    """Rows that are points of current against voltage; `/iv`."""

    where: Where = Field(default_factory=dict)
    voltage: TableQuantity
    current: TableQuantity

    @model_validator(mode="after")
    def _units(self) -> Self:
        unit_of("voltage", self.voltage.units)
        unit_of("current", self.current.units)
        return self


class TableLayout(Part):
    """A log of rows."""

    array: ArrayPart
    source: TableSource
    cells: CellsPart
    levels: LevelsPart | None = None
    program: TableProgram | None = None
    reads: TableReads | None = None
    retention: TableReads | None = None
    iv: TableIV | None = None

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if not any((self.program, self.reads, self.retention, self.iv)):
            msg = "none of [program], [reads], [retention], [iv]"
            raise ValueError(msg)
        if self.levels is not None and self.levels.windows is not None and self.program is None:
            msg = "levels by `windows` are found in the rows of [program]"
            raise ValueError(msg)
        return self

    @property
    def joins_files(self) -> bool:
        """Whether several logs are one measurement: read-outs are told apart by their log."""
        reads = (self.reads, self.retention)
        told_by = [None if part is None else part.read for part in reads]
        return "file" in (*told_by, None if self.program is None else self.program.sweep)
