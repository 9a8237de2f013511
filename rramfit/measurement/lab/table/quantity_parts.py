"""Parts of a layout file for one column of a log: a quantity with its unit, a code, a flag.

A `column` is the name of a column, or arithmetic with columns (see `lab/expressions.py`). `values`
translates the texts of a column, such as ``{ HRS = 0, LRS = 1 }``.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from rramfit.measurement.lab.layout_parts import LayoutError, Part, check_unit, given_keys
from rramfit.units import ACCEPTED_UNITS, unit_name

__all__ = [
    "FALSE_WORDS",
    "TRUE_WORDS",
    "Keys",
    "TableCode",
    "TableConductance",
    "TableCurrent",
    "TableFlag",
    "TableLevel",
    "TableQuantity",
    "TableState",
    "TableTemperature",
    "TableVoltage",
    "TableWidth",
    "Where",
]

Scalar = str | bool | int | float
Where = dict[str, Scalar | list[Scalar]]
"""Selection of rows: column name to the required value, or the accepted values."""


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Keys = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""What numbers the sweeps or reads: one or several columns, counters, `file`, `occurrence`."""


class TableConductance(Part):
    """A column of conductances or resistances, or of currents at a known voltage."""

    column: str
    units: str
    voltage: float | str | None = Field(
        default=None, description="read voltage [V] or its column, if the column is a current"
    )

    @field_validator("units")
    @classmethod
    def _name(cls, units: str) -> str:
        return unit_name(units)

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
    """A column of another quantity."""

    column: str
    units: str

    @field_validator("units")
    @classmethod
    def _name(cls, units: str) -> str:
        return unit_name(units)


def _is(kind: str, part: TableQuantity) -> TableQuantity:
    check_unit(kind, part.units)
    return part


TableVoltage = Annotated[TableQuantity, AfterValidator(partial(_is, "voltage"))]
TableCurrent = Annotated[TableQuantity, AfterValidator(partial(_is, "current"))]
TableWidth = Annotated[TableQuantity, AfterValidator(partial(_is, "time"))]
TableTemperature = Annotated[TableQuantity, AfterValidator(partial(_is, "temperature"))]


class TableCode(Part):
    """A column of integers, or of texts that `values` translates to integers."""

    column: str
    values: dict[str, int] | None = None


class TableLevel(TableCode):
    """A column with the target level."""

    first: int = Field(default=0, description="number of the lowest level")


TRUE_WORDS = ("1", "true", "t", "yes", "y", "ok", "good", "pass", "passed", "p", "ja", "oui")
FALSE_WORDS = ("0", "false", "f", "no", "n", "nok", "ng", "bad", "fail", "failed", "nein", "non")
"""What testers write into a column of flags; capitals do not matter."""


class TableFlag(Part):
    """A column of true and false values."""

    column: str
    true: tuple[str, ...] = TRUE_WORDS
    false: tuple[str, ...] = FALSE_WORDS
    values: dict[str, bool] | None = Field(
        default=None, description="in place of `true` and `false`"
    )


class TableState(TableCode):
    """The state of a reading: from a column, or from the conductance and a threshold."""

    column: str | None = None  # type: ignore[assignment]
    threshold: float | None = None
    units: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) == (self.threshold is None):
            given = given_keys(self, "column", "threshold")
            raise LayoutError(found=given, expected="either `column` or `threshold`")
        if self.threshold is not None:
            if self.units is None:
                raise LayoutError(found="`threshold` without `units`", expected="its `units`")
            check_unit("conductance", self.units)
        return self
