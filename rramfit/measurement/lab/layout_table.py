"""Layout files for logs: rows of CSV or TSV, with an address or row and column per reading."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rramfit.measurement.lab.expressions import column_names
from rramfit.measurement.lab.layout_parts import (
    ArrayPart,
    LayoutError,
    LevelsPart,
    Part,
    check_unit,
    given_keys,
)
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
"""Selection of rows: column name to the required value, or the accepted values."""


class TableSource(Part):
    """Format of the rows of a log."""

    kind: Literal["table"]
    separator: str | None = Field(
        default=None, description="default: comma or tab, by file name; 'whitespace' for any blanks"
    )
    header: bool = Field(default=False, description="True if the first line names the columns")
    columns: tuple[str, ...] = ()
    skip: Annotated[int, Field(ge=0)] = 0
    comment: str = Field(default="#", description="prefix of comment lines; '' for none")
    decimal: Literal[".", ","] = "."
    hex: tuple[str, ...] = Field(default=(), description="columns of hexadecimal numbers")
    missing: tuple[str, ...] = Field(default=(), description="values that mean 'not measured'")
    counters: dict[str, Where] = Field(
        default_factory=dict,
        description="new columns: index of the cell's last such row, from 0; -1 before the first",
    )

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if not self.header and not self.columns:
            raise LayoutError(found="no column names", expected="`columns`, or `header = true`")
        if len(set(self.columns)) != len(self.columns):
            raise LayoutError(
                found="a repeated name in `columns`", expected="distinct column names"
            )
        return self


class CellsPart(Part):
    """The cell of a row: computed from its columns, or numbered by `packed`."""

    row: str | None = None
    col: str | None = None
    packed: str | None = Field(
        default=None,
        description="for cells without coordinates: fill the array in rising order of this value",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        placed = self.row is not None and self.col is not None
        if placed == (self.packed is not None) or (self.row is None) != (self.col is None):
            given = given_keys(self, "row", "col", "packed")
            raise LayoutError(found=given, expected="either `row` and `col`, or `packed`")
        for expression in (self.row, self.col, self.packed):
            if expression is not None:
                column_names(expression)
        return self


class TableConductance(Part):
    """A column of conductances or resistances, or of currents at a known voltage."""

    column: str
    units: str
    voltage: float | str | None = Field(
        default=None, description="read voltage [V] or its column, if the column is a current"
    )

    @model_validator(mode="after")
    def _current_needs_voltage(self) -> Self:
        if self.units in ACCEPTED_UNITS["current"]:
            if self.voltage is None or self.voltage == 0:
                found = "a current without `voltage`" if self.voltage is None else "`voltage` = 0"
                raise LayoutError(found=found, expected="the nonzero read `voltage` of the current")
        else:
            check_unit("conductance", self.units)
            if self.voltage is not None:
                found = f"`voltage` for a column in {self.units}"
                raise LayoutError(found=found, expected="`voltage` only for a current")
        return self


class TableQuantity(Part):
    """A column of voltages or currents."""

    column: str
    units: str


class TableLevel(Part):
    """A column with the target level."""

    column: str
    first: int = Field(default=0, description="number of the lowest level")


class TableFlag(Part):
    """A column of true and false values."""

    column: str
    true: tuple[str, ...] = ("1", "true", "t", "yes", "y", "ok", "pass", "passed")
    false: tuple[str, ...] = ("0", "false", "f", "no", "n", "fail", "failed")


class TableProgram(Part):
    """Rows of programming sweeps (`/program`)."""

    where: Where = Field(default_factory=dict)
    conductance: TableConductance
    sweep: str | None = Field(
        default=None,
        description="column, counter, 'file', or 'occurrence' (n-th such row of the cell)",
    )
    level: TableLevel | None = None
    verified: TableFlag | None = None
    pulses: tuple[str, ...] = Field(default=(), description="columns whose sum is the pulse count")
    read_voltage: float
    max_pulses: int | None = None


class TableTime(Part):
    """The time of each read: given, or the median of a column over cells."""

    values: tuple[float, ...] | None = None
    column: str | None = None
    since: Where | Literal["first"] | None = Field(
        default=None,
        description="time origin: the cell's last such row before, or the first read",
    )
    units: str

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        check_unit("time", self.units)
        if (self.values is None) == (self.column is None):
            given = given_keys(self, "values", "column")
            raise LayoutError(found=given, expected="either `values` or `column`")
        return self


class TableReadLevel(Part):
    """The level of each cell: from a column, a programming sweep, or the nearest target."""

    column: str | None = None
    first: int = 0
    program: int | None = Field(
        default=None, description="index of the sweep that programmed it, -1 for the last"
    )
    reading: int | None = Field(
        default=None, description="index of the read whose nearest target it is"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.column, self.program, self.reading)) != 1:
            given = given_keys(self, "column", "program", "reading")
            raise LayoutError(found=given, expected="exactly one of `column`, `program`, `reading`")
        return self


class TableReads(Part):
    """Rows of repeated reads of one state (`/reads`, `/retention`)."""

    where: Where = Field(default_factory=dict)
    latest: str | None = Field(
        default=None,
        description="counter; uses only the rows after its last increment in each cell",
    )
    conductance: TableConductance
    read: str = Field(description="column, counter, 'file', or 'occurrence'")
    time: TableTime
    level: TableReadLevel | None = None
    read_voltage: float | None = None
    temperature: float | None = None


class TableIV(Part):
    """Rows of I–V points (`/iv`)."""

    where: Where = Field(default_factory=dict)
    voltage: TableQuantity
    current: TableQuantity

    @model_validator(mode="after")
    def _units(self) -> Self:
        check_unit("voltage", self.voltage.units)
        check_unit("current", self.current.units)
        return self


class TableLayout(Part):
    """Layout file for a log."""

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
            expected = "at least one of [program], [reads], [retention], [iv]"
            raise LayoutError(found="no group", expected=expected)
        if self.levels is not None and self.levels.windows is not None and self.program is None:
            expected = "[program], whose rows contain the windows"
            raise LayoutError(found="`levels.windows` without [program]", expected=expected)
        return self

    @property
    def joins_files(self) -> bool:
        """True if several logs are one measurement, with `file` as sweep or read index."""
        reads = (self.reads, self.retention)
        indices = [None if part is None else part.read for part in reads]
        return "file" in (*indices, None if self.program is None else self.program.sweep)
